"""A bot that reads its own table some hundred times a second, as a process of its own.

`python -m benchmarks.postgres_bot URL SECONDS ROWS` reads a row by its key and the first hundred
of its open rows, by an absolute schedule, and prints how long it waited for each.
"""

from __future__ import annotations

import sys
import time

import msgspec
import psycopg

READ_EVERY_S = 0.005
BY_KEY = "SELECT * FROM trades WHERE id = %s"
OPEN_ROWS = "SELECT * FROM trades WHERE status IN ('pending', 'open') LIMIT 100"
LISTED = 100
OFTEN = 20
"""Until psycopg has prepared what it sees again and again."""


class Seen(msgspec.Struct):
    """What the bot waited for, in seconds each: a row by its key, its open rows."""

    by_key: list[float] = []
    open_rows: list[float] = []


def read(url: str, seconds: float, rows: int) -> Seen:
    """Be the bot."""
    seen = Seen()
    with psycopg.connect(url, autocommit=True) as connection:
        for n in range(OFTEN):
            connection.execute(BY_KEY, (1 + n,)).fetchall()
            connection.execute(OPEN_ROWS).fetchall()
        begin = time.perf_counter()
        for n in range(int(seconds / READ_EVERY_S)):
            time.sleep(max(0.0, begin + n * READ_EVERY_S - time.perf_counter()))
            start = time.perf_counter()
            found = connection.execute(BY_KEY, (1 + n * 7919 % rows,)).fetchall()
            middle = time.perf_counter()
            listed = connection.execute(OPEN_ROWS).fetchall()
            end = time.perf_counter()
            assert len(found) == 1
            assert len(listed) == LISTED
            seen.by_key.append(middle - start)
            seen.open_rows.append(end - middle)
    return seen


if __name__ == "__main__":
    seen = read(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
    print(msgspec.json.encode(seen).decode())
