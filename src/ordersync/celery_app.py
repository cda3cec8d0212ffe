"""Celery: accounts are verified by workers, and beat says when.

    celery -A ordersync.celery_app worker -B     a ready-made app, from ordersync.toml
    register(app, "ordersync.toml")              the same tasks in an app of your own

A message names accounts and carries nothing else. It is acknowledged when it is taken: what a
killed worker leaves undone the next tick finds, whatever the broker does with the message. Nothing
happens at import; `app` is made when somebody asks for it.
"""

from __future__ import annotations

import logging
import sys
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import structlog
from celery import Celery, signals
from kombu.exceptions import OperationalError

from ordersync import settings as configuration
from ordersync.errors import AskAgain, ConfigError, OrdersyncError
from ordersync.service import Errands, Visited, check_accounts

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

    from structlog.typing import EventDict

    from ordersync.service import Visits
    from ordersync.settings import Settings

VERIFY, CLEANUP, AUDIT = "ordersync.verify_account", "ordersync.cleanup", "ordersync.audit"
NAMES = (VERIFY, CLEANUP, AUDIT)

FRESH_PART = 4
"""A tick leaves an account alone that was verified within this part of the time between ticks: so
ticks that waited for a worker together are not all worked off one after the other."""

_REFUSED = (
    *("WRONGPASS", "NOAUTH", "invalid username-password", "Authentication required"),
    *("ACCESS_REFUSED", "NOPERM"),
)

log = structlog.get_logger("ordersync")


class Tasks(NamedTuple):
    """What `register` made: each has `delay(accounts)` and all that Celery's tasks have."""

    verify_account: Any
    cleanup: Any
    audit: Any


def __getattr__(name: str) -> object:
    if name not in {"app", "celery"}:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    try:
        return _ready_made()
    except OrdersyncError as error:
        if Path(sys.argv[0]).name != "celery":
            raise
        # Celery's own command would bury it in a traceback.
        sys.stderr.write(f"ordersync: {error}\n")
        raise SystemExit(3) from None


def register(app: Celery, config: Settings | Path | str | None = None) -> Tasks:
    """Put the tasks into an app of your own, and what is due how often into its beat schedule.

    `config` is the configuration or its path; without it ORDERSYNC_CONFIG or ordersync.toml. The
    broker, the serializers and the time limits are the app's own affair. Raises ConfigError.
    """
    settings = config
    if not isinstance(settings, configuration.Settings):
        settings = configuration.load(Path(settings) if settings is not None else None)
    errands = Errands(settings)
    tasks = _tasks(app, errands)
    queued = settings.celery or configuration.Celery()
    for name, every, task, options in _due(settings, tasks):
        more = {"queue": queued.queue} if queued.queue else {}
        app.add_periodic_task(every, task.s(**options), name=name, **more)
    if app.configured:
        for place, entry in dict(app.conf.beat_schedule).items():
            _check_entry(settings, place, entry)

    def begin(**_: object) -> None:
        _set_up_log()
        _look_at_schedule(app, settings)

    def end(**_: object) -> None:
        errands.close()

    for signal in (signals.worker_init, signals.beat_init):
        signal.connect(begin, weak=False)
    for signal in (signals.worker_process_shutdown, signals.worker_shutdown):
        signal.connect(end, weak=False)
    return tasks


# --- the tasks ----------------------------------------------------------------------------------


def _tasks(app: Celery, errands: Errands) -> Tasks:
    def task(name: str, work: Callable[..., object]) -> Any:  # noqa: ANN401 - Celery's own class
        # An error that explains itself is told without a traceback.
        how = {"ignore_result": True, "serializer": "json", "throws": (OrdersyncError,)}
        return app.task(name=name, **how)(work)

    def verify_account(
        accounts: str | Sequence[str] = (), at_most_every: float | None = None
    ) -> list[dict[str, object]]:
        """Make the rows of these accounts true; not where that was done so many seconds ago."""
        pause = timedelta(seconds=at_most_every) if at_most_every else None
        return _each(errands, VERIFY, accounts, lambda v, name: v.verify(name, pause))

    def cleanup(
        accounts: str | Sequence[str] = (), older_than: str = "24h"
    ) -> list[dict[str, object]]:
        """Verify and repair rows that are open for so long."""
        age = _duration(older_than, f"{CLEANUP}: older_than")
        return _each(errands, CLEANUP, accounts, lambda v, name: v.cleanup(name, age))

    def audit(accounts: str | Sequence[str] = (), since: str = "24h") -> list[dict[str, object]]:
        """Compare with the exchange and log what differs; write nothing."""
        span = _duration(since, f"{AUDIT}: since")
        return _each(errands, AUDIT, accounts, lambda v, name: v.audit(name, span))

    return Tasks(task(VERIFY, verify_account), task(CLEANUP, cleanup), task(AUDIT, audit))


