"""What a database does to its clients without dying; each heals by itself, nothing is half done."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from ordersync.simulator import Life
from tests.servers.daemon import ENOUGH, servant, until
from tests.servers.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crash.scene import Scene
    from tests.crash.conftest import SetUp
    from tests.servers.fixtures import OwnServer
    from tests.servers.place import Server

HEALED = 60.0
"""Seconds to the first write after all was there again; machines are shared."""

SOON = Life.filled(timedelta(milliseconds=100))
OURS = "FROM pg_stat_activity WHERE application_name = 'ordersync' AND datname = current_database()"
MUCH = 30 << 20


def ask(scene: Scene, text: str, *arguments: object) -> list[tuple[Any, ...]]:
    with scene.connect() as connection:
        cursor = connection.execute(text.encode(), arguments or None)
        return cursor.fetchall() if cursor.pgresult and cursor.pgresult.nfields else []


def cut_off(scene: Scene) -> None:
    """Let the server end ordersync's connections."""
    ask(scene, "SELECT pg_terminate_backend(pid) " + OURS)


def waiting(scene: Scene, event: str) -> set[int]:
    """Who of ordersync's connections waits for this, in PostgreSQL's words."""
    found = ask(scene, f"SELECT pid {OURS} AND %s IN (wait_event, wait_event_type)", event)
    return {pid for (pid,) in found}


def waits(scene: Scene, event: str) -> bool:
    """Whether a statement of ordersync waits for this."""
    return bool(waiting(scene, event))


def say_so(scene: Scene, words: str) -> None:
    """Wait until the log says it, in words for a person."""
    until(lambda: words in scene.ordersync.log_text(), f"the log says {words!r}", ENOUGH)


def check_log(scene: Scene) -> None:
    assert "Traceback" not in scene.ordersync.log_text()
    assert scene.ordersync.is_alive


def test_orders_that_ended_while_the_database_was_away_are_written_soon_after(
    own_server: OwnServer, set_up: SetUp
) -> None:
    database = own_server(lambda: Postgres(18))
    scene = set_up(database, rows=0)
    rows = scene.place(*[Life.filled(timedelta(seconds=6))] * 30)
    until(lambda: len(scene.ordersync.told) >= len(rows), "they are known to be open")
    database.kill()
    before = scene.ordersync.memory()
    threading.Event().wait(10)
    after = scene.ordersync.memory()
    database.start()
    assert scene.heal(rows) < HEALED
    assert after - before < MUCH
    check_log(scene)


def test_a_connection_that_the_server_ends_is_made_anew(postgres18: Server, set_up: SetUp) -> None:
    scene = set_up(postgres18)
    cut_off(scene)
    assert scene.heal(scene.place(SOON)) < HEALED
    check_log(scene)


