"""The store on PostgreSQL, on tables that somebody else made: types, names, places, keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from ordersync.errors import ConfigError
from ordersync.ports import Advance, Meaning, Result
from ordersync.store.makes.postgres import PostgresServer
from ordersync.store.proposal import Proposal, propose
from ordersync.store.reflection import look_at_table
from ordersync.store.views import TableViews
from ordersync.truth.merge import merge
from ordersync.truth.model import EventEvidence, Source, Status
from tests.contracts.bench import ACCOUNT, NOON, again, ingest, mapped, open_rows, read, said
from tests.store.postgres_house import COLUMNS, House, filled, made, told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.place import Server

WORDS = {
    "pending": ["open"],
    "completed": ["filled", "canceled+fills"],
    "failed": ["rejected", "expired", "canceled", "replaced"],
    "unknown": ["unknown"],
}
UUID = "6f1c2f0a-98a0-4f53-9f7e-0d4b7c7f2a11"
OTHER = "0b9cbe0d-55a0-4d33-8f04-b7cb3a4ae1c2"
SUBJECT = "INSERT INTO trades (id, order_id, client_id, status) VALUES (%s, %s, 'c1', 'pending')"


@pytest.fixture
async def house(postgres18: Server) -> AsyncIterator[House]:
    it = House(postgres18)
    yield it
    await it.aclose()


@pytest.fixture
async def old_house(postgres15: Server) -> AsyncIterator[House]:
    it = House(postgres15)
    yield it
    await it.aclose()


async def becomes_true(
    house: House,
    order: str = "v1",
    table: str = "trades",
    **other: Any,  # noqa: ANN401 - any key of [orders]
) -> None:
    """The row is filled by one report, and the next one writes nothing."""
    store = await house.open(mapped(table=table, **other))
    outcome = await told(store, filled(order))
    assert (outcome.result, outcome.rows_written) == (Result.WON, 1), outcome
    watch = house.watch()
    await again(store, filled(order))
    assert not watch.was_written()
    assert await open_rows(store) == []


# --- keys and ids -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("uuid DEFAULT gen_random_uuid() PRIMARY KEY", UUID),
        ("uuid PRIMARY KEY", UUID.upper()),
        ("varchar(36) PRIMARY KEY", UUID),
        ("char(36) PRIMARY KEY", UUID),
        ("char(40) PRIMARY KEY", UUID),
        ("text PRIMARY KEY", "50% of $1 {x} :y 'q' \"z\" \\n é"),
        ("smallint PRIMARY KEY", 7),
        ("integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY", 1),
        ("bigserial PRIMARY KEY", 2**62),
        ("numeric(20) PRIMARY KEY", 7),
        ("text UNIQUE", "k1"),
        ('text COLLATE "C" UNIQUE DEFERRABLE INITIALLY DEFERRED', "k1"),
    ],
)
async def test_a_row_is_found_and_written_by_a_key_of_any_type(
    house: House, kind: str, key: object
) -> None:
    house.run(made(id=kind))
    text = SUBJECT.replace("VALUES", "OVERRIDING SYSTEM VALUE VALUES")
    house.run(text, key, "v1")
    await becomes_true(house)
    assert house.ask("SELECT status FROM trades") == "completed"


@pytest.mark.parametrize(
    ("kind", "order"),
    [
        ("uuid UNIQUE", UUID),
        ("varchar(36)", UUID),
        ("char(36)", UUID),
        ("bigint UNIQUE", "9223372036854775807"),
        ("numeric(30)", "123456789012345678901234567890"),
        ("text", "v 50% $1 {x} :y 'q' \"z\" \\n é"),
    ],
)
async def test_a_row_is_found_by_a_venue_id_of_any_type(
    house: House, kind: str, order: str
) -> None:
    house.run(made(order_id=kind))
    house.run(SUBJECT, 1, order)
    await becomes_true(house, order)


@pytest.mark.parametrize(
    ("kind", "order", "client"),
    [
        ("uuid UNIQUE", UUID, "text"),
        ("char(36)", UUID, "char(36)"),
        ("varchar(36)", UUID, "uuid"),
        ("bigint", "77", "text"),
        ("bigint", "77", "bigint"),
    ],
)
async def test_a_row_without_a_venue_id_is_found_by_its_client_id_and_gets_it(
    house: House, kind: str, order: str, client: str
) -> None:
    house.run(made(order_id=kind, client_id=client))
    mine = "5" if client == "bigint" else OTHER
    house.run("INSERT INTO trades (id, client_id, status) VALUES (1, %s, 'pending')", mine)
    store = await house.open()
    outcome = await told(store, filled(order, client_order_id=mine))
    assert (outcome.result, outcome.rows_written) == (Result.WON, 1), outcome
    assert house.ask("SELECT order_id::text FROM trades") == order
    await again(store, filled(order, client_order_id=mine))


async def test_an_id_that_the_column_cannot_hold_harms_no_other_order(house: House) -> None:
    house.run(made(order_id="uuid UNIQUE"))
    house.run(SUBJECT, 1, UUID)
    store = await house.open()
    odd = ["", "v1", "0", "a" * 5000, "\0", "a\0b", "é'\"\\%s", UUID + " ", "{" + OTHER + "}"]
    outcomes = await ingest(store, *(filled(one) for one in odd if one), filled(UUID))
    results = {o.key.removeprefix("v:"): o.result for o in outcomes}
    assert {one for one, result in results.items() if result is not Result.WON} <= {"\0", "a\0b"}
    assert house.ask("SELECT status FROM trades") == "completed"
    again_ = await ingest(store, *(filled(one) for one in odd if one), filled(UUID))
    assert again_[-1].result is Result.UNCHANGED


async def test_a_letter_that_no_text_can_hold_harms_neither_row_nor_history(house: House) -> None:
    house.run(made())
    house.run(SUBJECT, 1, "v1")
    store = await house.open(mapped(updated_at="updated_at"))
    report = filled(symbol="BTC\0USD", client_order_id="c\0", reason="x\0")
    (known,) = await read(store, report)
    evidence = EventEvidence(answer="a\0", endpoint="b", raw='{"x": "\0 \\u0000"}')
    first = Advance(
        known=known,
        truth=merge(None, report),
        source=Source.POLL,
        evidence=evidence,
        asked_at=NOON,
    )
    (outcome,) = await store.advance(ACCOUNT, [first])
    assert outcome.rows_written == 1
    for _ in range(4):
        house.run("UPDATE trades SET status = 'pending'")
        house.clock.forward(1)
        (known,) = await read(store, report)
        again_ = msgspec.structs.replace(first, known=known, truth=known.truth)
        (outcome,) = await store.advance(ACCOUNT, [again_])
    assert outcome.why == "somebody keeps undoing the row"
    views = TableViews(PostgresServer(house.url), mapped(), where="x")
    (match,) = await views.find("v1")
    events = await views.history(match)
    told_of = ["changed", "repaired", "repaired", "repaired", "contested"]
    assert [str(e.kind) for e in events] == told_of
    assert events[0].evidence.answer == "a\0"


# --- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        "numeric(18,8)",
        "numeric",
        "numeric(10)",
        "numeric(12,2)",
        "real",
        "double precision",
        "text",
        "varchar(40)",
    ],
)
@pytest.mark.parametrize("start", ["NULL", "'NaN'", "0", "'Infinity'"])
async def test_a_number_column_of_any_type_becomes_true_and_stays_so(
    house: House, kind: str, start: str
) -> None:
    if start == "'Infinity'" and kind.startswith("numeric("):
        pytest.skip("it cannot hold an infinity")
    house.run(made(filled_size=kind, avg_price=kind, fee=kind))
    house.run(SUBJECT, 1, "v1")
    house.run(f"UPDATE trades SET filled_size = {start}, avg_price = {start}")  # noqa: S608
    await becomes_true(house)


async def test_a_number_too_big_for_its_column_is_unwritable_and_the_others_are_written(
    house: House,
) -> None:
    house.run(made(filled_size="numeric(18,8)"))
    for n in range(7):
        house.run(SUBJECT, n, f"v{n}")
    store = await house.open()
    sizes = ["1"] * 7
    sizes[3] = "12345678901.5"
    reports = [filled(f"v{n}", filled=size) for n, size in enumerate(sizes)]
    outcomes = await ingest(store, *reports)
    assert [o.result for o in outcomes].count(Result.WON) == 6
    assert outcomes[3].result is Result.UNWRITABLE
    assert "numeric field overflow" in outcomes[3].why
    assert house.ask("SELECT count(*) FROM trades WHERE status = 'completed'") == 6


@pytest.mark.parametrize("field", ["status", "order_id"])
async def test_a_text_too_long_for_its_column_is_refused_and_never_cut(
    house: House, field: str
) -> None:
    """A cut word is no word, and a cut id is somebody else's."""
    house.run(made(**{field: "varchar(7)"}))
    house.run("INSERT INTO trades (id, client_id, status) VALUES (1, 'c1', 'pending')")
    store = await house.open()
    outcome = await told(store, filled("v123456789", client_order_id="c1"))
    assert outcome.result is Result.UNWRITABLE, outcome
    assert house.run("SELECT status, order_id FROM trades") == [("pending", None)]


