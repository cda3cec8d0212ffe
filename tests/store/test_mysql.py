"""The store on MariaDB: what only MariaDB and MySQL have. The contract is in tests/contracts."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest

from ordersync.errors import ConfigError, OrdersyncError, StoreBusy, StoreRefused
from ordersync.ports import Absent, Meaning, OrderName, Result, Severity
from ordersync.settings import AccountColumn
from ordersync.store import owner, schema
from ordersync.store.makes import database_at
from ordersync.store.makes.mysql import MysqlServer
from ordersync.store.makes.mysql_address import address_of
from ordersync.store.makes.mysql_literals import packets
from ordersync.store.mapping import bind
from ordersync.store.statement import Ask
from ordersync.store.table_store import TableStore
from ordersync.truth.evidence import Case, Tally
from ordersync.truth.merge import merge
from ordersync.truth.model import Status
from tests.contracts.bench import (
    ACCOUNT,
    NOON,
    PAUSE,
    TRADES,
    HandClock,
    again,
    ingest,
    ingest_one,
    mapped,
    open_rows,
    read,
    said,
    step,
)
from tests.contracts.mariadb_bench import MariadbBench
from tests.servers.mariadb import MariaDb
from tests.store.test_findings import warnings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import pymysql
    from pymysql.cursors import Cursor

    from ordersync.ports import Finding
    from tests.contracts.bench import Row
    from tests.servers.fixtures import OwnServer
    from tests.servers.place import Server

SECRET = "s3cr&t:/é"  # noqa: S105 - nobody's
PENDING: Row = {"id": 1, "order_id": "v1", "client_id": "c1", "status": "pending"}
FILLED = said("v1", Status.FILLED, "2", avg_price="10.5", last_fill_at=NOON)
PLAIN = "id BIGINT PRIMARY KEY, order_id VARCHAR(100) UNIQUE, status VARCHAR(20)"
BARE: dict[str, Any] = dict.fromkeys(
    ("client_order_id", "created_at", "filled_at", "filled_qty", "avg_price", "fee", "reason")
)
BARE |= {"owner": None, "symbol": None}


# --- the address ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("mysql://bot@db.host/trading", "mysql://bot@db.host:3306/trading"),
        ("mariadb://bot@db.host:3307/trading", "mysql://bot@db.host:3307/trading"),
        ("mysql+pymysql://b%40t@h/d%2Fb?charset=utf8mb4", "mysql://b@t@h:3306/d/b"),
        ("mysql://bot@[::1]/d", "mysql://bot@::1:3306/d"),
        ("mysql://bot@/d?unix_socket=/run/my.sock", "mysql://bot@/run/my.sock/d"),
    ],
)
def test_a_url_says_where_the_database_is(tmp_path: Path, url: str, where: str) -> None:
    assert database_at(url, tmp_path).where == where


def test_the_password_is_that_of_the_file_else_of_the_url_else_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MYSQL_PWD", "env")
    assert address_of("mysql://u:p%40ss@h/d", "file").password == "file"  # noqa: S105
    assert address_of("mysql://u:p%40ss@h/d", None).password == "p@ss"  # noqa: S105
    assert address_of("mysql://u@h/d", None).password == "env"  # noqa: S105
    monkeypatch.delenv("MYSQL_PWD")
    assert not address_of("mysql://u@h/d", None).password


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://bot:{SECRET}@h/d",
        f"mysql://bot:{SECRET}@h:x/d",
        f"mysql://bot:{quote(SECRET)}@h",
        f"mysql://bot:1/{SECRET[:4]}@h",
        f"mysql://bot:{quote(SECRET, safe='')}@/d",
        f"mysql://bot:{quote(SECRET, safe='')}@h/d/e",
        f"mysql://bot:{quote(SECRET, safe='')}@h/d#e",
        f"mysql://bot:{quote(SECRET, safe='')}@h/d?colour=red",
        f"mysql://bot:{quote(SECRET, safe='')}@h/d?charset=latin1",
        f"mysql://bot:{quote(SECRET, safe='')}@h/d?ssl_verify_cert=maybe",
        f"mysql://bot:{quote(SECRET, safe='')}@h/d?ssl_ca=/no/such/file",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MysqlServer(url)
    assert caught.value.where == "database.url"
    assert caught.value.mend
    assert "s3cr" not in f"{caught.value} {caught.value.__cause__}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_the_password_is_shown_nowhere() -> None:
    server = MysqlServer(f"mysql://bot:{quote(SECRET, safe='')}@h/d")
    address = address_of(f"mysql://bot:{quote(SECRET, safe='')}@h/d", None)
    assert address.password == SECRET
    for shown in (repr(server), str(server), server.where, repr(address)):
        assert "s3cr" not in shown


@pytest.mark.parametrize(
    ("query", "verifies", "by_name"),
    [
        ("ssl_verify_cert=true", ssl.CERT_REQUIRED, True),
        ("ssl_verify_identity=true", ssl.CERT_REQUIRED, True),
        ("ssl_verify_identity=false", ssl.CERT_REQUIRED, False),
        ("ssl_verify_cert=false", ssl.CERT_NONE, False),
    ],
)
def test_who_asks_for_tls_has_signature_and_name_verified_unless_told_otherwise(
    query: str, verifies: ssl.VerifyMode, *, by_name: bool
) -> None:
    tls = address_of(f"mysql://u@h/d?{query}", None).tls
    assert tls is not None
    assert (tls.verify_mode, tls.check_hostname) == (verifies, by_name)
    assert address_of("mysql://u@h/d", None).tls is None


def test_a_packet_takes_no_more_than_fits() -> None:
    lines = [["x" * 40]] * 5
    assert [len(part) for part in packets(lines, 100, None)] == [2, 2, 1]
    assert [len(part) for part in packets(lines, 1, None)] == [1] * 5
    assert [len(part) for part in packets(lines, 1000, 3)] == [3, 2]


# --- a database -------------------------------------------------------------------------------


class Place(MariadbBench):
    """A database, users of its own, and the stores that a test opens on it."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.name = urlsplit(self.url).path.lstrip("/")
        self.clock = HandClock()
        self._stores: list[TableStore] = []
        self._users: list[str] = []

    async def open(
        self,
        *,
        url: str | None = None,
        create: bool = True,
        **mapping: Any,  # noqa: ANN401 - any key of [orders]
    ) -> TableStore:
        store = TableStore(
            MysqlServer(url or self.url),
            mapped(**mapping),
            self.clock,
            where="ordersync.toml",
            contested_pause=PAUSE,
        )
        self._stores.append(store)
        await store.open(create=create)
        return store

    async def refusal(self, **how: Any) -> OrdersyncError:  # noqa: ANN401 - as `open` takes it
        """The error with which a store will not open."""
        with pytest.raises(OrdersyncError) as caught:
            await self.open(**how)
        assert "p@ss" not in str(caught.value)
        return caught.value

    def user(self, *grants: str) -> str:
        """A user of this database with these rights; the URL for it."""
        name = f"u{len(self._users)}_{self.name[5:]}"
        self._users.append(name)
        self.run(f"CREATE USER '{name}'@'%' IDENTIFIED BY 'pw'")
        for grant in grants:
            self.run(f"GRANT {grant} TO '{name}'@'%'")
        parts = urlsplit(self.url)
        return parts._replace(netloc=f"{name}:pw@{parts.hostname}:{parts.port}").geturl()

    async def aclose(self) -> None:
        for store in self._stores:
            await store.close()
        for user in self._users:
            self.run(f"DROP USER '{user}'@'%'")
        self.close()

    def words(self) -> list[Any]:
        return [word for (word,) in self.run("SELECT status FROM trades ORDER BY id")]


