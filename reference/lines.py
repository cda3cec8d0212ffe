"""Every line that the log can have, read from the calls that write them."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import ordersync

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LEVELS = ("debug", "info", "warning", "error", "exception")
ELSEWHERE = {"simulator", "demo"}
"""Houses of their own: their lines are not those of `run`."""


def parsed() -> list[ast.Module]:
    """The code, module by module."""
    root = Path(ordersync.__file__).parent
    paths = sorted(path for path in root.rglob("*.py") if not ELSEWHERE & set(path.parts))
    return [ast.parse(path.read_text(encoding="utf-8")) for path in paths]


def calls(trees: Iterable[ast.Module]) -> Iterator[ast.Call]:
    """Every call in them."""
    for tree in trees:
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def lines_of_log() -> set[tuple[str, str]]:
    """Level and text of each; what it is told in the text is `…`."""
    found: set[tuple[str, str]] = set()
    for tree in parsed():
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                found |= set(_lines_in(function))
    return found


def _lines_in(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, str]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and node.args:
            if level := _level(node.func):
                for text in _texts(node.args[0], function):
                    yield level, text
            elif ast.unparse(node.func) == "self._warn":  # RareWarnings.say
                for text in _texts(node.args[1], function):
                    yield "warning", text
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
            # Where the way and the words are chosen together, and said afterwards.
            level = _level(node.value.elts[0])
            for text in _texts(node.value.elts[-1], function) if level else ():
                yield level, text


def _level(function: ast.expr) -> str:
    name, _, level = ast.unparse(function).rpartition(".")
    if name != "log" or level not in LEVELS:
        return ""
    return "error" if level == "exception" else level


def _texts(said: ast.expr, function: ast.AST) -> Iterator[str]:
    if isinstance(said, ast.Constant):
        yield str(said.value)
    elif isinstance(said, ast.JoinedStr):
        parts = (str(one.value) if isinstance(one, ast.Constant) else "…" for one in said.values)
        yield "".join(parts)
    elif isinstance(said, ast.IfExp):
        yield from _texts(said.body, function)
        yield from _texts(said.orelse, function)
    elif isinstance(said, ast.Name):
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == said.id:
                yield from _texts(node.value, function)
