"""What `register` puts into an app, and the thread on which its tasks find an event loop."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery

from ordersync import settings as configuration
from ordersync.celery_app import AUDIT, CLEANUP, VERIFY, register
from ordersync.errors import ConfigError, StoreRefused
from ordersync.ports import Severity
from ordersync.service import Errands
from ordersync.service.broker import examine_broker
from tests.servers.valkey import Valkey
from tests.system.house import WORDS

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.service import Visits
    from ordersync.settings import Settings
    from tests.servers.fixtures import OwnServer

ACCOUNTS = ["a0", "a1", "a2"]
PATIENCE = 60.0
"""Seconds, which only a failure takes."""


def settings_of(folder: Path, **celery: object) -> Settings:
    return configuration.build(
        folder / "ordersync.toml",
        {
            "database": {"url": "sqlite:///bot.db"},
            "orders": {
                "table": "trades",
                "id": "id",
                "venue_order_id": "order_id",
                "status": "status",
                "account": {"column": "account", "values": {name: name for name in ACCOUNTS}},
                "status_words": WORDS,
            },
            "accounts": {n: {"venue": "coinbase", "key_file": "coinbase.json"} for n in ACCOUNTS},
            "celery": celery,
        },
    )


def schedule_of(folder: Path, **celery: object) -> dict[str, dict[str, Any]]:
    app = Celery("bots", set_as_current=False)
    register(app, settings_of(folder, **celery))
    return {name: dict(entry) for name, entry in app.conf.beat_schedule.items()}


def test_every_account_is_due_every_minute_and_looked_through_once_a_day(tmp_path: Path) -> None:
    schedule = schedule_of(tmp_path)
    assert len(schedule) == 9
    for name in ACCOUNTS:
        entry = schedule[f"{VERIFY} {name}"]
        assert (entry["task"], entry["schedule"]) == (VERIFY, 60.0)
        assert entry["kwargs"] == {"accounts": [name], "at_most_every": 15.0}
        assert schedule[f"{CLEANUP} {name}"]["schedule"] == 86_400.0
        assert schedule[f"{AUDIT} {name}"]["kwargs"] == {"accounts": [name]}


def test_accounts_share_a_message_where_batches_are_wanted_and_zero_means_never(
    tmp_path: Path,
) -> None:
    schedule = schedule_of(
        tmp_path, every="10s", batch=2, cleanup_every="0s", audit_every="0s", queue="slow"
    )
    assert {name: entry["kwargs"]["accounts"] for name, entry in schedule.items()} == {
        f"{VERIFY} a0 and 1 more": ["a0", "a1"],
        f"{VERIFY} a2": ["a2"],
    }
    assert {entry["options"]["queue"] for entry in schedule.values()} == {"slow"}


def test_what_the_app_had_in_its_schedule_stays(tmp_path: Path) -> None:
    app = Celery("bots", set_as_current=False)
    app.conf.beat_schedule = {"mine": {"task": "mine", "schedule": 5.0}}
    assert app.conf.beat_schedule
    register(app, settings_of(tmp_path))
    assert {"mine", f"{VERIFY} a0"} <= set(app.conf.beat_schedule)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"task": VERIFY}, "names no account"),
        ({"task": AUDIT, "args": [[]]}, "names no account"),
        ({"task": CLEANUP, "kwargs": {"accounts": ["b"]}}, "there is no account 'b'"),
    ],
)
def test_an_entry_that_can_do_nothing_is_refused_by_its_name(
    entry: dict[str, object], says: str, tmp_path: Path
) -> None:
    app = Celery("bots", set_as_current=False)
    app.conf.beat_schedule = {"mine": {**entry, "schedule": 5.0}}
    assert app.conf.beat_schedule
    with pytest.raises(ConfigError, match=says) as refused:
        register(app, settings_of(tmp_path))
    assert refused.value.where == "beat_schedule: mine"
    assert refused.value.mend


def test_a_message_without_an_account_fails_and_asks_nobody(tmp_path: Path) -> None:
    app = Celery("bots", set_as_current=False)
    tasks = register(app, settings_of(tmp_path))
    with pytest.raises(ConfigError, match="names no account"):
        tasks.verify_account.apply(throw=True)
    with pytest.raises(ConfigError, match="no account 'b'"):
        tasks.audit.apply(args=["b"], throw=True)
    with pytest.raises(ConfigError, match="is not a duration"):
        tasks.cleanup.apply(args=["a0", "soon"], throw=True)


def test_one_account_that_fails_keeps_no_other_from_its_turn(tmp_path: Path) -> None:
    app = Celery("bots", set_as_current=False)
    tasks = register(app, settings_of(tmp_path))
    # There is no database: each is tried, and the first error is the task's.
    with pytest.raises((ConfigError, StoreRefused)) as failed:
        tasks.verify_account.apply(args=[ACCOUNTS], throw=True)
    assert "bot.db" in str(failed.value)


def test_nothing_happens_when_the_module_is_imported(tmp_path: Path) -> None:
    code = (
        "import threading, ordersync.celery_app as module;"
        "assert threading.active_count() == 1;"
        "assert 'app' not in vars(module);"
        "assert not hasattr(module, 'nothing')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("celery", "says"),
    [
        ({"broker_url": "http://127.0.0.1"}, "is no broker"),
        ({"broker_url": "redis://:secret@127.0.0.1:6379/0"}, "must not hold a password"),
        ({"every": "10ms"}, "too often"),
        ({"batch": 0}, "greater than or equal to 1"),
        ({"evry": "1m"}, "no such key"),
    ],
)
def test_a_section_that_makes_no_sense_is_refused(
    celery: dict[str, object], says: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        settings_of(tmp_path, **celery)
    assert "celery." in refused.value.where
    assert "secret" not in str(refused.value)


def test_the_brokers_password_comes_from_a_file_or_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("p@ss/word\n")
    (tmp_path / "secret").chmod(0o600)
    more = {"broker_url": "amqp://bot@127.0.0.1:5672//", "password_file": "secret"}
    settings = settings_of(tmp_path, **more)
    assert settings.broker_url() == "amqp://bot:p%40ss%2Fword@127.0.0.1:5672//"
    named = settings_of(tmp_path, broker_url_env="BROKER")
    with pytest.raises(ConfigError, match="BROKER is not set"):
        named.broker_url()
    monkeypatch.setenv("BROKER", "redis://:x@h/1")
    assert named.broker_url() == "redis://:x@h/1"


async def test_doctor_says_whether_the_broker_is_there(
    tmp_path: Path, own_server: OwnServer
) -> None:
    assert await examine_broker(settings_of(tmp_path).model_copy(update={"celery": None})) == []
    (unset,) = await examine_broker(settings_of(tmp_path, broker_url_env="NO_SUCH_VARIABLE"))
    assert (unset.severity, unset.about) == (Severity.ERROR, "celery")
    assert unset.mend
    broker = own_server(lambda: Valkey("s3cret"))
    place = broker.place.url.rpartition("@")[2]
    settings = settings_of(tmp_path, broker_url=f"redis://{place}")
    (there,) = await examine_broker(settings)
    assert there.severity is Severity.OK
    broker.stop()
    (away,) = await examine_broker(settings)
    assert away.severity is Severity.WARNING
    assert place.partition("/")[0] in away.what
    assert away.mend


# --- errands ------------------------------------------------------------------------------------


async def which_thread(_: Visits) -> threading.Thread:
    return threading.current_thread()


def test_errands_are_done_on_one_thread_and_after_the_end_on_a_new_one(tmp_path: Path) -> None:
    errands = Errands(settings_of(tmp_path))

    async def which_loop(_: Visits) -> int:
        return id(asyncio.get_running_loop())

    first = errands.run(which_thread)
    assert first is errands.run(which_thread)
    assert errands.run(which_loop) == errands.run(which_loop)
    errands.close()
    assert not first.is_alive()
    assert errands.run(which_thread) is not first
    errands.close()
    errands.close()


def test_who_is_interrupted_while_he_waits_breaks_the_work_off(tmp_path: Path) -> None:
    """As Celery's time limits do."""
    errands = Errands(settings_of(tmp_path))
    gave_back = threading.Event()
    waits = threading.main_thread().ident
    assert waits is not None

    class Interrupted(BaseException):
        pass

    async def for_ever(_: Visits) -> None:
        asyncio.get_running_loop().call_later(0.1, signal.pthread_kill, waits, signal.SIGALRM)
        try:
            await asyncio.Event().wait()
        finally:
            gave_back.set()

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(Interrupted):
            errands.run(for_ever)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert gave_back.is_set(), "before the next task begins"
    assert errands.run(which_thread).is_alive()
    errands.close()


def in_a_child(errands: Errands, pipe: Any) -> None:  # noqa: ANN401 - a connection
    pipe.send(errands.run(which_thread).name)
    errands.close()
    pipe.close()


@pytest.mark.filterwarnings("ignore:This process")  # that a fork leaves threads behind is the point
def test_a_forked_process_starts_a_thread_of_its_own(tmp_path: Path) -> None:
    errands = Errands(settings_of(tmp_path))
    errands.run(which_thread)
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=in_a_child, args=(errands, there))
    child.start()
    assert here.poll(PATIENCE)
    assert here.recv() == "ordersync"
    child.join(PATIENCE)
    assert child.exitcode == 0
    assert errands.run(which_thread).is_alive()
    errands.close()