async def test_a_reason_is_cut_to_its_column(house: House) -> None:
    house.run(made(reason="varchar(10)"))
    house.run(SUBJECT, 1, "v1")
    store = await house.open()
    report = said("v1", Status.REJECTED, "0", reason="né\0 " * 2000)
    assert (await told(store, report)).result is Result.WON
    assert house.ask("SELECT reason FROM trades") == "né né né "[:10] + "n"
    await again(store, report)


# --- times ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "sample"),
    [
        ("timestamptz", "2026-02-28 10:00:00+00"),
        ("timestamptz(0)", "2026-02-28 10:00:00+00"),
        ("timestamp", "2026-02-28 10:00:00"),
        ("timestamp(0)", "2026-02-28 10:00:00"),
        ("timestamp(3)", "2026-02-28 10:00:00"),
        ("bigint", "1772272800000"),
        ("bigint", "1772272800"),
        ("double precision", "1772272800.25"),
        ("text", "2026-02-28T10:00:00.123Z"),
        ("varchar(40)", "2026-02-28 10:00:00"),
    ],
)
async def test_a_time_column_of_any_type_becomes_true_and_stays_so(
    house: House, kind: str, sample: str
) -> None:
    house.run(made(created_at=kind, filled_at=kind, updated_at=kind))
    house.run(SUBJECT, 1, "v1")
    house.run("UPDATE trades SET created_at = %s", sample)
    at = NOON.replace(microsecond=600_700)
    store = await house.open(mapped(updated_at="updated_at"))
    assert (await told(store, filled(last_fill_at=at))).rows_written == 1
    written = house.ask("SELECT filled_at::text FROM trades")
    assert written.startswith(("2026-03-01", "17723664")), written
    await again(store, filled(last_fill_at=at))
    (claim,) = await store.list_finished(ACCOUNT, NOON)
    assert claim.meaning is Meaning.FINAL
    # A bot that undoes the status leaves the time; it is the same time still.
    house.run("UPDATE trades SET status = 'pending', updated_at = NULL")
    assert (await told(store, filled(last_fill_at=at))).rows_written == 1
    assert house.ask("SELECT filled_at::text FROM trades") == written


