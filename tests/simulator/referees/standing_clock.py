"""The clock of this process stands still at STANDS_AT (seconds since 1970), as the world's does.

What clients sign is then of the world's time, however long they take on a slow machine: they ask
`time.time` when they sign, so it is enough to import this.
"""

from __future__ import annotations

import os
import time

_AT = float(os.environ["STANDS_AT"])


def _now() -> float:
    return _AT


time.time = _now  # noqa: TID251 - set, not asked
