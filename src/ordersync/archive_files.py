"""The archive as files: JSON lines in gzip, one file a month for orders, one for events.

Each append is a gzip member of its own; members one after the other are a gzip file. A process
that dies in the middle of one leaves a torn end, which nobody was told of as safe: the next
append cuts it off. Anything else that cannot be read is left for a person.
"""

from __future__ import annotations

import asyncio
import fcntl
import gzip
import os
import tempfile
import zlib
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from ordersync.archived import EVENTS, file_name, number_of
from ordersync.errors import ArchiveRefused, ConfigError
from ordersync.truth.model import Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

LEVEL = 6
CHUNK = 1 << 20
_GZIP = 31
_MEND = "Mend rights or room in the folder; what was to move is still in the database."

_decode_event = msgspec.json.Decoder(Event).decode


class _OfOrder(msgspec.Struct, frozen=True):
    """As much of an archived event as says whose it is."""

    order_key: str
    account: str


_decode_key = msgspec.json.Decoder(_OfOrder).decode


class ArchiveFolder:
    """Implements `archived.Archive`. `where` is the key of the configuration that names it."""

    def __init__(self, folder: Path, *, where: str) -> None:
        self._folder = folder
        self._where = where
        self._whole: dict[str, int] = {}
        """Up to where each file was found whole: what others appended is looked at from there."""

    def path_of(self, kind: str, place: str) -> str:
        """Where the file of this name is, or was."""
        return str(self._folder / file_name(kind, place))

    async def check(self, *, make: bool) -> None:
        """Raise ConfigError where nothing can be written there; `make` makes the folder."""
        await asyncio.to_thread(self._check, make=make)

    def _check(self, *, make: bool) -> None:
        try:
            if make:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self._folder):
                    return
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from None
        there = next(path for path in (self._folder, *self._folder.parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise self._unusable("it cannot be written")

    def _unusable(self, why: str) -> ConfigError:
        return ConfigError(
            f"nothing can be archived in the folder {self._folder} ({why}).",
            where=self._where,
            mend="Give this user the right to write there, or name another folder.",
        )

    async def append(self, lines: Mapping[str, Sequence[bytes]]) -> None:
        """Add these lines to these files, and wait until they are on the disk."""
        await asyncio.to_thread(self._append_all, lines)

    def _append_all(self, lines: Mapping[str, Sequence[bytes]]) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, some in lines.items():
                self._append(name, gzip.compress(b"".join(line + b"\n" for line in some), LEVEL))
            _sync_folder(self._folder)
        except (OSError, zlib.error) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise ArchiveRefused(
                f"it cannot be written ({why}).", where=str(self._folder), mend=_MEND
            ) from error

    def _append(self, name: str, member: bytes) -> None:
        path = self._folder / name
        with path.open("ab+") as file:
            # Whoever else archives at this moment waits; the lock ends with the file.
            fcntl.flock(file, fcntl.LOCK_EX)
            end = self._end_of(name, file)
            try:
                file.write(member)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), end)
                raise
            self._whole[name] = end + len(member)

    def _end_of(self, name: str, file: BinaryIO) -> int:
        """Where the next member goes; a torn end is cut off."""
        size, whole = file.seek(0, os.SEEK_END), self._whole.get(name, 0)
        if size < whole:
            whole = 0  # it is another file by now
        if size > whole:
            file.seek(whole)
            whole += _length_of_members(file, name)
            os.ftruncate(file.fileno(), whole)
        file.seek(0, os.SEEK_END)
        return whole

    async def read_events(
        self,
        place: str,
        account: str,
        key: str,
        *,
        after: tuple[int, ...] = (),
        limit: int | None = None,
    ) -> list[Event] | None:
        """The events of one order, each once, oldest first; None where the file is away."""
        return await asyncio.to_thread(self._read_events, place, account, key, after, limit)

    def _read_events(
        self, place: str, account: str, key: str, after: tuple[int, ...], limit: int | None
    ) -> list[Event] | None:
        path = self._folder / file_name(EVENTS, place)
        sign = msgspec.json.encode(key)
        found: dict[tuple[int, ...], Event] = {}
        try:
            with path.open("rb") as file:
                for line in _lines(file):
                    if sign not in line or _decode_key(line) != _OfOrder(key, account):
                        continue
                    event = _decode_event(line)
                    if (number := number_of(event.id)) > after:
                        found[number] = event
                    if limit is not None and len(found) > 2 * limit:
                        found = {number: found[number] for number in sorted(found)[:limit]}
        except FileNotFoundError:
            return None
        except (OSError, zlib.error, msgspec.DecodeError) as error:
            raise ArchiveRefused(
                f"it cannot be read ({error}).", where=str(path), mend="Is it whole? gzip -t tells."
            ) from None
        return [found[number] for number in sorted(found)[:limit]]


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a gzip file, as far as it is whole: the end of it may be being written."""
    rest, inflate = b"", zlib.decompressobj(_GZIP)
    while data := file.read(CHUNK):
        while data:
            # In pieces: what repeats itself is a thousand times as large as its file.
            *lines, rest = (rest + inflate.decompress(data, CHUNK)).split(b"\n")
            yield from lines
            data = inflate.unconsumed_tail or inflate.unused_data
            if inflate.eof:
                inflate = zlib.decompressobj(_GZIP)


def _length_of_members(file: BinaryIO, name: str) -> int:
    """How many bytes whole members take from here on; what follows them is a torn one.

    Raises ArchiveRefused where it is no gzip at all: nobody but a person may cut that off.
    """
    whole = seen = 0
    inflate = zlib.decompressobj(_GZIP)
    while data := file.read(CHUNK):
        while data:
            try:
                inflate.decompress(data)
            except zlib.error as error:
                raise ArchiveRefused(
                    f"the file {name} is damaged ({error}).",
                    where=name,
                    mend="Move it away: a new one is begun. Then see what gzip makes of it.",
                ) from None
            seen += len(data) - len(inflate.unused_data)
            data = inflate.unused_data
            if inflate.eof:
                whole, inflate = seen, zlib.decompressobj(_GZIP)
    return whole


def _sync_folder(folder: Path) -> None:
    """Let new names in the folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
