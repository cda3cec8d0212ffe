"""A process that advances one big batch and may be killed while it does.

It reads the number of the first order from its stdin, makes a child that does the work, tells
the child's id, and after its death tells how it died.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from ordersync.truth.merge import merge
from ordersync.truth.model import Status
from tests.contracts.bench import ACCOUNT, HandClock, mapped, read, said, step
from tests.contracts.sqlite_bench import SqliteBench


async def advance(path: Path, first: int, count: int) -> None:
    store = SqliteBench(path).store(mapped(), HandClock())
    await store.open(create=True)
    reports = [said(f"v{n}", Status.FILLED, "1") for n in range(first, first + count)]
    known = await read(store, *reports)
    steps = [step(k, merge(k.truth, r)) for k, r in zip(known, reports, strict=True)]
    os.write(1, b"begun\n")
    await store.advance(ACCOUNT, steps)
    await store.close()


def main(path: Path, count: int) -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(advance(path, int(line), count))
            os._exit(0)
        os.write(1, f"{child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(1, b"killed\n" if os.WIFSIGNALED(status) else b"finished\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