@pytest.fixture
async def place(mariadb: Server) -> AsyncIterator[Place]:
    it = Place(mariadb)
    yield it
    await it.aclose()


@pytest.fixture
def bot(place: Place) -> Iterator[pymysql.Connection[Cursor]]:
    """A bot's own connection, whose transaction stays open for as long as it likes."""
    with closing(place.connect()) as connection:
        yield connection


def by_part(found: list[Finding]) -> dict[str, list[Finding]]:
    parts: dict[str, list[Finding]] = {}
    for one in found:
        parts.setdefault(one.about, []).append(one)
        assert one.mend or one.severity is Severity.OK
        assert "%%" not in f"{one.what}{one.mend}"
    return parts


# --- getting in -------------------------------------------------------------------------------


async def test_who_is_not_let_in_is_told_so_without_the_password(place: Place) -> None:
    parts = urlsplit(place.url)
    at = f"{parts.hostname}:{parts.port}"
    wrong = await place.refusal(url=f"mysql://nobody:p%40ss@{at}/{place.name}")
    assert isinstance(wrong, StoreRefused)
    assert "password" in wrong.mend
    missing = await place.refusal(url=parts._replace(path="/no_such").geturl())
    assert isinstance(missing, StoreRefused)
    assert "no_such" in missing.what
    away = await place.refusal(url=f"mysql://u:p%40ss@127.0.0.1:1/{place.name}")
    assert isinstance(away, StoreBusy)
    assert "database.url" in away.mend


async def test_tls_that_the_server_has_not_is_not_done_without(place: Place) -> None:
    error = await place.refusal(url=f"{place.url}?ssl_verify_cert=false")
    assert isinstance(error, StoreRefused)
    assert "TLS" in error.what


async def test_a_password_may_have_any_letters(place: Place) -> None:
    place.create(TRADES)
    url = place.user(f"ALL ON `{place.name}`.*")
    user = urlsplit(url).username
    place.run(f"SET PASSWORD FOR '{user}'@'%%' = PASSWORD(%s)", SECRET)
    parts = urlsplit(url)
    netloc = f"{user}:{quote(SECRET, safe='')}@{parts.hostname}:{parts.port}"
    await place.open(url=parts._replace(netloc=netloc).geturl())


