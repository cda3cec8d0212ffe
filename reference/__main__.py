"""`python -m reference`: write the lists of every page anew."""

from __future__ import annotations

import argparse
import sys

from reference.pages import PAGES, renewed


def main() -> None:
    """Rewrite what lies between the marks, and say which pages changed."""
    argparse.ArgumentParser(prog="./dev reference", description=__doc__).parse_args()
    for path in PAGES:
        before = path.read_text(encoding="utf-8")
        after = renewed(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            sys.stdout.write(f"{path.name}\n")


if __name__ == "__main__":
    main()