@pytest.mark.parametrize("time", ["infinity", "-infinity", "0044-03-15 BC", "294276-12-31"])
@pytest.mark.parametrize("kind", ["timestamptz", "timestamp"])
async def test_a_time_that_is_none_of_ours_does_no_harm(house: House, kind: str, time: str) -> None:
    house.run(made(created_at=kind, filled_at=kind, updated_at=kind))
    house.run(SUBJECT, 1, "v1")
    house.run(
        "UPDATE trades SET created_at = %s, filled_at = %s, updated_at = %s", time, time, time
    )
    store = await house.open(mapped(updated_at="updated_at"))
    (claim,) = await open_rows(store)
    assert claim.created_at is None or claim.created_at.year < 100
    assert (await told(store, filled())).rows_written == 1
    assert str(house.ask("SELECT filled_at::text FROM trades")).startswith("2026-03-01")
    await again(store, filled())


async def test_a_day_may_be_when_an_order_was_made_but_not_when_it_was_filled(
    house: House,
) -> None:
    house.run(made(created_at="date", filled_at="date"))
    house.run(SUBJECT, 1, "v1")
    with pytest.raises(ConfigError, match="cannot hold a time"):
        await house.open()
    await becomes_true(house, filled_at=None)


# --- status types -----------------------------------------------------------------------------