async def test_a_table_without_transactions_is_refused_at_the_start(place: Place) -> None:
    place.run(f"CREATE TABLE trades ({PLAIN}) ENGINE = MyISAM")
    error = await place.refusal(**BARE)
    assert isinstance(error, ConfigError)
    assert "MyISAM" in error.what
    assert error.mend == "ALTER TABLE `trades` ENGINE = InnoDB;"
    store = await place.open(create=False, **BARE)
    assert by_part(await store.findings())["engine"][0].severity is Severity.ERROR
    place.run(error.mend)
    store = await place.open(**BARE)
    assert "engine" not in by_part(await store.findings())


# --- times ------------------------------------------------------------------------------------


async def test_a_timestamp_is_utc_and_a_datetime_is_in_the_users_zone(
    own_server: OwnServer,
) -> None:
    """On a server that is in a zone of its own."""
    place = Place(own_server(lambda: MariaDb(swift=True, settings={"default_time_zone": "-03:00"})))
    columns = "created_at DATETIME NULL, filled_at TIMESTAMP(3) NULL, updated_at DATETIME(6) NULL"
    place.run(f"CREATE TABLE trades ({PLAIN}, {columns})")
    with closing(place.connect(init_command="SET time_zone = '+05:00'")) as connection:
        connection.cursor().execute(
            "INSERT INTO trades VALUES (1, 'v1', 'pending', '2026-03-01 13:00:00', NULL, NULL),"
            " (2, 'v2', 'completed', NULL, '2026-03-01 16:30:00.5', NULL)"
        )
    times = {"created_at": "created_at", "filled_at": "filled_at", "updated_at": "updated_at"}
    store = await place.open(**{**BARE, **times, "timezone": "Europe/Berlin"})

    (claim,) = await open_rows(store)
    assert claim.created_at == NOON
    recent = await store.list_finished(ACCOUNT, NOON - timedelta(minutes=29))
    assert [c.row_id for c in recent] == []
    recent = await store.list_finished(ACCOUNT, NOON - timedelta(minutes=31))
    assert [c.row_id for c in recent] == [2]
    at = datetime(2026, 3, 1, 11, 30, 15, 123456, tzinfo=UTC)
    report = said("v1", Status.FILLED, "1", last_fill_at=at)
    assert (await ingest_one(store, report)).result is Result.WON
    await again(store, report)

    with closing(place.connect(init_command="SET time_zone = '+05:00'")) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT CONCAT(filled_at), CONCAT(updated_at) FROM trades WHERE id = 1")
        assert cursor.fetchone() == ("2026-03-01 16:30:15.123", "2026-03-01 13:00:00.000000")
    await place.aclose()


async def test_a_time_of_whole_seconds_once_written_is_not_written_again(place: Place) -> None:
    place.run(f"CREATE TABLE trades ({PLAIN}, filled_at DATETIME)")
    place.insert({"id": 1, "order_id": "v1", "status": "pending"})
    store = await place.open(**{**BARE, "filled_at": "filled_at"})
    at = datetime(2026, 3, 1, 11, 30, 15, 999999, tzinfo=UTC)
    report = said("v1", Status.FILLED, "1", last_fill_at=at)
    await ingest_one(store, report)
    assert place.run("SELECT CONCAT(filled_at) FROM trades") == [("2026-03-01 11:30:15",)]
    await again(store, report)
    place.write(1, status="pending")
    await ingest_one(store, report)
    assert place.run("SELECT CONCAT(filled_at) FROM trades") == [("2026-03-01 11:30:15",)]


@pytest.mark.parametrize("kind", ["DATETIME(6) NULL", "TIMESTAMP NULL"])
async def test_a_zero_date_is_no_time_and_the_doctor_tells_of_it(place: Place, kind: str) -> None:
    place.run(f"CREATE TABLE trades ({PLAIN}, created_at {kind}, filled_at {kind})")
    zero = "0000-00-00 00:00:00"
    for n, word in ((1, "pending"), (2, "completed")):
        cells = (n, f"v{n}", word, zero, zero)
        place.run("INSERT INTO trades VALUES (%s, %s, %s, %s, %s)", *cells)
    store = await place.open(**{**BARE, "created_at": "created_at", "filled_at": "filled_at"})
    (claim,) = await open_rows(store)
    assert claim.created_at is None
    assert await store.list_finished(ACCOUNT, NOON - timedelta(days=9)) == []
    assert (await ingest_one(store, FILLED)).rows_written == 1
    assert place.run("SELECT filled_at = '2026-03-01 12:00' FROM trades WHERE id = 1") == [(1,)]
    found = by_part(await store.findings())["zero dates"]
    assert [one.what.partition(" in")[0] for one in found] == [
        "2 rows hold 0000-00-00",
        "1 rows hold 0000-00-00",
    ]
    for one in found:
        place.run(one.mend)
    assert "zero dates" not in by_part(await store.findings())


# --- letters ----------------------------------------------------------------------------------

CASELESS = (
    "CREATE TABLE trades (id VARCHAR(50) PRIMARY KEY, order_id VARCHAR(100), status VARCHAR(20),"
    " client_id VARCHAR(100), KEY (order_id), KEY (status)) CHARACTER SET {0} COLLATE {1}"
)


