"""The composition root: builds, starts and stops everything. The one room that names adapters.

`build` makes what a configuration names, `serving` puts it to work, `examine` looks at it first.
The doors (`cli`, `demo`) call it; what they get back are ports and plain data.
"""

from ordersync.service.build import build_archive, build_venue, build_views, schema_statements
from ordersync.service.examine import check_proposal, examine, propose
from ordersync.service.serving import Service, serving
from ordersync.service.tokens import list_tokens, new_token, revoke_token
from ordersync.store.guess import Unsure
from ordersync.store.proposal import Proposal

__all__ = [
    "Proposal",
    "Service",
    "Unsure",
    "build_archive",
    "build_venue",
    "build_views",
    "check_proposal",
    "examine",
    "list_tokens",
    "new_token",
    "propose",
    "revoke_token",
    "schema_statements",
    "serving",
]