ENUM = (
    "CREATE SCHEMA types; CREATE TYPE types.\"Status\" AS ENUM ('pending', 'completed', 'failed')"
)


async def test_an_enum_in_another_schema_takes_the_words_it_has(house: House) -> None:
    house.run(ENUM)
    house.run(made(status='types."Status" NOT NULL'))
    house.run("CREATE INDEX ON trades (status)")
    house.run(SUBJECT, 1, "v1")
    await becomes_true(house)


DOMAINS = (
    "CREATE DOMAIN word AS varchar(20) CHECK (VALUE IN ('pending', 'completed', 'failed'));"
    "CREATE DOMAIN name AS text; CREATE DOMAIN size AS numeric(18,8); CREATE DOMAIN moment AS"
    " timestamptz NOT NULL; CREATE DOMAIN moments AS timestamptz; CREATE DOMAIN number AS bigint"
)


async def test_columns_of_domains_are_columns_of_what_the_domains_are_made_of(
    house: House,
) -> None:
    house.run(DOMAINS)
    house.run(
        made(
            id="number PRIMARY KEY",
            order_id="name UNIQUE",
            client_id="name",
            status="word",
            filled_size="size",
            avg_price="size",
            fee="size",
            filled_at="moments",
            created_at="moments",
            reason="name",
        )
    )
    house.run(SUBJECT, 1, "v1")
    await becomes_true(house)


async def test_a_status_of_citext_is_written_as_the_mapping_spells_it(old_house: House) -> None:
    try:
        old_house.run("CREATE SCHEMA extensions; CREATE EXTENSION citext SCHEMA extensions")
    except Exception as error:  # noqa: BLE001
        pytest.skip(str(error))
    old_house.run(made(status="extensions.citext", order_id="extensions.citext UNIQUE"))
    old_house.run(SUBJECT, 1, "v1")
    await becomes_true(old_house)


async def test_a_status_of_whole_numbers_is_a_word_too(house: House) -> None:
    house.run(made(status="smallint"))
    house.run("INSERT INTO trades (id, order_id, status) VALUES (1, 'v1', 0)")
    words = {"0": ["open"], "1": ["filled"], "2": ["final"], "-1": ["unknown"]}
    await becomes_true(house, status_words=words)
    assert house.ask("SELECT status FROM trades") == 1


CHECKS = [
    ("text", "status IN ('pending','completed','failed')"),
    ("varchar(20)", "status IN ('pending','completed','failed')"),
    ("varchar(20)", "status IS NULL OR status IN ('pending','completed','failed')"),
    ("char(10)", "status IN ('pending','completed','failed')"),
    ("text", "status = ANY (ARRAY['pending','completed','failed'])"),
    pytest.param("text", "status = ANY ('{pending,completed,failed}')"),
    pytest.param("varchar", "status = ANY ('{pending,completed,failed}'::text[])"),
    ("text", "status = 'pending' OR status = 'completed' OR status = 'failed'"),
    ("text", "(status = 'pending') OR (status IN ('completed','failed'))"),
    ('text COLLATE "C"', "status IN ('pending','completed','failed')"),
]


@pytest.mark.parametrize(("kind", "check"), CHECKS)
async def test_what_a_check_allows_is_read_however_it_is_spelled(
    house: House, kind: str, check: str
) -> None:
    house.run(made("trades", f"CHECK ({check})", status=kind))
    shape = look_at_table(PostgresServer(house.url), "trades")
    assert shape is not None
    assert set(shape.columns["status"].words) == {"pending", "completed", "failed"}