@pytest.mark.parametrize(
    "letters", [("utf8mb4", "utf8mb4_general_ci"), ("latin1", "latin1_swedish_ci")]
)
async def test_letters_that_a_column_holds_for_equal_are_not_equal(
    place: Place, letters: tuple[str, str]
) -> None:
    place.run(CASELESS.format(*letters))
    words = ["pending", "PENDING", "pending ", "pénding"]
    rows: list[Row] = [
        {"id": f"{n}x", "order_id": name, "status": word}
        for n, (name, word) in enumerate(zip(["ABC", "x", "y", "z"], words, strict=True))
    ]
    place.insert(*rows)
    store = await place.open(**{**BARE, "client_order_id": "client_id"})
    assert [c.row_id for c in await open_rows(store)] == ["0x"]
    unmapped = await store.list_unmapped(ACCOUNT, 9)
    assert {(c.word, c.meaning) for c in unmapped} == {(w, Meaning.UNMAPPED) for w in words[1:]}
    for name, written in (("abc", 0), ("ABC ", 0), ("ÁBC", 0), ("ABC", 1), ("x", 0), ("z", 0)):
        assert (await ingest_one(store, said(name))).rows_written == written, name
    assert place.words() == ["completed", *words[1:]]
    counted = " ".join(one.what for one in by_part(await store.findings())["words"])
    assert "'PENDING'" in counted
    assert "'pénding'" in counted


async def test_letters_that_a_column_lacks_name_no_row_and_harm_nobody(place: Place) -> None:
    place.run(CASELESS.format("latin1", "latin1_swedish_ci"))
    place.insert({"id": "é", "order_id": "vé", "client_id": "c1", "status": "pending"})
    store = await place.open(**{**BARE, "client_order_id": "client_id"})
    names = [OrderName("ключ", "c\U0001f600"), OrderName("vé", None), OrderName(None, "日本")]
    known = await store.read(ACCOUNT, names)
    assert [len(one.claims) for one in known] == [0, 1, 0]
    outcomes = await ingest(store, said("ключ"), said("vé"), said("日本"))
    assert [o.rows_written for o in outcomes] == [0, 1, 0]
    assert len(await place.views(mapped(**BARE)).find("é")) == 1
    assert await place.views(mapped(**BARE)).find("ключ")


@pytest.mark.parametrize("change", [{"status": "PENDING"}, {"order_id": "V1"}, {"order_id": "v1 "}])
async def test_a_guard_tells_letters_apart_that_the_column_does_not(
    place: Place, change: Row
) -> None:
    place.run(CASELESS.format("utf8mb4", "utf8mb4_general_ci"))
    place.insert({"id": "a", "order_id": "v1", "status": "pending"})
    store = await place.open(**BARE)
    (known,) = await read(store, FILLED)
    place.write("a", **change)
    (outcome,) = await store.advance(ACCOUNT, [step(known, merge(None, FILLED))])
    assert outcome.result is Result.LOST
    assert place.words() != ["completed"]


async def test_backslashes_are_letters_like_any_other(place: Place) -> None:
    place.create(TRADES)
    place.insert(
        {**PENDING, "status": "a\\", "note": "x\\' OR 1=1"}, {**PENDING, "id": 2, "order_id": "v2"}
    )
    words = {"a\\": ["open"], "b\\'; --": ["filled"], "c\\n": ["final"]}
    store = await place.open(status_words=words, where="note = 'x\\'' OR 1=1'")
    assert [c.row_id for c in await open_rows(store)] == [1]
    await ingest_one(store, said("v1", Status.CANCELED, "0", reason="\\u0041\\' %s %(keys)s"))
    assert place.words() == ["c\\n", "pending"]
    assert place.rows()[0]["reason"] == "\\u0041\\' %s %(keys)s"
    await again(store, said("v1", Status.CANCELED, "0", reason="\\u0041\\' %s %(keys)s"))


async def test_a_condition_may_have_its_texts_in_double_quotes(place: Place) -> None:
    place.create(TRADES)
    place.insert({**PENDING, "exchange": "cb"}, {**PENDING, "id": 2, "order_id": "v2"})
    store = await place.open(where='exchange = "cb"')
    assert [c.row_id for c in await open_rows(store)] == [1]


# --- types ------------------------------------------------------------------------------------


