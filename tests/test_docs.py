"""The documents keep step with the code: what they list is what there is."""

import ast
import dataclasses
import inspect
import json
import os
import re
import textwrap
import tomllib
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from ordersync import settings
from ordersync.alerted import Alert
from ordersync.cli.app import app
from ordersync.cli.output import Exit
from ordersync.ports import Severity
from ordersync.simulator.faults import ENDPOINTS, Fault, Faults
from ordersync.simulator.kinds import Kind, StreamKind
from ordersync.store import guess
from ordersync.store.schema import MIGRATIONS
from ordersync.store.words import TOKENS, Words
from ordersync.sync.audit import Difference
from ordersync.truth.model import Event, EventKind, Source, Status
from ordersync.venues.alpaca import parse as alpaca
from ordersync.venues.coinbase import parse
from reference import configuration, pages
from reference.lines import LEVELS, calls, parsed
from reference.said import said_of

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^([ ]*)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine's own ORDERSYNC_ variables would speak before the examples."""
    for name in list(os.environ):
        sections = (
            r"ORDERSYNC_(DATABASE|ORDERS|ACCOUNTS|SYNC|RETENTION|ALERTS|LOG|WEBHOOKS|CELERY|WEB)"
        )
        if re.match(sections, name, re.IGNORECASE):
            monkeypatch.delenv(name)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, language: str) -> list[str]:
    return [
        textwrap.dedent(text)
        for _, kind, text in FENCE.findall(path.read_text(encoding="utf-8"))
        if kind == language
    ]


