"""The servers that other tests rely on do what those tests need."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString

import psycopg
import pymysql
import pytest

from tests.servers import mariadb as maria
from tests.servers.daemon import Daemon, Folder, Hold, until
from tests.servers.mariadb import MariaDb
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import Postgres
from tests.servers.sharing import shared
from tests.servers.undertaker import gone

if TYPE_CHECKING:
    from tests.servers.fixtures import OwnServer
    from tests.servers.place import Server

MAJORS = (15, 16, 18)
RIGHT, WRONG = "r:ght@/", "wrong"


def ask(url: str, text: LiteralString) -> object:
    """The first cell that PostgreSQL answers."""
    with psycopg.connect(url, prepare_threshold=None) as connection:
        row = connection.execute(text).fetchone()
    assert row is not None
    return row[0]


def tell(url: str, *texts: LiteralString) -> None:
    with psycopg.connect(url, prepare_threshold=None) as connection:
        for text in texts:
            connection.execute(text)


def ask_maria(url: str, text: str) -> object:
    with contextlib.closing(maria.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(text)
        row = cursor.fetchone()
    assert row is not None
    return row[0]


# --- shared servers ---------------------------------------------------------------------------


@pytest.mark.parametrize("major", MAJORS)
def test_each_postgres_is_of_the_version_it_is_named_after(
    major: int, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(f"postgres{major}")
    url = server.new_database()
    assert str(ask(url, "SELECT version()")).startswith(f"PostgreSQL {server.version} ")
    assert server.version.startswith(f"{major}.")


@pytest.mark.parametrize("make", ["postgres", "pgbouncer", "mariadb"])
def test_a_new_database_shows_nothing_of_another(make: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(make)
    one, other = server.new_database(), server.new_database()
    assert one != other
    if make == "mariadb":
        with contextlib.closing(maria.connect(one)) as connection:
            connection.cursor().execute("CREATE TABLE trades (id int)")
        count = "SELECT count(*) FROM information_schema.tables WHERE table_schema = database()"
        assert [ask_maria(url, count) for url in (one, other)] == [1, 0]
    else:
        tell(one, "CREATE TABLE trades (id int)")
        assert ask(one, "SELECT to_regclass('trades')::text") == "trades"
        assert ask(other, "SELECT to_regclass('trades')::text") is None


@pytest.mark.parametrize("make", ["postgres18", "mariadb"])
def test_a_database_is_dropped_though_somebody_is_connected(
    make: str, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(make)
    url = server.new_database()
    connect = maria.connect if make == "mariadb" else psycopg.connect
    with contextlib.closing(connect(url)):
        server.drop_database(url)
    with pytest.raises((psycopg.OperationalError, pymysql.OperationalError)):
        connect(url)


def test_mariadb_speaks_as_debians_does(mariadb: Server) -> None:
    url = mariadb.new_database()
    assert str(ask_maria(url, "SELECT version()")).startswith(mariadb.version)
    assert ask_maria(url, "SELECT @@character_set_database") == "utf8mb4"


def test_the_workers_of_a_run_share_one_server(tmp_path: Path, postgres18: Server) -> None:
    """The second finds the first's; when both have let go, it is ended and its folder removed."""

    def launch() -> PgBouncer:
        return PgBouncer(postgres18)

    with contextlib.ExitStack() as first:
        place = first.enter_context(shared(tmp_path, "pooler", launch))
        with shared(tmp_path, "pooler", launch) as seen:
            assert seen == place
            first.close()
            assert ask(seen.url, "SELECT 1") == 1
    assert place.folder is not None
    until(lambda: not Path(str(place.folder)).exists(), "the end of the server")
    with shared(tmp_path, "pooler", launch) as another:
        assert ask(another.url, "SELECT 1") == 1
        assert another != place


# --- servers of one's own ---------------------------------------------------------------------


