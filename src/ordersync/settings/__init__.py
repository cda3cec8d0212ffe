"""What `ordersync.toml` and the environment say, checked for shape.

Precedence: flag, then environment (`ORDERSYNC_ACCOUNTS__MAIN__REST_URL`), then file. Whether
a named table, column or key file exists is for the part that uses it to say; here is only
what can be seen from the text. Secrets are never in here: a key file is a path.
"""

from ordersync.settings.accounts import VENUES, Account
from ordersync.settings.alerts import Alerts, Channel, Silence
from ordersync.settings.loading import build, check_age, load
from ordersync.settings.log import Log, LogFormat, LogLevel
from ordersync.settings.orders import AccountColumn, Database, Orders
from ordersync.settings.orphans import Orphans
from ordersync.settings.queued import Celery
from ordersync.settings.subscriptions import Subscriptions
from ordersync.settings.values import parse_duration
from ordersync.settings.web import Web
from ordersync.settings.whole import DEFAULT_PATH, Settings
from ordersync.settings.work import LEAST_RETENTION, Absence, Retention, Sync, Webhooks

__all__ = [
    "DEFAULT_PATH",
    "LEAST_RETENTION",
    "VENUES",
    "Absence",
    "Account",
    "AccountColumn",
    "Alerts",
    "Celery",
    "Channel",
    "Database",
    "Log",
    "LogFormat",
    "LogLevel",
    "Orders",
    "Orphans",
    "Retention",
    "Settings",
    "Silence",
    "Subscriptions",
    "Sync",
    "Web",
    "Webhooks",
    "build",
    "check_age",
    "load",
    "parse_duration",
]
