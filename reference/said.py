"""What the code says of its own names: docstrings below them, comments behind them."""

from __future__ import annotations

import ast
import inspect
import io
import re
import textwrap
import tokenize

import msgspec

_MORE = re.compile(r"(?:^|\s)(Type|Default|Error when|To do): ")


class Said(msgspec.Struct, frozen=True):
    """What is said of one name: a text, and what follows a word and a colon, as `To do: `."""

    text: str = ""
    more: dict[str, str] = {}


def said_by(text: str) -> Said:
    """A docstring or comment in its parts."""
    first, *rest = _MORE.split(" ".join(text.split()))
    pairs = zip(rest[::2], rest[1::2], strict=True)
    return Said(first.strip(), {word: said.strip() for word, said in pairs})


def said_of(kind: type) -> dict[str, Said]:
    """What a class says of its members or fields, those of the classes above it included."""
    found: dict[str, Said] = {}
    for one in reversed(kind.__mro__):
        if one.__module__.startswith("ordersync"):
            found |= _own(one)
    return found


def _own(kind: type) -> dict[str, Said]:
    source = textwrap.dedent(inspect.getsource(kind))
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and not token.string.startswith("# noqa")
    }
    found: dict[str, Said] = {}
    body = [node for tree in ast.parse(source).body for node in getattr(tree, "body", [])]
    for node, below in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign):
            name = ast.unparse(node.target)
        elif isinstance(node, ast.Assign):
            name = ast.unparse(node.targets[0])
        else:
            continue
        has_docstring = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        text = comments.get(node.end_lineno or 0, "")
        if has_docstring:
            text = str(below.value.value)
        found[name] = said_by(text)
    return found