async def test_whole_numbers_are_compared_with_numbers_only(place: Place) -> None:
    """MariaDB takes '12abc' for 12, and 'open' for 0."""
    place.run(
        "CREATE TABLE trades (id BIGINT UNSIGNED PRIMARY KEY, order_id BIGINT UNSIGNED UNIQUE,"
        " status TINYINT, exchange INT)"
    )
    most = 2**64 - 1
    place.run("INSERT INTO trades VALUES (%s, %s, 0, 1), (2, 12, 0, 1), (3, 13, 1, 1)", most, most)
    account = AccountColumn(column="exchange", values={"1": "main", "cb": "main"})
    codes = {"0": ["open"], "open": ["new"], "1": ["filled"], "-1": ["final"]}
    store = await place.open(**{**BARE, "status_words": codes, "account": account})
    assert len(await open_rows(store)) == 2
    assert await store.list_unmapped(ACCOUNT, 9) == []
    for name, written in (("12abc", 0), ("012", 0), ("12.0", 0), (f"{most}0", 0), ("12", 1)):
        assert (await ingest_one(store, said(name))).rows_written == written, name
    assert (await ingest_one(store, said(str(most), Status.CANCELED))).rows_written == 1
    assert place.words() == [1, 1, -1]
    (match,) = await place.views(mapped(**{**BARE, "status_words": codes})).find(str(most))
    assert match.row_id == str(most)


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("UUID", "11111111-2222-3333-4444-555555555555"),
        ("CHAR(36)", "11111111-2222-3333-4444-555555555555"),
        ("DECIMAL(30, 0)", "123456789012345678901234567890"),
        ("ENUM('a', 'b')", "b"),
    ],
)
async def test_keys_may_be_of_other_types(place: Place, kind: str, key: str) -> None:
    place.run(f"CREATE TABLE trades ({PLAIN.replace('BIGINT', kind)})")
    place.run("INSERT INTO trades VALUES (%s, 'v1', 'pending')", key)
    store = await place.open(**BARE)
    assert (await ingest_one(store, said("v1"))).result is Result.WON
    assert place.words() == ["completed"]
    await again(store, said("v1"))
    (match,) = await place.views(mapped(**BARE)).find(key)
    assert match.row_id == key
    assert await place.views(mapped(**BARE)).find("0") == []


@pytest.mark.parametrize(
    "kind",
    ["ENUM('pending', 'completed')", "VARCHAR(20) CHECK (status IN ('pending', 'completed'))"],
)
async def test_a_word_that_the_type_does_not_know_is_refused_or_left_out(
    place: Place, kind: str
) -> None:
    place.run(f"CREATE TABLE trades ({PLAIN.replace('VARCHAR(20)', kind)})")
    place.run("INSERT INTO trades VALUES (1, 'v1', 'pending'), (2, 'v2', 'pending')")
    store = await place.open(**BARE)
    outcomes = await ingest(store, said("v1", Status.CANCELED), said("v2"))
    assert [o.result for o in outcomes] == [Result.UNWRITABLE, Result.WON]
    assert place.words() == ["pending", "completed"]
    found = by_part(await store.findings())["words"]
    assert any("cannot hold 'failed'" in what for what in warnings(found))


async def test_a_number_too_long_for_its_column_is_unwritable_and_harms_nobody(
    place: Place,
) -> None:
    place.run(f"CREATE TABLE trades ({PLAIN}, filled_size DECIMAL(10, 2), price FLOAT)")
    place.run("INSERT INTO trades (id, order_id, status) VALUES (1, 'v1', 'pending')")
    place.run("INSERT INTO trades (id, order_id, status) VALUES (2, 'v2', 'pending')")
    store = await place.open(**{**BARE, "filled_qty": "filled_size", "avg_price": "price"})
    reports = [
        said("v1", Status.FILLED, "123456789.5"),
        said("v2", Status.FILLED, "1.005", avg_price="0.3"),
    ]
    assert [o.result for o in await ingest(store, *reports)] == [Result.UNWRITABLE, Result.WON]
    assert [o.result for o in await ingest(store, *reports)] == [
        Result.UNWRITABLE,
        Result.UNCHANGED,
    ]


async def test_a_column_that_the_database_computes_is_not_mapped(place: Place) -> None:
    column = "filled_size DOUBLE GENERATED ALWAYS AS (id * 2) STORED"
    place.run(f"CREATE TABLE trades ({PLAIN}, {column})")
    error = await place.refusal(**{**BARE, "filled_qty": "filled_size"})
    assert isinstance(error, ConfigError)
    assert "generated" in error.what


async def test_a_table_of_another_database_has_ours_beside_it(place: Place) -> None:
    other = Place(place._server)  # noqa: SLF001 - the same server
    other.create(TRADES)
    other.insert(PENDING)
    store = await place.open(table=f"{other.name}.trades")
    assert (await ingest_one(store, FILLED)).result is Result.WON
    assert other.words() == ["completed"]
    assert other.ours().truths == [("v:v1", 1, "1")]
    assert await store.findings()
    assert place.tables() == []
    await other.aclose()


# --- rights -----------------------------------------------------------------------------------


async def test_a_user_with_the_rights_that_the_dba_is_shown_can_do_all(place: Place) -> None:
    place.create(TRADES)
    place.insert(PENDING)
    url = place.user()
    database = MysqlServer(place.url)
    mapping = bind(database, mapped(updated_at="updated_at"), where="x")
    user = urlsplit(url).username
    for text in owner.statements_for_owner(database.spelling, mapping, user, notify=True):
        place.run(text)
    store = await place.open(url=url, updated_at="updated_at")
    assert (await ingest_one(store, FILLED)).result is Result.WON
    assert [o.severity for o in by_part(await store.findings())["rights"]] == [Severity.OK]
    await again(store, FILLED)


