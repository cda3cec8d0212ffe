"""`init`: look at the database, propose the mapping with reasons, ask where unsure, write it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ordersync import settings as configuration
from ordersync.errors import ConfigError
from ordersync.service import Proposal, Unsure, check_proposal, propose

if TYPE_CHECKING:
    from ordersync.cli.output import Output


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the user said on the command line."""

    database: str | None
    database_env: str | None
    table: str | None
    venue: str
    account: str
    key_file: str
    paper: bool | None
    rest_url: str | None
    ws_url: str | None
    unknown_word: str | None


async def set_up(output: Output, wishes: Wishes) -> None:
    """Write ordersync.toml. Raises ConfigError where it exists or cannot be guessed."""
    path = output.config or Path(configuration.DEFAULT_PATH)
    if path.exists():
        raise ConfigError(
            "it exists already, and is never overwritten.",
            where=str(path),
            mend="Move it away, or name another file with -c.",
        )
    if wishes.venue == "alpaca" and wishes.paper is None:
        wishes = msgspec.structs.replace(wishes, paper=await _is_paper(output))
    url = _database_url(wishes)
    answers: dict[str, str] = {"orders.table": wishes.table} if wishes.table else {}
    while True:
        proposal = propose(url, Path.cwd(), answers, wishes.unknown_word)
        if not isinstance(proposal, Unsure):
            break
        answers[proposal.key] = await _ask(output, proposal)
    text = _toml(wishes, proposal, path)
    check_proposal(path, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    _tell(output, proposal, path)
    _tell_next(output, wishes.key_file)


def _database_url(wishes: Wishes) -> str:
    """The URL to look at. One with a password must not stand on the command line."""
    if wishes.database_env is not None:
        url = os.environ.get(wishes.database_env)
        if not url:
            raise ConfigError(
                f"the variable {wishes.database_env} is not set.",
                where="--database-env",
                mend=f"Export {wishes.database_env} with the database's URL.",
            )
        return url
    if not wishes.database:
        raise ConfigError(
            "no database is named.",
            where="--database",
            mend="ordersync init --database sqlite:///bot.db, or --database-env DATABASE_URL.",
        )
    if re.match(r"[^:]+://[^/@]*:[^/@]+@", wishes.database):
        raise ConfigError(
            "the URL holds a password: everybody on this machine can read a command line.",
            where="--database",
            mend="Export the URL and name the variable (--database-env DATABASE_URL), or leave "
            "the password out of it (PGPASSWORD, PGPASSFILE, MYSQL_PWD or database.password_file).",
        )
    return wishes.database


async def _ask(output: Output, unsure: Unsure) -> str:
    """A person's answer; ConfigError where nobody can be asked, or no answer helps."""
    if not unsure.choices:
        raise ConfigError(unsure.lack, where=unsure.key, mend=unsure.mend)
    if not sys.stdin.isatty() or not sys.stdout.isatty() or output.as_json:
        option = "Name it with --table, run" if unsure.key == "orders.table" else "Run"
        raise ConfigError(
            f"it cannot be guessed. {unsure.question}",
            where=unsure.key,
            mend=f"{option} init on a terminal to be asked, or write the file by hand. "
            f"Possible: {', '.join(unsure.choices)}.",
        )
    output.say(f"{unsure.question} ({', '.join(unsure.choices)})")
    while True:
        answer = (await asyncio.to_thread(input, f"{unsure.key} = ")).strip()
        if answer:
            return answer


async def _is_paper(output: Output) -> bool:
    """Whether an Alpaca account is of paper trading: a person's word, never a guess."""
    question = Unsure(
        key="--paper or --live",
        question="Is the key of Alpaca's paper trading, or of a live account?",
        choices=("paper", "live"),
    )
    while (answer := (await _ask(output, question)).lower()) not in question.choices:
        output.say(f"{answer!r} is neither of them.")
    return answer == "paper"


def _toml(wishes: Wishes, proposal: Proposal, path: Path) -> str:
    lines = ["# Written by `ordersync init`. Check it, then: ordersync doctor", "", "[database]"]
    if wishes.database_env is not None:
        lines.append(f"url_env = {_quoted(wishes.database_env)}")
    else:
        lines.append(f"url = {_quoted(_from_folder_of(path, wishes.database or ''))}")
    lines += ["", "[orders]"]
    lines.append(_line("table", proposal.table, proposal.table_why))
    lines += [_line(guess.key, guess.value, guess.why) for guess in proposal.columns]
    lines.append(_line("account", wishes.account, "all rows belong to one account"))
    lines += ["", "[orders.status_words]"]
    lines += [
        f"{_key(word)} = [{', '.join(_quoted(token) for token in tokens)}]"
        for word, tokens in proposal.words.items()
    ]
    lines += [
        f"# {guess.key}: {guess.why}" for guess in proposal.word_reasons if guess.value == "-"
    ]
    lines += ["", f"[accounts.{_key(wishes.account)}]", f"venue = {_quoted(wishes.venue)}"]
    lines.append(f"key_file = {_quoted(_key_path(path, wishes.key_file))}")
    if wishes.paper is not None:
        lines.append(f"paper = {str(wishes.paper).lower()}")
    for name, url in (("rest_url", wishes.rest_url), ("ws_url", wishes.ws_url)):
        if url:
            lines.append(f"{name} = {_quoted(url)}")
    return "\n".join(lines) + "\n"


def _tell(output: Output, proposal: Proposal, path: Path) -> None:
    """What was written and why."""
    if output.as_json:
        output.give(
            {
                "config": str(path),
                "table": proposal.table,
                "columns": {guess.key: guess.value for guess in proposal.columns},
                "status_words": proposal.words,
            }
        )
        return
    output.say(f"{path}: the table {proposal.table} ({proposal.table_why})", style="bold")
    for guess in proposal.columns:
        output.say(f"  {guess.key:<16} = {guess.value:<18} {guess.why}")
    output.say("  words:")
    for guess in proposal.word_reasons:
        output.say(f"    {guess.key:<14} {guess.value:<12} {guess.why}")
    for word, tokens in proposal.words.items():
        output.say(f"    {word} = {', '.join(tokens)}", style="dim")


def _tell_next(output: Output, key_file: str) -> None:
    """The next steps."""
    if not Path(key_file).expanduser().exists():
        output.say(f"First: save the API key as {key_file}, for nobody else to read (mode 0600).")
    output.say("Next: ordersync doctor   (then: ordersync audit, ordersync sync, ordersync run)")


def _from_folder_of(path: Path, url: str) -> str:
    """A SQLite URL as seen from the file's folder: relative paths start there."""
    prefix = "sqlite:///"
    name = url.removeprefix(prefix)
    if not url.startswith(prefix) or Path(name).is_absolute() or name.startswith("~"):
        return url
    return prefix + _relative(path, name)


def _key_path(path: Path, key_file: str) -> str:
    if key_file.startswith("~") or Path(key_file).is_absolute():
        return key_file
    return _relative(path, key_file)


def _relative(path: Path, name: str) -> str:
    return Path(os.path.relpath(Path.cwd() / name, path.absolute().parent)).as_posix()


def _line(key: str, value: str, why: str) -> str:
    return f"{key} = {_quoted(value)}".ljust(40) + f"# {why}"


def _quoted(text: str) -> str:
    # A JSON string is a TOML basic string.
    return json.dumps(text, ensure_ascii=False)


def _key(word: str) -> str:
    plain = word.isascii() and word.replace("_", "").replace("-", "").isalnum()
    return word if plain else _quoted(word)