def _each(
    errands: Errands,
    task: str,
    accounts: object,
    visit: Callable[[Visits, str], Coroutine[None, None, Visited]],
) -> list[dict[str, object]]:
    """Visit them in turn; one that fails keeps no other from it. Raises the first error."""
    done: list[dict[str, object]] = []
    errors: list[OrdersyncError] = []
    try:
        names = check_accounts(errands.settings, accounts, where=task)
    except ConfigError as error:
        log.error(str(error))  # noqa: TRY400 - explained
        raise
    for name in names:
        try:
            done.append(msgspec.to_builtins(errands.run(_of(visit, name))))
        except OrdersyncError as error:
            # Both are told; only one of them needs a person.
            tell = log.warning if isinstance(error, AskAgain) else log.error
            tell(f"Failed to sync: {error}", account=name)
            errors.append(error)
    if errors:
        raise errors[0]
    return done


def _of(
    visit: Callable[[Visits, str], Coroutine[None, None, Visited]], account: str
) -> Callable[[Visits], Coroutine[None, None, Visited]]:
    return lambda visits: visit(visits, account)


def _duration(text: str, where: str) -> timedelta:
    try:
        return configuration.parse_duration(text)
    except ValueError as error:
        raise ConfigError(str(error), where=where, mend="Mend the argument of the task.") from None


# --- what is due how often ----------------------------------------------------------------------


def _due(settings: Settings, tasks: Tasks) -> Iterator[tuple[str, float, Any, dict[str, object]]]:
    """Entries for beat: name, seconds, task and its arguments. Accounts go in batches."""
    queued = settings.celery or configuration.Celery()
    accounts = list(settings.served_accounts)
    batches = [accounts[n : n + queued.batch] for n in range(0, len(accounts), queued.batch)]
    for task, every in (
        (tasks.verify_account, queued.every),
        (tasks.cleanup, queued.cleanup_every),
        (tasks.audit, queued.audit_every),
    ):
        seconds = every.total_seconds()
        for batch in batches if seconds else ():
            arguments: dict[str, object] = {"accounts": batch}
            if task is tasks.verify_account:
                arguments["at_most_every"] = seconds / FRESH_PART
            more = f" and {len(batch) - 1} more" if len(batch) > 1 else ""
            yield f"{task.name} {batch[0]}{more}", seconds, task, arguments


def _look_at_schedule(app: Celery, settings: Settings) -> None:
    """Say of each entry for our tasks that can do nothing why not."""
    for place, entry in dict(app.conf.beat_schedule).items():
        try:
            _check_entry(settings, place, entry)
        except ConfigError as error:
            log.error(str(error))  # noqa: TRY400 - explained


def _check_entry(settings: Settings, place: str, entry: Mapping[str, Any]) -> None:
    if entry.get("task") in NAMES:
        positional = entry.get("args") or ()
        named = (entry.get("kwargs") or {}).get("accounts", ())
        accounts = positional[0] if positional else named
        check_accounts(settings, accounts, where=f"beat_schedule: {place}")


# --- the ready-made app -------------------------------------------------------------------------


@cache
def _ready_made() -> Celery:
    settings = configuration.load()
    queued = settings.celery or configuration.Celery()
    app = Celery("ordersync", broker=settings.broker_url(), set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_default_queue=queued.queue or "ordersync",
        # A message that waits behind a long visit could be another worker's.
        worker_prefetch_multiplier=1,
        # After a power cut we may be up before the broker is.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
    )
    register(app, settings)

    def look(**_: object) -> None:
        _look_at_broker(app, settings)

    for signal in (signals.worker_init, signals.beat_init):
        signal.connect(look, weak=False)
    return app


def _look_at_broker(app: Celery, settings: Settings) -> None:
    """Refuse a login that the broker refuses; where it is only away, say so and let Celery wait."""
    where = f"{settings.path}: celery.broker_url"
    with app.connection_for_read() as connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=3)
        except (
            OperationalError,
            *connection.connection_errors,
            *connection.channel_errors,  # a login that RabbitMQ refuses
        ) as error:
            place = connection.as_uri()  # without the password
            said = str(error) or type(error).__name__
            if any(words in said for words in _REFUSED):
                refused = ConfigError(
                    f"the broker at {place} does not let us in ({said}).",
                    where=where,
                    mend="Mend the user, or the password in the file of celery.password_file or "
                    "in the variable of celery.broker_url_env.",
                )
                sys.stderr.write(f"ordersync: {refused}\n")
                raise SystemExit(3) from None
            log.warning(
                f"{where}: the broker at {place} is away ({said}). It is tried again; start it, "
                "or mend the address."
            )


def _set_up_log() -> None:
    """Let Celery's handlers have our lines, unless the program has set up a log for us."""
    # Each call to a venue, with all its order ids, is nobody's news.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, _plain],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _plain(_logger: object, _method: str, event: EventDict) -> str:
    text = str(event.pop("event", ""))
    fields = "".join(f"  {key}={value}" for key, value in event.items() if value is not None)
    return f"{text}{fields}"