LOOSE = [
    "status NOT IN ('bad', 'worse')",
    "status <> 'bad'",
    "status ~ '^(pending|completed|failed)$'",
    "status IN ('pending') OR reason = 'x'",
    "lower(status) IN ('pending', 'completed')",
    "status IN ('pending', 'completed') OR length(status) > 2",
    "status IN ('pending') OR NOT status IN ('failed')",
    "status LIKE ANY (ARRAY['pend%', 'comp%'])",
    "status || '' IN ('pending', 'completed')",
    "char_length(status) BETWEEN 1 AND 20",
    "num_nonnulls(status) = 1",
]


@pytest.mark.parametrize("check", LOOSE)
async def test_a_check_that_is_no_list_of_words_limits_nothing(house: House, check: str) -> None:
    house.run(made("trades", f"CHECK ({check})"))
    shape = look_at_table(PostgresServer(house.url), "trades")
    assert shape is not None
    assert shape.columns["status"].words == ()


@pytest.mark.parametrize("how", ["NOT VALID", "NO INHERIT", "NOT ENFORCED"])
async def test_a_check_with_more_behind_it_is_read_without_a_warning(
    house: House, how: str
) -> None:
    house.run(made())
    check = "CHECK (status IN ('pending', 'completed', 'failed'))"
    house.run(f"ALTER TABLE trades ADD CONSTRAINT c {check} {how}")
    house.run(SUBJECT, 1, "v1")
    await becomes_true(house)


# --- names and places -------------------------------------------------------------------------

NAMES = [
    "Order ID",
    "50% off",
    "%s %(keys)s %%",
    'a "quoted" one',
    "$1",
    ":x and ::text",
    "{braces} {0}",
    "it's",
    "select",
    "back\\slash",
    "ünïcode €",
    "semi;colon--",
]


@pytest.mark.parametrize("name", NAMES)
async def test_any_name_of_a_table_its_schema_and_its_columns_is_only_a_name(
    house: House, name: str
) -> None:
    q = '"' + name.replace('"', '""') + '"'
    columns = {field: f"{n}{name}" for n, field in enumerate(COLUMNS)}
    kinds = ", ".join(
        '"' + columns[field].replace('"', '""') + f'" {kind}' for field, kind in COLUMNS.items()
    )
    house.run(f"CREATE SCHEMA {q}; CREATE TABLE {q}.{q} ({kinds})")
    names = ['"' + columns[f].replace('"', '""') + '"' for f in ("id", "order_id", "status")]
    many = 210
    house.run(
        f"INSERT INTO {q}.{q} ({', '.join(names)})"  # noqa: S608
        f" SELECT n, 'v' || n, 'pending' FROM generate_series(1, {many}) AS n"
    )
    orders = mapped(
        table=f"{name}.{name}",
        id=columns["id"],
        venue_order_id=columns["order_id"],
        client_order_id=columns["client_id"],
        status=columns["status"],
        symbol=columns["product_id"],
        created_at=columns["created_at"],
        filled_at=columns["filled_at"],
        updated_at=columns["updated_at"],
        filled_qty=columns["filled_size"],
        avg_price=columns["avg_price"],
        fee=columns["fee"],
        reason=columns["reason"],
        owner=columns["bot"],
    )
    store = await house.open(orders)
    outcomes = await ingest(store, *(filled(f"v{n}") for n in range(1, many + 1)))
    assert {o.result for o in outcomes} == {Result.WON}
    assert sum(o.rows_written for o in outcomes) == many
    assert await open_rows(store) == []


async def test_what_doctor_prints_can_be_typed(house: House) -> None:
    house.run(made('"50% off"'))
    store = await house.open(mapped(table="50% off"))
    assert not any("%%" in finding.mend for finding in await store.findings())


