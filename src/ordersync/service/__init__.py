"""The composition root: builds, starts and stops everything. The one room that names adapters.

`build` makes what a configuration names, `serving` puts it to work, `examine` looks at it first.
The doors (`cli`, `demo`) call it; what they get back are ports and plain data.
"""

from ordersync.service.build import (
    build_archive,
    build_samples,
    build_venue,
    build_views,
    schema_statements,
)
from ordersync.service.channels import send_test
from ordersync.service.errands import Errands
from ordersync.service.examine import check_proposal, examine, propose
from ordersync.service.overview import Overview, look_over
from ordersync.service.serving import Service, serving
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