def test_a_database_that_only_reads_is_written_to_when_it_writes_again(
    postgres18: Server, set_up: SetUp
) -> None:
    scene = set_up(postgres18)
    name = scene.url.rpartition("/")[2]
    ask(scene, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    cut_off(scene)
    say_so(scene, "the server only reads at the moment")
    with scene.connect(options="-c default_transaction_read_only=off") as administrator:
        rows = [scene.bot.place(administrator, SOON)]
        administrator.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only".encode())
    assert scene.heal(rows, HEALED) < HEALED
    check_log(scene)


SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF current_setting('application_name') = 'ordersync' THEN PERFORM pg_sleep(0.7); END IF;
  RETURN NULL; END $$;
CREATE TRIGGER slow AFTER UPDATE ON trades FOR EACH STATEMENT EXECUTE FUNCTION slow()"""


def test_a_row_that_the_bot_lets_go_while_others_are_written_is_written_too(
    postgres18: Server, set_up: SetUp
) -> None:
    scene = set_up(postgres18, rows=0)
    ask(scene, SLOW)
    held, other = scene.place(*[Life.filled(timedelta(seconds=2))] * 2)
    with scene.connect() as bot, bot.transaction():
        bot.execute("UPDATE trades SET note = 'mine' WHERE id = %s", (held,))
        until(lambda: waits(scene, "PgSleep"), "ordersync has passed it by")
    assert scene.heal([held, other], HEALED) < HEALED
    check_log(scene)


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_a_database_of_another_isolation_loses_nothing(
    postgres18: Server, set_up: SetUp, isolation: str
) -> None:
    scene = set_up(postgres18, rows=0)
    name = scene.url.rpartition("/")[2]
    ask(scene, f"ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'")
    cut_off(scene)
    verdict = scene.play()
    assert verdict.broken == []
    check_log(scene)


TOTALS = """
CREATE TABLE totals (bot_id integer PRIMARY KEY, writes bigint NOT NULL);
INSERT INTO totals VALUES (7, 0);
CREATE FUNCTION count_writes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  UPDATE totals SET writes = writes + 1 WHERE bot_id = new.bot_id;
  RETURN NULL; END $$;
CREATE TRIGGER count_writes AFTER UPDATE ON trades FOR EACH ROW EXECUTE FUNCTION count_writes()"""


def test_a_deadlock_with_the_bot_is_tried_again(own_server: OwnServer, set_up: SetUp) -> None:
    """The bot waits for the row that we hold, while our trigger waits for what the bot holds."""
    # Whoever waits first is the one that looks for deadlocks first, and is ended.
    scene = set_up(own_server(lambda: Postgres(18, settings={"deadlock_timeout": "300ms"})), rows=0)
    ask(scene, TOTALS)
    (first,) = scene.place(Life.open())
    (row,) = scene.place(Life.filled(timedelta(seconds=2)))
    with (
        scene.connect() as bot,
        contextlib.suppress(psycopg.errors.DeadlockDetected),
        bot.transaction(),
    ):
        bot.execute("UPDATE trades SET note = 'mine' WHERE id = %s", (first,))
        until(lambda: waits(scene, "Lock"), "ordersync waits for the bot")
        bot.execute("UPDATE trades SET note = 'mine too' WHERE id = %s", (row,))
    assert scene.heal([row]) < HEALED
    check_log(scene)


@contextlib.contextmanager
def commits_waiting(scene: Scene) -> Iterator[None]:
    """Commits wait for a standby that is not there."""
    ask(scene, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    ask(scene, "SELECT pg_reload_conf()")
    try:
        yield
    finally:
        ask(scene, "ALTER SYSTEM RESET synchronous_standby_names")
        ask(scene, "SELECT pg_reload_conf()")


def test_a_commit_whose_answer_never_came_is_neither_lost_nor_done_twice(
    own_server: OwnServer, set_up: SetUp
) -> None:
    scene = set_up(own_server(lambda: Postgres(18)), rows=2)
    with commits_waiting(scene):
        rows = scene.place(SOON, SOON)
        for _ in range(3):
            until(lambda: waits(scene, "SyncRep"), "the commit waits")
            before = waiting(scene, "SyncRep")
            cut_off(scene)
            # The next commit may hang before somebody looks: only those from before are meant.
            until(lambda: not before & waiting(scene, "SyncRep"), "it is gone")  # noqa: B023 - asked at once
    assert scene.heal(rows) < HEALED
    check_log(scene)


def test_a_signal_ends_it_while_a_commit_hangs(own_server: OwnServer, set_up: SetUp) -> None:
    scene = set_up(own_server(lambda: Postgres(18)), rows=2)
    with commits_waiting(scene):
        scene.place(SOON)
        until(lambda: waits(scene, "SyncRep"), "the commit waits")
        assert scene.ordersync.stop(ENOUGH) == 0


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of a few megabytes, where root may mount one."""
    user = servant()
    if user is None:
        pytest.skip("NO DISK: only root can mount a small one")
    folder.mkdir()
    options = f"size=2m,uid={user.pw_uid},gid={user.pw_gid},mode=700"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("NO DISK: this machine lets nobody mount one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607 - where root has it


def test_a_full_disk_is_told_and_heals_when_there_is_room(
    own_server: OwnServer, set_up: SetUp
) -> None:
    database = own_server(lambda: Postgres(18))
    with small_disk(database.daemon.folder.path / "disk") as disk:
        scene = set_up(database, rows=0)
        ask(scene, f"CREATE TABLESPACE small LOCATION '{disk}'")
        ask(scene, "ALTER TABLE ordersync_events SET TABLESPACE small")
        ask(scene, "CREATE TABLE ballast (a text STORAGE PLAIN) TABLESPACE small")
        with contextlib.suppress(psycopg.errors.DiskFull), scene.connect() as connection:
            while True:
                connection.execute("INSERT INTO ballast VALUES (repeat('x', 7000))")
        rows = scene.place(*[SOON] * 20)
        say_so(scene, "No space left on device")
        with scene.connect() as connection:
            count = connection.execute("SELECT count(*) FROM ordersync_events").fetchone()
        ask(scene, "DROP TABLE ballast")
        took = scene.heal(rows)
        assert count is not None
        assert took < HEALED
        check_log(scene)
        ask(scene, "DROP TABLE ordersync_events")


def test_at_its_start_it_waits_for_a_database_that_is_still_down(
    own_server: OwnServer, set_up: SetUp
) -> None:
    database = own_server(lambda: Postgres(18))
    scene = set_up(database)
    assert scene.ordersync.stop() == 0
    database.stop()
    scene.ordersync.start()
    say_so(scene, "Waiting for the database")
    database.start()
    assert scene.heal(scene.place(SOON)) < HEALED
    check_log(scene)


def test_a_signal_ends_it_cleanly_while_it_waits_at_its_start(
    own_server: OwnServer, set_up: SetUp
) -> None:
    database = own_server(lambda: Postgres(18))
    scene = set_up(database)
    assert scene.ordersync.stop() == 0
    database.stop()
    scene.ordersync.start()
    say_so(scene, "Waiting for the database")
    status = scene.ordersync.stop()
    database.start()
    assert status == 0