@pytest.mark.parametrize(
    "word", ["50% done", "it's", "back\\slash", "{x} :y $1", "ende 'x' \\' --"]
)
@pytest.mark.parametrize("conforming", ["on", "off"])
async def test_any_word_is_only_a_word(house: House, word: str, conforming: str) -> None:
    house.run(f'ALTER DATABASE "{house.name}" SET standard_conforming_strings = {conforming}')
    house.run(made())
    words = {word: ["open"], word + "!": ["filled"], "x": ["final"]}
    house.run("INSERT INTO trades (id, order_id, status) VALUES (1, 'v1', %s)", word)
    store = await house.open(mapped(status_words=words))
    assert [claim.word for claim in await open_rows(store)] == [word]
    assert (await told(store, filled())).rows_written == 1
    assert house.ask("SELECT status FROM trades") == word + "!"


async def test_of_two_tables_of_one_name_the_first_on_the_path_is_meant(house: House) -> None:
    house.run("CREATE SCHEMA a; CREATE SCHEMA b")
    house.run(made("b.trades"))
    house.run(made("a.trades", id="uuid PRIMARY KEY", order_id="uuid"))
    house.run(f'ALTER DATABASE "{house.name}" SET search_path = b, a')
    house.run("INSERT INTO b.trades (id, order_id, status) VALUES (1, 'v1', 'pending')")
    house.run(f"INSERT INTO a.trades (id, order_id, status) VALUES ('{UUID}', '{UUID}', 'pending')")  # noqa: S608
    await becomes_true(house)
    assert house.ask("SELECT status FROM b.trades") == "completed"
    await becomes_true(house, UUID, "a.trades")
    assert house.ask("SELECT status FROM a.trades") == "completed"
    assert house.run(
        "SELECT schemaname FROM pg_tables WHERE tablename = 'ordersync_orders' ORDER BY 1"
    ) == [("a",), ("b",)]


# --- keys that are none, and tables that are none --------------------------------------------


@pytest.mark.parametrize(
    ("key", "index"),
    [
        ("bigint", None),
        ("bigint", "CREATE INDEX ON trades (id)"),
        ("bigint", "CREATE UNIQUE INDEX ON trades (id) WHERE status = 'pending'"),
        ("bigint", "CREATE UNIQUE INDEX ON trades (id, status)"),
        pytest.param("bigint", "CREATE UNIQUE INDEX ON trades (id, lower(status))"),
        pytest.param("bigint", "CREATE UNIQUE INDEX ON trades (lower(status), id)"),
        ("bigint", "CREATE UNIQUE INDEX ON trades ((id % 7))"),
        ("bigint", "ALTER TABLE trades ADD PRIMARY KEY (id, status)"),
        ("bigint", "ALTER TABLE trades ADD EXCLUDE USING btree (id WITH =) WHERE (id > 3)"),
    ],
)
async def test_a_column_that_two_rows_may_share_is_no_key(
    house: House, key: str, index: str | None
) -> None:
    house.run(made(id=key))
    house.run(index or "SELECT 1")
    with pytest.raises(ConfigError, match="is no key") as refused:
        await house.open()
    assert "orders.id" in refused.value.where


async def test_a_unique_index_that_could_not_be_made_is_no_key(house: House) -> None:
    house.run(made(id="bigint"))
    house.run("INSERT INTO trades (id, status) VALUES (1, 'pending'), (1, 'pending')")
    with pytest.raises(Exception, match="could not create unique index"):
        house.run("CREATE UNIQUE INDEX CONCURRENTLY half ON trades (id)")
    with pytest.raises(ConfigError, match="is no key"):
        await house.open()


