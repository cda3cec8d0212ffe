"""Reading the configuration; what is wrong with it is said with file, key and mend."""

from __future__ import annotations

import math
import os
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ordersync.errors import ConfigError
from ordersync.settings.whole import DEFAULT_PATH, Settings
from ordersync.settings.work import LEAST_RETENTION

_KNOWN_SECTIONS = set(Settings.model_fields) - {"path"}


def load(path: Path | None = None) -> Settings:
    """Read and check the configuration. Raises ConfigError naming file, key and mend."""
    path = path or Path(os.environ.get("ORDERSYNC_CONFIG") or DEFAULT_PATH)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            "there is no such file.",
            where=str(path),
            mend="Make one with: ordersync init --database sqlite:///bot.db",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"it cannot be read ({error}).", where=str(path), mend="Mend the file or its rights."
        ) from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"it is not TOML: {error}.", where=str(path), mend="Mend that line."
        ) from error
    for section in content:
        if section not in _KNOWN_SECTIONS:
            raise ConfigError(
                "there is no such section.",
                where=f"{path}: [{section}]",
                mend=f"Known sections: {', '.join(sorted(_KNOWN_SECTIONS))}.",
            )
    return build(path, content)


def build(path: Path, content: dict[str, Any]) -> Settings:
    """Settings from TOML content and the environment. Raises ConfigError."""
    try:
        settings = Settings(**{**content, "path": path})
    except ValidationError as error:
        raise _explain(path, error) from None
    _check_accounts(settings)
    if settings.retention is not None:
        check_age(settings, settings.retention.after, where=f"{path}: retention.after")
    return settings


def check_age(settings: Settings, age: timedelta, *, where: str) -> None:
    """Raise ConfigError where what is this old may still be verified."""
    least = max(LEAST_RETENTION, settings.sync.verify_recent + timedelta(days=1))
    if age < least:
        raise ConfigError(
            "what is younger may still be verified, and stays.",
            where=where,
            mend=f'Write at least "{math.ceil(least / timedelta(hours=1))}h": two days, and a day '
            "more than sync.verify_recent.",
        )


def _check_accounts(settings: Settings) -> None:
    account = settings.orders.account
    named = [account] if isinstance(account, str) else account.values.values()
    for name in named:
        if name not in settings.accounts:
            raise ConfigError(
                f"there is no account {name!r}.",
                where=f"{settings.path}: orders.account",
                mend=f"Add [accounts.{name}], or name one of: {', '.join(settings.accounts)}.",
            )


def _explain(path: Path, error: ValidationError) -> ConfigError:
    """All that pydantic found, as sentences; the first one names the place."""
    found: list[tuple[str, str, str]] = []
    for item in error.errors(include_url=False, include_context=False):
        parts = [str(part) for part in item["loc"] if part not in {"str", "AccountColumn"}]
        what, mend = _SENTENCES.get(item["type"], ("", ""))
        if not what:
            text = item["msg"].removeprefix("Value error, ").rstrip(".")
            what, _, mend = text.rpartition(". ")
            what, mend = (what, mend) if what else (mend, "Mend that value")
        found.append((_place(path, parts), f"{what}.", f"{mend}."))
    where, what, mend = found[0]
    rest = "".join(f"\n{place}: {text} {step}" for place, text, step in found[1:])
    return ConfigError(what, where=where, mend=mend + rest)


_A_TABLE = ("a table is due", "Write it as a section of its own, such as [accounts.main]")
_A_FLAG = ("it is neither true nor false", "Write true or false, without quotes")
_A_NUMBER = ("a number is due", "Write it without quotes")
_SENTENCES = {
    "missing": ("it is missing", "Add it"),
    "string_type": ("a text is due", "Write it in quotes"),
    "list_type": ("a list is due", 'Write it in brackets, as in ["open"]'),
    "dict_type": _A_TABLE,
    "model_type": _A_TABLE,
    "bool_type": _A_FLAG,
    "bool_parsing": _A_FLAG,
    "int_type": _A_NUMBER,
    "int_parsing": _A_NUMBER,
    "float_type": _A_NUMBER,
    "float_parsing": _A_NUMBER,
    "extra_forbidden": ("there is no such key", "Mend its spelling or take it out"),
}


def _place(path: Path, parts: list[str]) -> str:
    """Where a value came from: the variable that overrides it, else the key in the file."""
    variable = "ORDERSYNC_" + "__".join(parts).upper()
    set_there = next((name for name in os.environ if name.upper() == variable), None)
    return f"environment: {set_there}" if set_there else f"{path}: {'.'.join(parts)}"