def section(path: Path, heading: str) -> str:
    """What stands below the heading that begins so, up to the next one as high."""
    text = path.read_text(encoding="utf-8")
    found = re.search(rf"^(#+) {re.escape(heading)}.*?$", text, re.MULTILINE)
    assert found, f"{named(path)} has no heading {heading!r}"
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str) -> list[list[str]]:
    """The cells of every table row but the rules and what stands above them."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = {n - 1 for n, line in enumerate(lines) if re.fullmatch(r"[|\- ]+", line)}
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for n, line in enumerate(lines)
        if n not in heads and n - 1 not in heads
    ]


def first_cells(text: str) -> list[str]:
    return [row[0].strip("`") for row in rows(text)]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", FENCE.sub("", text))


# --- Lists made from the code ---------------------------------------------------------------------


@pytest.mark.parametrize("path", pages.PAGES, ids=named)
def test_every_list_is_the_one_that_the_code_has_now(path: Path) -> None:
    """Where one is not: ./dev reference."""
    text = path.read_text(encoding="utf-8")
    assert pages.renewed(text) == text


def test_every_list_and_every_section_of_the_configuration_is_on_one_page() -> None:
    sections = {f"settings {name}" for name in settings.Settings.model_fields if name != "path"}
    assert sorted(pages.named()) == sorted(sections | set(pages.LISTS))


@pytest.mark.parametrize("kind", [EventKind, Status, Alert, Exit])
def test_something_is_said_of_every_word(kind: type[Enum]) -> None:
    said = said_of(kind)
    assert [one.name for one in kind if not said[one.name].text] == []


def test_something_is_said_of_every_key_of_the_configuration() -> None:
    keys = configuration.keys_of(settings.Settings)
    assert [key.path for key in keys if not key.said.text] == ["path"]


# --- Configuration ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_every_toml_example_can_be_used(path: Path, tmp_path: Path) -> None:
    for text in blocks(path, "toml"):
        content = tomllib.loads(text)
        if "database" in content:
            built = settings.build(Path("ordersync.toml"), content)
            Words(built.orders.status_words, where="example")
        elif "fault" in content:
            (tmp_path / "faults.toml").write_text(text, encoding="utf-8")
            assert Faults.load(tmp_path / "faults.toml").all
        words = content.get("orders", {}).get("status_words", {})
        assert {token for tokens in words.values() for token in tokens} <= set(TOKENS)
        unknown = set(content.get("orders", {})) - set(settings.Orders.model_fields)
        assert unknown == set()
        if {"open"} < {token for tokens in words.values() for token in tokens}:
            Words(words, where="example")


def test_every_status_word_is_documented_and_no_other() -> None:
    text = (REFERENCE / "status-words.md").read_text(encoding="utf-8")
    assert sorted(first_cells(text)) == sorted(TOKENS)


def test_the_rules_of_init_are_documented_as_they_are() -> None:
    page = REFERENCE / "init.md"
    columns = {row[0].strip("`"): tuple(quoted(row[1])) for row in rows(section(page, "Columns"))}
    assert columns.pop("id") == ()
    assert columns == guess.NAMES
    words = {row[0]: set(quoted(row[1])) for row in rows(section(page, "Words"))}
    assert words["open"] == guess.OPEN_WORDS
    assert words["filled"] == guess.FILLED_WORDS
    assert words["canceled"] == guess.CANCELED_WORDS
    assert words["rejected"] == guess.REJECTED_WORDS


# --- Commands -----------------------------------------------------------------------------------


def options_of(command: Any) -> set[str]:  # noqa: ANN401 - of whichever library typer uses
    names = [name for one in command.params for name in (*one.opts, *one.secondary_opts)]
    found = {name for name in names if name.startswith("-")}
    return found - {"--help"}


def all_options_of(command: Any) -> set[str]:  # noqa: ANN401 - the same
    """Those of the commands below it, too."""
    below = getattr(command, "commands", {}).values()
    return options_of(command).union(*(options_of(one) for one in below))


COMMANDS: dict[str, Any] = dict(getattr(typer.main.get_command(app), "commands"))  # noqa: B009


def test_every_command_is_documented_and_no_other() -> None:
    text = (REFERENCE / "commands.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^## `(\w+)", text, re.MULTILINE)) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_documented_and_no_other(name: str) -> None:
    text = section(REFERENCE / "commands.md", f"`{name}")
    named_there = {word for cell in first_cells(text) for word in re.findall(r"--?[a-z-]+", cell)}
    expected = all_options_of(COMMANDS[name])
    assert {word for word in named_there if word.startswith("-")} == expected


def test_the_shared_options_are_documented() -> None:
    text = (REFERENCE / "commands.md").read_text(encoding="utf-8").split("\n## ")[0]
    expected = options_of(typer.main.get_command(app)) | {"--help"}
    assert {word for cell in first_cells(text) for word in re.findall(r"--?[a-z]+", cell)} == (
        expected
    )


def test_the_words_of_audit_and_doctor_are_documented() -> None:
    text = section(REFERENCE / "commands.md", "`audit`")
    assert {difference.value for difference in Difference} <= set(first_cells(text))
    assert {severity.value for severity in Severity} <= set(
        quoted(section(REFERENCE / "commands.md", "`doctor`"))
    )


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_every_command_line_in_the_documents_names_a_command_that_exists(path: Path) -> None:
    lines = [
        line
        for text in blocks(path, "sh")
        for line in text.replace("\\\n", " ").splitlines()
        if line.startswith("ordersync ")
    ]
    for line in lines:
        words = line.split("#")[0].split(";")[0].split()[1:]
        assert words[0] in COMMANDS, line
        known = all_options_of(COMMANDS[words[0]]) | options_of(typer.main.get_command(app))
        assert {word for word in words if word.startswith("-")} <= known, line


# --- Events, tables, simulator, Coinbase --------------------------------------------------------


def tidy(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """The schema with descriptions as a person reads them: Python 3.13 cuts the indent itself."""
    if isinstance(schema, dict):
        return {
            key: inspect.cleandoc(value)
            if key == "description" and isinstance(value, str)
            else tidy(value)
            for key, value in schema.items()
        }
    return [tidy(each) for each in schema] if isinstance(schema, list) else schema


def test_the_published_schema_of_events_is_the_generated_one() -> None:
    """Where they differ, write what is generated: json.dumps(expected, indent=2)."""
    published = json.loads((REFERENCE / "event.schema.json").read_text(encoding="utf-8"))
    dialect = "https://json-schema.org/draft/2020-12/schema"
    assert published == {"$schema": dialect, **tidy(msgspec.json.schema(Event))}


def test_every_source_and_every_field_of_an_event_is_documented() -> None:
    text = section(REFERENCE / "events.md", "Events").split("## Kinds")[0]
    listed = rows(text)
    named_there = {name.split(".")[0] for row in listed for name in quoted(row[0])}
    assert named_there == set(Event.__struct_fields__)
    sources = next(row[1] for row in listed if row[0] == "`source`")
    assert set(quoted(sources)) == set(Source)


def test_the_example_of_an_event_is_one() -> None:
    example, *_ = blocks(REFERENCE / "events.md", "json")
    msgspec.json.decode(example, type=Event, strict=True)


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_every_json_example_is_json(path: Path) -> None:
    for text in blocks(path, "json"):
        json.loads(text)


def test_every_table_of_ours_is_documented_and_no_other() -> None:
    made = {
        name
        for step in MIGRATIONS
        for statement in step
        for name in re.findall(r"CREATE TABLE \{prefix\}(\w+)", statement)
    }
    documented = first_cells((REFERENCE / "tables.md").read_text(encoding="utf-8"))
    assert sorted(documented) == sorted({*made, "ordersync_schema"})


def test_every_fault_is_documented_with_every_key_and_no_other() -> None:
    listed = first_cells(section(REFERENCE / "simulator.md", "Faults"))
    keys = {"for" if f.name == "lasts" else f.name for f in dataclasses.fields(Fault)}
    assert sorted(listed) == sorted([*keys, *Kind, *StreamKind])


def test_every_endpoint_of_the_simulator_is_documented_and_no_other() -> None:
    listed = rows(section(REFERENCE / "simulator.md", "What can be asked"))
    assert sorted(row[1].strip("`") for row in listed) == sorted(ENDPOINTS)


def test_every_status_of_coinbase_is_documented_as_it_is_read() -> None:
    listed = rows(section(REFERENCE / "coinbase.md", "Status"))
    read = {
        word: quoted(row[1])[0] if quoted(row[1]) else None
        for row in listed
        for word in quoted(row[0])[:1]
        if word.isupper()
    }
    expected = {word: status.value for word, status in parse.STATUSES.items()}
    assert read == {**expected, parse.NO_INFORMATION: None}


def test_every_status_of_alpaca_is_documented_as_open_or_final() -> None:
    text = section(REFERENCE / "alpaca.md", "Status").split("| field")[0]
    told = text.split("\n\n")[1].split("`done_for_day` may")[0]
    still_open, final = (set(quoted(part)) for part in told.split("are open;"))
    assert final == {word for word, status in alpaca.STATUSES.items() if status.is_final}
    assert still_open == alpaca.STATUSES.keys() - final


# --- Pages --------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    headings = re.findall(
        r"^#+ (.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE
    )
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


def links(path: Path) -> list[str]:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in links(path):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_index() -> None:
    index = DOCS / "README.md"
    listed = {(DOCS / link).resolve() for link in links(index)}
    decisions = DOCS / "decisions" / "README.md"
    listed |= {(decisions.parent / link).resolve() for link in links(decisions)}
    pages = {path for path in DOCS.rglob("*") if path.suffix in {".md", ".json"}}
    assert pages - listed - {index} == set()


def test_the_readme_gives_both_commands_that_do_all_the_set_up() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", text, re.MULTILINE))
    alone = [text.strip() for text in blocks(ROOT / "README.md", "sh") if "make" in text]
    assert alone == ["make demo", "make test"]
    assert {command.split()[1] for command in alone} <= targets


def test_the_picture_asks_nobody_for_anything() -> None:
    for picture in (DOCS / "images").glob("*.svg"):
        text = picture.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert re.findall(r"https?:|//|@import|@font-face|<script", text) == [], picture


# --- What is watched ------------------------------------------------------------------------------


def test_every_field_of_the_log_is_documented_and_no_other() -> None:
    used = {
        keyword.arg
        for call in calls(parsed())
        if ast.unparse(call.func) in {"say", *(f"log.{level}" for level in LEVELS)}
        for keyword in call.keywords
        if keyword.arg is not None
    }
    fields = section(REFERENCE / "logs.md", "Logs").split("| line |", maxsplit=1)[0]
    assert sorted(first_cells(fields)) == sorted(used)