@pytest.mark.parametrize("key", ["PRIMARY KEY (id)", "UNIQUE (id)"])
async def test_a_key_that_the_partitions_lack_is_no_key(house: House, key: str) -> None:
    house.run(made(id="bigint NOT NULL", order_id="text", after=" PARTITION BY HASH (id)"))
    house.run("CREATE TABLE all_of_it PARTITION OF trades FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
    house.run(f"ALTER TABLE ONLY trades ADD {key}")
    with pytest.raises(ConfigError, match="is no key"):
        await house.open()


@pytest.mark.parametrize(
    "index",
    [
        "CREATE UNIQUE INDEX ON trades (id)",
        "CREATE UNIQUE INDEX ON trades (id) INCLUDE (status)",
        "CREATE UNIQUE INDEX ON trades (id) NULLS NOT DISTINCT",
        "ALTER TABLE trades ADD UNIQUE (id)",
    ],
)
async def test_a_unique_index_makes_a_key(house: House, index: str) -> None:
    house.run(made(id="bigint"))
    house.run(index)
    house.run(SUBJECT, 1, "v1")
    await becomes_true(house)


def test_init_takes_a_table_of_another_schema_and_says_what_a_slip_may_have_meant(
    house: House,
) -> None:
    house.run('CREATE SCHEMA "Trading"')
    house.run(made('"Trading"."Bot Orders"'))
    house.run('CREATE VIEW "Trading".looks AS SELECT * FROM "Trading"."Bot Orders"')
    database = PostgresServer(house.url)
    answers = {"orders.table": "Trading.Bot Orders", "orders.status_words.filled": "completed"}
    proposal = propose(database, answers, None)
    assert isinstance(proposal, Proposal)
    assert proposal.table == "Trading.Bot Orders"
    for slip in ("Bot Orders", "trading.bot orders", "Trading.Bot Oders"):
        with pytest.raises(ConfigError) as refused:
            propose(database, {"orders.table": slip}, None)
        assert "Did you mean 'Trading.Bot Orders'?" in refused.value.mend
    with pytest.raises(ConfigError, match="is a view"):
        propose(database, {"orders.table": "Trading.looks"}, None)


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
async def test_a_view_is_refused_with_the_reason(house: House, kind: str) -> None:
    house.run(made())
    house.run(f"CREATE {kind} looks AS SELECT * FROM trades")  # noqa: S608
    with pytest.raises(ConfigError, match="is a view"):
        await house.open(mapped(table="looks"))


async def test_a_foreign_table_is_refused_with_a_reason(old_house: House) -> None:
    old_house.run(
        "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw"
    )
    kinds = {name: kind.split()[0] for name, kind in COLUMNS.items()}
    listed = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    old_house.run(f"CREATE FOREIGN TABLE trades ({listed}) SERVER far")
    with pytest.raises(ConfigError, match="no key"):
        await old_house.open()


async def test_rows_of_a_partitioned_table_become_true_in_their_partitions(house: House) -> None:
    house.run(made(after=" PARTITION BY RANGE (id)", order_id="text"))
    house.run("CREATE TABLE p1 PARTITION OF trades FOR VALUES FROM (0) TO (10)")
    house.run("CREATE TABLE p2 PARTITION OF trades FOR VALUES FROM (10) TO (20)")
    for n in (1, 11):
        house.run(SUBJECT, n, f"v{n}")
    outcomes = await ingest(await house.open(), filled("v1"), filled("v11"))
    assert [o.rows_written for o in outcomes] == [1, 1]
    assert house.run("SELECT status FROM p1 UNION ALL SELECT status FROM p2") == [
        ("completed",),
        ("completed",),
    ]


async def test_a_row_may_move_to_another_partition_by_its_status(house: House) -> None:
    """Such a table has no unique index on its id alone: it is refused, not half written."""
    kinds = {"id": "bigint", "order_id": "text"}
    house.run(
        made("trades", "PRIMARY KEY (id, status)", after=" PARTITION BY LIST (status)", **kinds)
    )
    with pytest.raises(ConfigError, match="is no key"):
        await house.open()


async def test_rows_of_tables_that_inherit_become_true(house: House) -> None:
    house.run(made())
    house.run("CREATE TABLE child (PRIMARY KEY (id)) INHERITS (trades)")
    house.run("INSERT INTO child (id, order_id, status) VALUES (2, 'v2', 'pending')")
    house.run(SUBJECT, 1, "v1")
    store = await house.open()
    outcomes = await ingest(store, filled("v1"), filled("v2"))
    assert [o.rows_written for o in outcomes] == [1, 1]


@pytest.mark.parametrize(
    "kind", ["GENERATED ALWAYS AS (1.0) STORED", "GENERATED ALWAYS AS (1.0) VIRTUAL"]
)
async def test_a_generated_column_is_never_to_be_written(house: House, kind: str) -> None:
    house.run(made(fee=f"numeric {kind}"))
    with pytest.raises(ConfigError, match="generated by the database"):
        await house.open()