@pytest.mark.parametrize("major", MAJORS)
def test_postgres_keeps_what_was_committed_through_kill_9(
    major: int, own_server: OwnServer
) -> None:
    server = own_server(lambda: Postgres(major))
    assert ask(server.url("postgres"), "SHOW fsync") == "on"
    url = server.new_database()
    tell(url, "CREATE TABLE trades (id int)", "INSERT INTO trades VALUES (7)")
    with psycopg.connect(url) as cut:
        cut.execute("INSERT INTO trades VALUES (8)")
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            ask(url, "SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            cut.execute("SELECT 1")
    server.start()
    assert ask(url, "SELECT array_agg(id) FROM trades") == [7]
    assert "was not properly shut down" in server.log_text()


def test_postgres_stops_in_good_order_while_somebody_is_connected(own_server: OwnServer) -> None:
    server = own_server(lambda: Postgres(18))
    url = server.new_database()
    with psycopg.connect(url):
        server.stop()
    server.start()
    assert ask(url, "SELECT 1") == 1
    assert "was not properly shut down" not in server.log_text()


def test_postgres_with_a_password_refuses_a_wrong_one(own_server: OwnServer) -> None:
    server = own_server(lambda: Postgres(18, password=RIGHT))
    url = server.new_database()
    assert ask(url, "SELECT 1") == 1
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url, password=WRONG)
    behind = own_server(lambda: PgBouncer(server))
    assert ask(behind.new_database(), "SELECT 1") == 1
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(behind.place.url, password=WRONG)


def test_mariadb_keeps_what_was_committed_through_kill_9(own_server: OwnServer) -> None:
    server = own_server(MariaDb)
    assert ask_maria(server.place.url, "SELECT @@innodb_flush_log_at_trx_commit") == 1
    url = server.new_database()
    with contextlib.closing(maria.connect(url)) as cut, cut.cursor() as cursor:
        cursor.execute("CREATE TABLE trades (id int)")
        cursor.execute("INSERT INTO trades VALUES (7)")
        cut.commit()
        cursor.execute("INSERT INTO trades VALUES (8)")
        server.kill()
        with pytest.raises(pymysql.OperationalError):
            ask_maria(url, "SELECT 1")
    server.start()
    assert ask_maria(url, "SELECT group_concat(id) FROM trades") == "7"
    assert "Starting crash recovery" in server.log_text()


def test_pgbouncer_passes_transactions_and_starts_again(
    postgres18: Server, own_server: OwnServer
) -> None:
    pooler = own_server(lambda: PgBouncer(postgres18))
    url = pooler.new_database()
    tell(url, "CREATE TABLE trades (id int)", "INSERT INTO trades VALUES (7)")
    pooler.kill()
    with pytest.raises(psycopg.OperationalError):
        ask(url, "SELECT 1")
    pooler.start()
    assert ask(url, "SELECT array_agg(id) FROM trades") == [7]


def test_pgbouncer_gives_one_connection_to_many_clients(pgbouncer: Server) -> None:
    """Transaction mode: both are served by one process of PostgreSQL, each in its turn."""
    url = pgbouncer.new_database()
    with (
        psycopg.connect(url, autocommit=True, prepare_threshold=None) as one,
        psycopg.connect(url, autocommit=True, prepare_threshold=None) as other,
    ):
        pids = [each.execute("SELECT pg_backend_pid()").fetchone() for each in (one, other)]
    assert pids[0] == pids[1]


# --- the end of a server ----------------------------------------------------------------------


@pytest.mark.usefixtures("postgres16")  # it skips where there is none
def test_a_server_ends_when_its_user_is_killed() -> None:
    """kill -9 of the tests leaves neither a process nor a folder."""
    code = (
        "import os\n"
        "from tests.servers.postgres import Postgres\n"
        "place = Postgres(16).place\n"
        "print(place.folder, place.url, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).parents[2]
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert said.returncode == -9
    folder, url = said.stdout.split()
    until(lambda: not Path(folder).exists(), "the removal of its folder")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        ask(url, "SELECT 1")


def test_nothing_that_a_server_started_outlives_it() -> None:
    """A shell that was told to end by a signal which it inherited as ignored."""
    folder = Folder()
    script = "trap '' QUIT; sleep 1000 & echo $! > child; wait"
    child = folder.path / "child"
    daemon = Daemon(
        folder, ["/bin/sh", "-c", script], ready=lambda: child.exists() and child.read_text() != ""
    )
    daemon.start()
    pid = int(child.read_text())
    assert not gone(pid)
    daemon.close()
    until(lambda: gone(pid), "the end of what it started")


def test_a_folder_that_is_given_up_cannot_be_held() -> None:
    folder = Folder()
    folder.remove()
    with pytest.raises(FileNotFoundError):
        Hold(folder.path)


def test_a_program_that_ends_at_once_says_why() -> None:
    folder = Folder()
    broken = Daemon(folder, ["/bin/ls", "/no-such-place"], ready=lambda: False)
    with pytest.raises(RuntimeError, match="no-such-place"):
        broken.start()
    broken.close()