async def test_each_right_that_is_missing_is_named_with_its_grant(place: Place) -> None:
    place.create(TRADES)
    place.insert(PENDING)
    url = place.user(f"SELECT, UPDATE (status, fee) ON `{place.name}`.trades")
    error = await place.refusal(url=url)
    assert isinstance(error, StoreRefused)
    assert error.mend.startswith("GRANT CREATE ON")
    store = await place.open(url=url, create=False)
    rights = by_part(await store.findings())["rights"]
    assert "`filled_at`, `filled_size`, `avg_price`, `reason`, `order_id`" in rights[0].mend
    assert "`status`" not in rights[0].mend
    assert "schema --sql" in rights[1].mend
    place.run(rights[0].mend)
    await place.open()
    place.run(f"GRANT SELECT ON ordersync_schema TO '{urlsplit(url).username}'@'%'")
    lacking = by_part(await (await place.open(url=url, create=False)).findings())["rights"]
    for one in lacking:
        assert one.severity is Severity.ERROR
        place.run(one.mend)
    store = await place.open(url=url)
    assert {o.severity for o in by_part(await store.findings())["rights"]} == {Severity.OK}
    assert (await ingest_one(store, FILLED)).result is Result.WON


async def test_rights_may_come_from_a_role(place: Place) -> None:
    place.create(TRADES)
    role = f"r_{place.name[5:]}"
    place.run(f"CREATE ROLE {role}")
    place.run(f"GRANT ALL ON `{place.name}`.* TO {role}")
    url = place.user()
    user = urlsplit(url).username
    place.run(f"GRANT {role} TO '{user}'@'%'")
    place.run(f"SET DEFAULT ROLE {role} FOR '{user}'@'%'")
    try:
        store = await place.open(url=url)
        for name, _ in (("orders", 0), ("none", 1)):
            found = by_part(await store.findings())["rights"]
            assert [o.severity for o in found] == [Severity.OK], name
            place.run("DROP TABLE IF EXISTS ordersync_schema")
    finally:
        place.run(f"DROP ROLE {role}")


# --- others at work ---------------------------------------------------------------------------


async def test_a_row_that_a_bot_holds_is_passed_by_and_written_at_the_next_pass(
    place: Place, bot: pymysql.Connection[Cursor]
) -> None:
    place.create(TRADES)
    place.insert(*({"id": n, "order_id": f"v{n}", "status": "pending"} for n in range(1, 4)))
    store = await place.open()
    reports = [said(f"v{n}", Status.FILLED, "1") for n in range(1, 4)]
    bot.begin()
    bot.cursor().execute("UPDATE trades SET note = 'mine' WHERE id = 2")

    outcomes = await ingest(store, *reports)

    assert [o.result for o in outcomes] == [Result.WON, Result.LOST, Result.WON]
    assert "another transaction holds" in outcomes[1].why
    bot.rollback()
    assert place.words() == ["completed", "pending", "completed"]
    assert [o.rows_written for o in await ingest(store, *reports)] == [0, 1, 0]
    assert place.words() == ["completed"] * 3


async def test_a_deadlock_with_the_bot_is_busy_and_leaves_nothing(
    place: Place, bot: pymysql.Connection[Cursor]
) -> None:
    """A trigger of the user's waits for what the bot holds, and the bot for our row."""
    place.create(TRADES)
    place.insert(PENDING)
    place.run("CREATE TABLE balance (id INT PRIMARY KEY, n INT)")
    place.run("INSERT INTO balance SELECT seq, 0 FROM seq_1_to_500")
    place.run(
        "CREATE TRIGGER keep AFTER UPDATE ON trades FOR EACH ROW"
        " UPDATE balance SET n = n + 1 WHERE id = 1"
    )
    store = await place.open()
    (known,) = await read(store, FILLED)
    bot.begin()
    bot.cursor().execute("UPDATE balance SET n = n + 1")  # much: so we are to give way

    advancing = asyncio.ensure_future(  # noqa: TID251 - awaited below
        store.advance(ACCOUNT, [step(known, merge(None, FILLED))])
    )
    await asyncio.to_thread(wait_for_a_waiting_transaction, place)
    await asyncio.to_thread(bot.cursor().execute, "UPDATE trades SET note = 'mine'")
    with pytest.raises(StoreBusy) as caught:
        await advancing

    assert caught.value.mend
    bot.commit()
    assert place.words() == ["pending"]
    assert (place.ours().truths, place.ours().events) == ([], [])
    assert (await ingest_one(store, FILLED)).result is Result.WON
    assert place.ours().truths == [("v:v1", 1, "1")]


def wait_for_a_waiting_transaction(place: Place) -> None:
    text = "SELECT count(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"
    for _ in range(100):
        if place.run(text) != [(0,)]:
            return
        # InnoDB tells again what it told last, until nobody has asked for 0.1 s.
        threading.Event().wait(0.11)
    raise AssertionError("nobody waits")


