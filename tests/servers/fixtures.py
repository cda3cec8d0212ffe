"""The servers as fixtures; tests/conftest.py makes them known to all tests.

`postgres18`, `postgres16`, `postgres15`, `pgbouncer` and `mariadb` are shared by all workers of a
test run, and do not wait for the disk. `postgres` is what ORDERSYNC_TEST_POSTGRES names, or 18. A
test takes a database of its own: `url = postgres18.new_database()`. What stops, kills or
configures a server takes one of its own: `own_server(lambda: Postgres(18, password="x"))`.

Where a server cannot be had its tests are skipped, unless ORDERSYNC_DEMAND asks for `servers`.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeVar

import pytest

from tests.servers import mariadb as maria
from tests.servers import postgres as pg
from tests.servers.daemon import Missing
from tests.servers.mariadb import MariaDb
from tests.servers.owned import Owned
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import Postgres
from tests.servers.sharing import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.place import Place, Server

S = TypeVar("S", bound=Owned)


class OwnServer(Protocol):
    """Starts a server that ends with the test."""

    def __call__(self, launch: Callable[[], S]) -> S: ...


def without(reason: Missing) -> NoReturn:
    """Skip loudly, or fail where servers are demanded."""
    if "servers" in os.environ.get("ORDERSYNC_DEMAND", "").split(","):
        pytest.fail(f"NO SERVER: {reason}")
    pytest.skip(f"NO SERVER: {reason}")


@pytest.fixture(scope="session")
def common_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test run, the same for all its workers."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def one_for_all(root: Path, name: str, launch: Callable[[], Owned]) -> Iterator[Place]:
    """A server shared by all workers of the test run."""
    with ExitStack() as stack:
        try:
            place = stack.enter_context(shared(root, name, launch))
        except Missing as reason:
            without(reason)
        yield place


@contextmanager
def common_postgres(root: Path, major: int) -> Iterator[Server]:
    name = f"postgres{major}"
    with one_for_all(root, name, lambda: Postgres(major, swift=True)) as place:
        yield pg.Databases(place)


@pytest.fixture(scope="session")
def postgres18(common_folder: Path) -> Iterator[Server]:
    """The newest PostgreSQL."""
    with common_postgres(common_folder, 18) as server:
        yield server


@pytest.fixture(scope="session")
def postgres16(common_folder: Path) -> Iterator[Server]:
    """One in the middle."""
    with common_postgres(common_folder, 16) as server:
        yield server


@pytest.fixture(scope="session")
def postgres15(common_folder: Path) -> Iterator[Server]:
    """Debian 12's, with ICU and TLS in it."""
    with common_postgres(common_folder, 15) as server:
        yield server


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server that ORDERSYNC_TEST_POSTGRES names; without it, the newest of ours."""
    somebodys = pg.named()
    if somebodys is None:
        yield request.getfixturevalue("postgres18")
        return
    try:
        yield somebodys
    finally:
        somebodys.drop_all()


@pytest.fixture(scope="session")
def pgbouncer(common_folder: Path, postgres18: Server) -> Iterator[Server]:
    """A pooler in transaction mode before `postgres18`; it knows every database there."""
    with one_for_all(common_folder, "pgbouncer", lambda: PgBouncer(postgres18)) as place:
        yield pg.Databases(place)


@pytest.fixture(scope="session")
def mariadb(common_folder: Path) -> Iterator[Server]:
    """Debian's MariaDB."""
    with one_for_all(common_folder, "mariadb", lambda: MariaDb(swift=True)) as place:
        yield maria.Databases(place)


@pytest.fixture
def own_server() -> Iterator[OwnServer]:
    """Start servers that the test may stop, kill and configure; they wait for the disk."""
    with ExitStack() as stack:

        def start(launch: Callable[[], S]) -> S:
            try:
                return stack.enter_context(closing(launch()))
            except Missing as reason:
                without(reason)

        yield start
