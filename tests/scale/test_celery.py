"""Real Celery workers on a real Valkey: rows come true, whoever is killed meanwhile."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ordersync.simulator import Life
from tests.scale.yard import PATIENCE, Yard
from tests.servers.daemon import until
from tests.servers.rabbitmq import RabbitMq
from tests.servers.valkey import Valkey

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.fixtures import OwnServer
    from tests.servers.place import Server

FILLED = Life.filled(timedelta(minutes=20))
PASSWORD = "v@lkey/secret"  # noqa: S105 - of a server that lives for seconds


def test_the_ready_made_app_makes_every_accounts_rows_true_and_ends_in_good_order(
    tmp_path: Path, own_server: OwnServer
) -> None:
    broker = own_server(Valkey)
    with Yard(tmp_path, broker.place.url, accounts=3) as yard:
        yard.fill_up(4)
        yard.place(1, Life.open())
        yard.place(2, Life.canceled(timedelta(minutes=20), share=Decimal("0.25")))
        worker = yard.worker("-B", "-c", "2")
        yard.until_true()
        later = yard.place(0, FILLED)
        yard.until_true()
        assert worker.stop() == 0, worker.log()
        log = worker.log()
        assert "Traceback" not in log, log
        assert "pending -> completed" in log
        assert f"row_id={later}" in log
        # Given back, so that whoever comes next need not wait for their end.
        assert yard.leased() == []


def test_what_a_killed_worker_and_a_killed_broker_leave_undone_the_next_tick_finds(
    tmp_path: Path, own_server: OwnServer, postgres18: Server
) -> None:
    broker = own_server(Valkey)
    with Yard(tmp_path, broker.place.url, accounts=2, database=postgres18.new_database()) as yard:
        yard.fill_up(3)
        worker = yard.worker("-B", "-c", "2")
        with yard.exchange.held():
            assert yard.exchange.waiting.wait(PATIENCE), worker.log()
            # In the middle of a visit: one of its processes, then all of it, then the broker.
            for process in worker.brood():
                os.kill(process, signal.SIGKILL)
            worker.until_says("exited with 'signal 9 (SIGKILL)'")
            worker.kill()
            broker.kill()
        assert yard.untrue(), "nothing was written yet"
        broker.start()
        next_one = yard.worker("-B", "-c", "1")
        # The same message three times over, as a broker may deliver it.
        yard.send("verify_account", *[{"accounts": ["a0", "a1"]}] * 3)
        yard.until_true()
        broker.kill()
        row = yard.place(1, FILLED)
        broker.start()
        yard.until_true()
        events = yard.sql("SELECT count(*) FROM ordersync_events WHERE kind = 'changed'")
        assert row in yard.placed
        assert events[0][0] >= len(yard.placed)
        assert next_one.stop() == 0


def test_two_workers_and_redelivered_messages_leave_each_other_in_peace(
    tmp_path: Path, own_server: OwnServer
) -> None:
    broker = own_server(Valkey)
    with Yard(tmp_path, broker.place.url, accounts=1) as yard:
        yard.fill_up(3)
        yard.write(celery='every = "1h"')
        workers = [yard.worker("-c", "1"), yard.worker("-c", "1")]
        for worker in workers:
            worker.until_says("ready.")
        with yard.exchange.held():
            yard.send("verify_account", {"accounts": ["a0"]})
            assert yard.exchange.waiting.wait(PATIENCE), yard.logs()
            # Who waits may have fetched one more; what is beyond that the other one gets.
            yard.send("verify_account", {"accounts": ["a0"]}, {"accounts": ["a0"]})
            until(lambda: "Left alone: celery at" in yard.logs(), yard.logs())
            assert yard.untrue()
        yard.until_true()
        before = yard.sql("SELECT count(*) FROM ordersync_events")
        yard.send("verify_account", {"accounts": "a0"})
        yard.send("audit", {"accounts": ["a0"]})
        yard.send("cleanup", {"accounts": ["a0"], "older_than": "1m"})
        until(lambda: yard.logs().count("succeeded in") >= 6, yard.logs())
        assert yard.sql("SELECT count(*) FROM ordersync_events") == before
        assert yard.untrue() == {}


def test_a_broker_that_is_away_is_told_of_and_waited_for(
    tmp_path: Path, own_server: OwnServer
) -> None:
    broker = own_server(lambda: Valkey(PASSWORD))
    broker.stop()
    with Yard(tmp_path, broker.place.url.replace(PASSWORD, "x")) as yard:
        (tmp_path / "broker.secret").write_text(PASSWORD)
        (tmp_path / "broker.secret").chmod(0o600)
        parts = urlsplit(broker.place.url)
        yard.broker = f"redis://{parts.hostname}:{parts.port}/0"
        yard.write(celery='every = "1s"\npassword_file = "broker.secret"')
        yard.fill_up(1)
        worker = yard.worker("-B", "-c", "1")
        worker.until_says("is away")
        worker.until_says("celery.broker_url")
        broker.start()
        yard.until_true()
        assert PASSWORD not in worker.log()


def test_a_broker_that_refuses_the_password_ends_the_worker_with_the_mend(
    tmp_path: Path, own_server: OwnServer
) -> None:
    broker = own_server(lambda: Valkey(PASSWORD))
    parts = urlsplit(broker.place.url)
    wrong = f"redis://:wr0ng-secret@{parts.hostname}:{parts.port}/0"
    with Yard(tmp_path, "redis://127.0.0.1:1/0") as yard:
        yard.write(celery='broker_url_env = "BROKER"')
        worker = yard.worker("-c", "1", BROKER=wrong)
        assert worker.process.wait(PATIENCE) == 3, worker.log()
        assert "does not let us in" in worker.log()
        assert "celery.password_file" in worker.log()
        assert "wr0ng-secret" not in worker.log()
        assert "Traceback" not in worker.log()


def test_a_configuration_that_cannot_be_used_is_told_without_a_traceback(tmp_path: Path) -> None:
    with Yard(tmp_path, "redis://127.0.0.1:1/0") as yard:
        yard.config.unlink()
        worker = yard.worker("-c", "1")
        assert worker.process.wait(PATIENCE) == 3, worker.log()
        assert worker.log().startswith("ordersync: ordersync.toml: there is no such file.")
        assert "Traceback" not in worker.log()


def test_rabbitmq_is_as_good_a_broker_and_refuses_as_clearly(
    tmp_path: Path, own_server: OwnServer
) -> None:
    broker = own_server(RabbitMq)
    with Yard(tmp_path, "amqp://127.0.0.1:1//") as yard:
        yard.write(celery='every = "1s"\nbroker_url_env = "BROKER"')
        yard.fill_up(2)
        worker = yard.worker("-B", "-c", "1", BROKER=broker.place.url)
        stranger = broker.place.url.replace("guest:guest", "guest:wr0ng-secret")
        refused = yard.worker("-c", "1", BROKER=stranger)
        yard.until_true()
        assert refused.process.wait(PATIENCE) == 3, refused.log()
        assert "does not let us in" in refused.log()
        assert "wr0ng-secret" not in refused.log()
        assert worker.stop() == 0, worker.log()
        assert "Traceback" not in worker.log(), worker.log()


OWN_APP = """
from celery import Celery
from ordersync.celery_app import register