async def test_what_a_bot_keeps_for_too_long_is_busy(
    place: Place, bot: pymysql.Connection[Cursor]
) -> None:
    place.create(TRADES)
    place.insert({**PENDING, "order_id": None})
    store = await place.open()
    bot.begin()
    bot.cursor().execute("INSERT INTO trades (id, order_id) VALUES (7, 'v1')")
    report = said("v1", client_order_id="c1")
    with pytest.raises(StoreBusy):
        await ingest_one(store, report)
    bot.rollback()
    assert (await ingest_one(store, report)).rows_written == 1
    assert place.rows()[0]["order_id"] == "v1"


async def test_a_connection_that_is_lost_is_made_anew(place: Place) -> None:
    place.create(TRADES)
    place.insert(PENDING)
    store = await place.open()
    (known,) = await read(store, FILLED)
    for (number,) in place.run(
        "SELECT id FROM information_schema.PROCESSLIST WHERE db = %s AND id <> CONNECTION_ID()",
        place.name,
    ):
        place.run(f"KILL {number}")
    with pytest.raises(StoreBusy):
        await open_rows(store)
    (outcome,) = await store.advance(ACCOUNT, [step(known, merge(None, FILLED))])
    assert outcome.result is Result.WON


async def test_a_wait_for_the_server_can_be_ended_from_another_thread(place: Place) -> None:
    session = MysqlServer(place.url).connect(writes=False)
    waiting = asyncio.ensure_future(  # noqa: TID251 - awaited below
        asyncio.to_thread(session.fetch, Ask("SELECT sleep(60)"))
    )
    while not place.run("SELECT 1 FROM information_schema.PROCESSLIST WHERE info LIKE '%sleep(6%'"):
        pass
    await asyncio.to_thread(session.interrupt)
    with pytest.raises(MysqlServer.errors):
        await asyncio.wait_for(waiting, 10)
    assert not session.is_alive
    session.close()


async def test_a_server_that_only_reads_or_is_away_is_waited_for(own_server: OwnServer) -> None:
    server = own_server(lambda: MariaDb(swift=True))
    place = Place(server)
    place.create(TRADES)
    place.insert(PENDING)
    await place.open()
    store = await place.open(url=place.user(f"ALL ON `{place.name}`.*"))
    place.run("SET GLOBAL read_only = 1")
    with pytest.raises(StoreBusy) as caught:
        await ingest_one(store, FILLED)
    assert "primary" in caught.value.mend
    found = by_part(await store.findings())
    assert [one.severity for one in found["server"]][:1] == [Severity.ERROR]
    place.run("SET GLOBAL read_only = 0")
    server.stop()
    for _ in range(2):
        with pytest.raises(StoreBusy):
            await ingest_one(store, FILLED)
    server.start()
    assert (await ingest_one(store, FILLED)).result is Result.WON
    assert place.ours().truths == [("v:v1", 1, "1")]
    await place.aclose()


async def test_new_orders_that_many_stores_see_at_once_are_each_new_once(place: Place) -> None:
    count = 200
    place.create(TRADES)
    place.insert(*({"id": n, "order_id": f"v{n}", "status": "pending"} for n in range(count)))
    stores = [await place.open() for _ in range(4)]
    reports = [said(f"v{n}", Status.FILLED, "1") for n in range(count)]

    async def take(store: TableStore) -> list[Result]:
        knowns = await read(store, *reports)
        steps = [step(k, merge(k.truth, r)) for k, r in zip(knowns, reports, strict=True)]
        for _ in range(5):
            try:
                return [o.result for o in await store.advance(ACCOUNT, steps)]
            except StoreBusy:
                continue
        raise AssertionError("always busy")

    results = await asyncio.gather(*map(take, stores))

    for outcomes in zip(*results, strict=True):
        assert Counter(outcomes)[Result.WON] == 1, outcomes
    assert [version for _, version, _ in place.ours().truths] == [1] * count
    assert Counter(place.ours().events) == {(f"v:v{n}", "changed"): 1 for n in range(count)}


async def test_two_stores_that_race_for_one_order_write_each_version_once(place: Place) -> None:
    place.create(TRADES)
    place.insert(PENDING)
    stores = [await place.open() for _ in range(2)]
    for qty in range(1, 21):
        knowns = [(await read(store, said("v1")))[0] for store in stores]
        reports = [said("v1", Status.NEW, f"{qty}.{n}") for n in range(2)]
        outcomes = await asyncio.gather(
            *(
                store.advance(ACCOUNT, [step(known, merge(known.truth, report))])
                for store, known, report in zip(stores, knowns, reports, strict=True)
            )
        )
        assert sorted(o.result for (o,) in outcomes) == [Result.LOST, Result.WON]
    assert place.ours().truths == [("v:v1", 20, "1")]
    ids = place.run("SELECT log_id FROM ordersync_events")
    assert len(set(ids)) == len(ids) == 20


# --- our own tables ---------------------------------------------------------------------------


def declared(place: Place) -> dict[str, list[str]]:
    """Each table's columns and keys, in whatever order they came to it."""
    shown = [place.run(f"SHOW CREATE TABLE {name}")[0] for name, _ in place.tables()]
    return {name: sorted(line.strip(" ,") for line in text.splitlines()) for name, text in shown}


