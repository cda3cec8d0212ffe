"""The command line. `app` has the commands, `setup` is `init`, `show` what a person sees.

`main` is the program: it turns every way to end into the exit status that is documented
(0 done, 1 differences or not known, 2 not all verified, 3 configuration or usage, 130
interrupted). Heavy imports wait until a command needs them.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and end the process with the documented status."""
    from ordersync.cli.app import run  # noqa: PLC0415 - so that the package itself costs nothing

    sys.exit(run(sys.argv[1:]))