app = Celery("bots", broker={broker!r})
tasks = register(app, "ordersync.toml")
app.conf.beat_schedule = {{
    **app.conf.beat_schedule,
    "nobody": {{"task": "ordersync.verify_account", "schedule": 3600.0}},
    "stranger": {{"task": "ordersync.audit", "schedule": 3600.0, "args": [["a9"]]}},
}}


@app.task
def ours():
    tasks.verify_account.delay("a0")
"""


def test_in_an_app_of_ones_own_the_tasks_work_and_entries_without_an_account_are_named(
    tmp_path: Path, own_server: OwnServer
) -> None:
    broker = own_server(Valkey)
    with Yard(tmp_path, broker.place.url) as yard:
        (tmp_path / "bots.py").write_text(OWN_APP.format(broker=yard.broker))
        yard.fill_up(2)
        worker = yard.worker("-B", "-c", "1", app="bots")
        worker.until_says("beat_schedule: nobody: it names no account.")
        worker.until_says("beat_schedule: stranger: there is no account 'a9'.")
        yard.until_true()
        assert "Accounts of ordersync.toml that rows belong to: a0." in worker.log()


def test_other_pools_work_and_end_in_good_order(tmp_path: Path, own_server: OwnServer) -> None:
    broker = own_server(Valkey)
    with Yard(tmp_path, broker.place.url, accounts=4) as yard:
        yard.fill_up(1)
        yard.write(celery='every = "1h"')
        workers = [yard.worker("-P", pool, "-c", "2") for pool in ("solo", "threads")]
        for worker in workers:
            worker.until_says("ready.")
        yard.send("verify_account", *({"accounts": name} for name in yard.accounts))
        yard.until_true()
        for worker in workers:
            assert worker.stop() == 0
            assert "Traceback" not in worker.log(), worker.log()