async def test_a_migration_that_was_cut_short_goes_on(place: Place) -> None:
    place.create(TRADES)
    place.insert(PENDING)
    await place.open()
    whole = declared(place)
    place.run("DELETE FROM ordersync_schema")
    place.run("DROP TABLE ordersync_notes, ordersync_log_ids")
    place.run("DROP INDEX ordersync_orders_row ON ordersync_orders")
    place.run("DROP INDEX ordersync_due_at ON ordersync_due")
    await place.open()
    assert declared(place) == whole
    assert place.run("SELECT version FROM ordersync_schema") == [(schema.VERSION,)]


async def test_our_tables_have_transactions_and_letters_whatever_the_server_is_set_to(
    place: Place,
) -> None:
    place.run(f"ALTER DATABASE `{place.name}` CHARACTER SET latin1")
    place.run(f"CREATE TABLE trades ({PLAIN}, reason TEXT CHARACTER SET utf8mb4)")
    place.run("INSERT INTO trades VALUES (1, 'v1', 'pending', NULL)")
    store = await place.open(**{**BARE, "reason": "reason"})
    report = said("v1", Status.REJECTED, reason="ключ \U0001f600")
    await ingest_one(store, report)
    await again(store, report)
    engines = place.run(
        "SELECT DISTINCT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
    )
    assert engines == [("InnoDB",)]


async def test_a_counter_that_was_lost_counts_on_behind_the_log(place: Place) -> None:
    place.create(TRADES)
    place.insert(PENDING)
    store = await place.open()
    for qty in ("1", "2", "3"):
        await ingest_one(store, said("v1", Status.NEW, qty))
    place.run("TRUNCATE ordersync_log_ids")
    store = await place.open()
    for qty in ("4", "5"):
        await ingest_one(store, said("v1", Status.NEW, qty))
    assert place.run("SELECT DISTINCT log_id FROM ordersync_events ORDER BY 1") == [
        (n,) for n in range(1, 6)
    ]
    assert place.run("SELECT count(*) FROM ordersync_log_ids") == [(0,)]


# --- plans ------------------------------------------------------------------------------------


@pytest.mark.parametrize("letters", ["utf8mb4_general_ci", "utf8mb4_bin", "latin1_swedish_ci"])
@pytest.mark.parametrize("kind", ["BIGINT", "VARCHAR(50)"])
async def test_no_look_up_reads_the_whole_table(place: Place, kind: str, letters: str) -> None:
    charset = letters.partition("_")[0]
    place.run(
        f"CREATE TABLE trades (id {kind} PRIMARY KEY, order_id {kind} UNIQUE,"
        " client_id VARCHAR(50), status VARCHAR(20), filled_at DATETIME,"
        " KEY (client_id), KEY (status), KEY (filled_at))"
        f" CHARACTER SET {charset} COLLATE {letters}"
    )
    place.run(
        "INSERT INTO trades SELECT seq, seq, seq, 'completed',"
        " '2020-01-01' + INTERVAL seq HOUR FROM seq_1_to_50000"
    )
    place.run("UPDATE trades SET status = 'pending' WHERE mod(id, 5000) = 0")
    place.run("ANALYZE TABLE trades")
    store = await place.open(
        **{**BARE, "client_order_id": "client_id", "filled_at": "filled_at", "where": "id > 0"}
    )
    reports = [said(str(n), Status.FILLED, "1") for n in range(5000, 50001, 5000)]

    before = await rows_read(store)
    assert len(await open_rows(store)) == 10
    assert {o.result for o in await ingest(store, *reports)} == {Result.WON}
    names = [OrderName(None, str(n)) for n in range(10)]
    assert len(await store.read(ACCOUNT, names)) == 10
    assert await store.list_finished(ACCOUNT, NOON - timedelta(days=1)) == []
    assert await rows_read(store) - before < 5000


async def rows_read(store: TableStore) -> int:
    """How many rows the server has looked at for this store, those of lists included."""
    ask = Ask("SHOW SESSION STATUS LIKE 'Handler_read%%'")
    counts = await store._with(lambda session: session.fetch(ask))  # noqa: SLF001
    return sum(int(count) for _, count in counts)


async def test_cases_of_absence_are_closed_without_reading_all_of_them_for_each(
    place: Place,
) -> None:
    count = 3000
    place.create(TRADES)
    store = await place.open()
    reports = [said(f"v{n}", Status.NEW, "1") for n in range(count)]
    case = Case(opened_at=NOON, tallies={"batch": Tally(1, NOON, NOON)})
    absent = Absent(case=case, overlay=None, since=None, asked_at=NOON)
    known = await read(store, *reports)
    await store.advance(ACCOUNT, [step(k, None, absent=absent) for k in known])
    assert place.run("SELECT count(*) FROM ordersync_absences") == [(count,)]
    before = await rows_read(store)
    assert {o.result for o in await ingest(store, *reports)} == {Result.WON}
    assert place.run("SELECT count(*) FROM ordersync_absences") == [(0,)]
    assert await rows_read(store) - before < 20 * count  # else: the square
