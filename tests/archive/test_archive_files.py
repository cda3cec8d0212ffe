"""The archive's files: what was said to be safe is there, whatever happened meanwhile."""

from __future__ import annotations

import asyncio
import gzip
import os
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from ordersync.archive_files import ArchiveFolder
from ordersync.archived import EVENTS, file_name
from ordersync.errors import ArchiveRefused, ConfigError
from ordersync.truth.model import Event, EventEvidence, EventKind, EventOrder, Side, Source
from tests.contracts.bench import ACCOUNT, NOON

if TYPE_CHECKING:
    from pathlib import Path

NAME = file_name(EVENTS, "2026-03")
WHERE = "ordersync.toml: retention.folder"


def folder(path: Path) -> ArchiveFolder:
    return ArchiveFolder(path / "archive", where=WHERE)


def line_of(key: str, number: str, *, account: str = ACCOUNT, minutes: int = 0) -> bytes:
    event = Event(
        id=number,
        at=NOON + timedelta(minutes=minutes),
        account=account,
        order=EventOrder(venue_order_id=key[2:]),
        kind=EventKind.CHANGED,
        source=Source.POLL,
        evidence=EventEvidence(answer="sighting", endpoint="batch"),
        before=Side(),
        after=Side(),
    )
    body = msgspec.json.encode(event)
    return b'{"order_key":' + msgspec.json.encode(key) + b"," + body[1:]


def lines_in(path: Path) -> list[bytes]:
    return gzip.decompress((path / "archive" / NAME).read_bytes()).splitlines()


async def ids(archive: ArchiveFolder, key: str = "v:v1") -> list[str]:
    events = await archive.read_events("2026-03", ACCOUNT, key)
    assert events is not None
    return [event.id for event in events]


async def test_lines_are_added_to_the_file_and_any_gzip_reads_it(tmp_path: Path) -> None:
    archive = folder(tmp_path)
    await archive.append({NAME: [b"1", b"2"]})
    await archive.append({NAME: [b"3"]})
    assert lines_in(tmp_path) == [b"1", b"2", b"3"]


async def test_a_torn_end_is_cut_off_and_nothing_before_it(tmp_path: Path) -> None:
    """As a process leaves it that dies in the middle of writing."""
    await folder(tmp_path).append({NAME: [b"1"]})
    path = tmp_path / "archive" / NAME
    with path.open("ab") as file:
        file.write(gzip.compress(os.urandom(5000))[:-9])
    await folder(tmp_path).append({NAME: [b"2"]})
    assert lines_in(tmp_path) == [b"1", b"2"]


@pytest.mark.parametrize("length", [1, 5, 12, 30])
async def test_a_torn_end_of_any_length_is_cut_off(tmp_path: Path, length: int) -> None:
    archive = folder(tmp_path)
    await archive.append({NAME: [b"1"]})
    member = gzip.compress(b"a line of some length\n")
    with (tmp_path / "archive" / NAME).open("ab") as file:
        file.write(member[:length])
    await archive.append({NAME: [b"2"]})
    assert lines_in(tmp_path) == [b"1", b"2"]


async def test_what_is_no_archive_is_left_for_a_person(tmp_path: Path) -> None:
    archive = folder(tmp_path)
    await archive.check(make=True)
    path = tmp_path / "archive" / NAME
    path.write_bytes(b"somebody's own file\n" * 10)
    with pytest.raises(ArchiveRefused) as caught:
        await archive.append({NAME: [b"1"]})
    assert NAME in caught.value.what
    assert caught.value.mend
    assert path.read_bytes() == b"somebody's own file\n" * 10


async def test_two_that_write_at_once_lose_no_line(tmp_path: Path) -> None:
    archives = [folder(tmp_path) for _ in range(4)]
    await asyncio.gather(
        *(
            archive.append({NAME: [f"{n}-{i}".encode()]})
            for i in range(10)
            for n, archive in enumerate(archives)
        )
    )
    assert sorted(lines_in(tmp_path)) == sorted(
        f"{n}-{i}".encode() for i in range(10) for n in range(4)
    )


async def test_a_file_that_was_taken_away_is_begun_anew(tmp_path: Path) -> None:
    archive = folder(tmp_path)
    await archive.append({NAME: [b"1"]})
    (tmp_path / "archive" / NAME).unlink()
    await archive.append({NAME: [b"2"]})
    assert lines_in(tmp_path) == [b"2"]


async def test_the_events_of_one_order_are_read_each_once_and_oldest_first(tmp_path: Path) -> None:
    archive = folder(tmp_path)
    first = [line_of("v:v1", "2-0", minutes=1), line_of("v:v11", "2-1", minutes=1)]
    # The same again, as after a crash; and another account's order of the same name.
    second = [*first, line_of("v:v1", "1-0"), line_of("v:v1", "9-0", account="other")]
    await archive.append({NAME: first})
    await archive.append({NAME: second})
    assert await ids(archive) == ["1-0", "2-0"]
    assert await archive.read_events("2026-04", ACCOUNT, "v:v1") is None


async def test_a_page_of_many_events_is_the_oldest_after_a_number(tmp_path: Path) -> None:
    archive = folder(tmp_path)
    some = [line_of("v:v1", f"{n}-0") for n in (40, 3, 20, 100, 9, 1)]
    await archive.append({NAME: [*some, *some]})
    for after, limit, expected in (
        ((), 2, ["1-0", "3-0"]),
        ((3, 0), 3, ["9-0", "20-0", "40-0"]),
        ((40, 0), 3, ["100-0"]),
        ((100, 0), 3, []),
    ):
        events = await archive.read_events("2026-03", ACCOUNT, "v:v1", after=after, limit=limit)
        assert [event.id for event in events or ()] == expected


async def test_a_large_file_is_read_to_its_end(tmp_path: Path) -> None:
    archive = folder(tmp_path)
    noise = [line_of(f"v:{os.urandom(400).hex()}", "1-0") for _ in range(3000)]
    await archive.append({NAME: [*noise, line_of("v:v1", "1-0")]})
    await archive.append({NAME: [*noise, line_of("v:v1", "2-0")]})
    assert (tmp_path / "archive" / NAME).stat().st_size > 2 << 20
    assert await ids(archive) == ["1-0", "2-0"]
    await folder(tmp_path).append({NAME: [line_of("v:v1", "3-0")]})
    assert await ids(archive) == ["1-0", "2-0", "3-0"]


@pytest.mark.parametrize("make", [True, False])
async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, *, make: bool) -> None:
    (tmp_path / "archive").write_text("a file, no folder")
    with pytest.raises(ConfigError) as caught:
        await folder(tmp_path).check(make=make)
    assert caught.value.where == WHERE
    assert caught.value.mend


def test_to_look_makes_nothing(tmp_path: Path) -> None:
    asyncio.run(folder(tmp_path).check(make=False))
    assert list(tmp_path.iterdir()) == []
    asyncio.run(folder(tmp_path).check(make=True))
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]
    assert (tmp_path / "archive").stat().st_mode & 0o077 == 0
    assert list((tmp_path / "archive").iterdir()) == []
