"""The composition root: builds, starts and stops everything. The one room that names adapters.

`build` makes what a configuration names, `at_work` puts it to work, `examination` looks at it
first. The doors (`cli`, `demo`) call it; what they get back are ports and plain data.

Each name is loaded when it is first asked for: who reads a history waits for no exchange's client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ordersync.service.at_work import Service, serving
    from ordersync.service.build import (
        build_archive,
        build_samples,
        build_venue,
        build_views,
        schema_statements,
    )
    from ordersync.service.channels import send_test
    from ordersync.service.errands import Errands
    from ordersync.service.examination import check_proposal, examine, propose
    from ordersync.service.overview import Overview, look_over
    from ordersync.service.sizing import count_loads, plan
    from ordersync.service.tokens import list_tokens, new_token, revoke_token
    from ordersync.service.visits import Visited, Visits, check_accounts
    from ordersync.store.guess import Unsure
    from ordersync.store.proposal import Proposal

__all__ = [
    "Errands",
    "Overview",
    "Proposal",
    "Service",
    "Unsure",
    "Visited",
    "Visits",
    "build_archive",
    "build_samples",
    "build_venue",
    "build_views",
    "check_accounts",
    "check_proposal",
    "count_loads",
    "examine",
    "list_tokens",
    "look_over",
    "new_token",
    "plan",
    "propose",
    "revoke_token",
    "schema_statements",
    "send_test",
    "serving",
]

_HOMES = {
    "service.at_work": ("Service", "serving"),
    "service.build": (
        *("build_archive", "build_samples", "build_venue", "build_views"),
        "schema_statements",
    ),
    "service.channels": ("send_test",),
    "service.errands": ("Errands",),
    "service.examination": ("check_proposal", "examine", "propose"),
    "service.overview": ("Overview", "look_over"),
    "service.sizing": ("count_loads", "plan"),
    "service.tokens": ("list_tokens", "new_token", "revoke_token"),
    "service.visits": ("Visited", "Visits", "check_accounts"),
    "store.guess": ("Unsure",),
    "store.proposal": ("Proposal",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"ordersync.{_HOME_OF[name]}"), name)
