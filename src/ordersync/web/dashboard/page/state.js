// What the page knows: the orders, and how fresh that is. Events change rows at once; what no event
// tells (a row just inserted, a row that became stale by waiting) is asked for every few seconds.
import { computed, signal } from "@preact/signals";
import { Trouble, get, takeFirst, wanted } from "./api.js";
import { Stream } from "./stream.js";
import { filledShare, isFinal, loudness } from "./words.js";

const PAGE = 1000;
const FEW = 500;
const DRAW_MS = 100;
const ASK_MS = 5000;
const RELOAD_MS = 300000;
const SOON_MS = 15000;
const STAYS_MS = 8000;
const ASLEEP_MS = 90000;
const ONE_BY_ONE = 20;
const URGENCY = { fresh: 0, normal: 1, warning: 2, critical: 3 };

export const now = signal(Date.now());
export const drawn = signal(0);
export const totals = signal(null);
export const accounts = signal(null);
export const channels = signal([]);
export const owners = signal(null);
export const slo = signal(null);
/** What the token may do: {token, scope}. Null while that is not known. */
export const caller = signal(null);
/** Orders at the exchange that have no row. */
export const orphans = signal({ rows: [], isRead: false, trouble: "" });
/** `since` is the last answer; `stream` says whether events are pushed. */
export const link = signal({ answers: null, since: null, stream: false, why: "" });
export const loaded = signal(false);
export const filter = signal({ which: "open", text: "", owner: "", account: "" });
export const sort = signal({ by: "urgency", down: true });
export const cursor = signal(null);
export const opened = signal(null);
export const visible = signal([]);
/** Who has open orders, and where: what can be chosen from. */
export const names = signal({ owner: [], account: [] });
export const ended = signal({ rows: [], next: null, isRead: false, loading: false, trouble: "" });
/** What listens to the events of one order, so that an open history grows. */
export const heard = new Set();

const rows = new Map();
let queue = [];
let drawing = null;
let dirty = true;
let arrangedAt = 0;
const newcomers = new Set();
const doubtful = new Set();

export const keyOf = (account, id) => `${account}\u0000${id}`;
/** An order that somebody followed a link to, and that is in no list here. */
const linked = new Map();
export const rowAt = (key) => rows.get(key) ?? ended.value.rows.find((row) => row.key === key) ?? orphans.value.rows.find((row) => row.key === key) ?? linked.get(key) ?? null;
export const isShadow = computed(() => (accounts.value ?? []).some((account) => account.shadow));
/** Why nothing can be done from here, "" where it can. */
export const cannotAct = computed(() => isAway.value ? "The server is away: nothing can be asked of it."
  : caller.value?.scope === "read" ? "Your token may only read. Acts need one made with: ordersync token new --scope operate --name NAME" : "");
export const isAway = computed(() => link.value.answers === false);
export const everyRow = () => rows.values();
/** How the open rows stand, counted; each in one place: {open, stale, suspect, unknown, trouble, loud}. */
export const standing = signal(null);

function count() {
  const sum = { open: 0, stale: 0, suspect: 0, unknown: 0, trouble: 0, loud: 0, never: 0 };
  for (const row of rows.values()) {
    if (row.state === "final") continue;
    sum.open += 1;
    if (row.verified == null) sum.never += 1;
    if (row.rank >= 2) sum.trouble += 1;
    if (row.state !== "open") sum[row.state] += 1;
    if (row.state === "stale" && row.urgency === "critical") sum.loud += 1;
  }
  const t = totals.peek();
  if (!loadedAt && !t) return; // nobody knows yet how many there are
  // Before all rows were read once the server's totals are more than what is held.
  const told = loadedAt || !t ? sum : {
    open: t.open, stale: t.stale, suspect: t.suspect, unknown: t.unknown,
    trouble: t.warning + t.critical, loud: sum.loud, never: sum.never,
  };
  if (JSON.stringify(told) !== JSON.stringify(standing.peek())) standing.value = told;
}

const idOf = (order) => order.row_id ?? order.venue_order_id ?? order.client_order_id;
const keyFor = (order) => keyOf(order.account, idOf(order));
const searched = (order) => [order.row_id, order.venue_order_id, order.client_order_id, order.owner, order.symbol,
  order.side, order.row_word, order.exchange_status, order.account, order.source]
  .filter((word) => word != null).join("\n").toLowerCase();

/** An order as the API told it, with what the page adds: its key, when it was born, what is searched. */
export function dress(order, told = Date.now()) {
  return {
    ...order,
    key: keyFor(order),
    id: idOf(order),
    orphan: order.row_id == null,
    born: order.age_seconds == null ? null : told - order.age_seconds * 1000,
    verified: order.verified_age_seconds == null ? null : told - order.verified_age_seconds * 1000,
    rank: URGENCY[order.urgency] ?? 0,
    share: filledShare(order),
    mended: 0,
    wasTrouble: false,
    touched: 0,
    text: searched(order),
  };
}

/** How a row stood that a person may have worried about: what becomes of another is no repair. */
const DOUBTED = new Set(["stale", "suspect", "unknown"]);

/** Take over what the API says of an order now. Gives the row. */
export function put(order, told) {
  const row = dress(order, told);
  const before = rows.get(row.key);
  if (order.state === "final") {
    if (!before) return row;
    // It just ended: it stays for a moment, so that an eye can follow.
    row.mended = before.mended || Date.now();
    row.wasTrouble = before.wasTrouble || DOUBTED.has(before.state);
  } else if (before?.rank >= 2 && row.rank < 2) {
    if (DOUBTED.has(before.state)) Object.assign(row, { mended: Date.now(), wasTrouble: true });
  } else if (before?.mended && Date.now() - before.mended < STAYS_MS) {
    Object.assign(row, { mended: before.mended, wasTrouble: before.wasTrouble });
  }
  row.touched = before?.touched ?? 0;
  rows.set(row.key, row);
  dirty = true;
  return row;
}

// --- Events ---------------------------------------------------------------------------------------

function apply(event) {
  const id = idOf(event.order);
  const key = keyOf(event.account, id);
  for (const listen of heard) listen(key, event);
  const row = rows.get(key);
  if (!row) {
    if (event.order.row_id != null && !isFinal(event.after.status)) newcomers.add(id);
    return;
  }
  const { after } = event;
  const known = Date.now();
  row.touched = known;
  row.source = event.source;
  if (after.word != null) row.row_word = after.word;
  if (after.status != null) row.exchange_status = after.status;
  for (const name of ["filled_qty", "avg_price", "fee"]) if (after[name] != null) row[name] = after[name];
  row.share = after.status === "filled" ? 1 : filledShare(row);
  row.text = searched(row);
  const told = event.kind;
  if (told === "changed" || told === "confirmed" || told === "repaired" || told === "resolved" || told === "corrected") {
    // The row is what the exchange says, as of this commit.
    if (DOUBTED.has(row.state) || told === "repaired") Object.assign(row, { mended: known, wasTrouble: true });
    row.verified = known;
    row.true_word = null;
    row.discrepancy = null;
    row.stale = false;
    if (row.rank >= 2) Object.assign(row, { urgency: "normal", rank: 1 });
    row.state = isFinal(after.status) ? "final" : "open";
    if (row.state === "final") row.mended = row.mended || known;
    dirty = true;
  } else {
    doubtful.add(row.id);
  }
}

/** One draw: everything that came since the last, then the rows once. */
function draw() {
  drawing = null;
  const batch = queue;
  queue = [];
  for (const data of batch) {
    let event;
    try {
      event = JSON.parse(data);
    } catch {
      continue; // Half a message says nothing; the next question to the API does.
    }
    apply(event);
  }
  if (dirty && Date.now() - arrangedAt > 950) arrange();
  count();
  drawn.value += 1;
  if (newcomers.size || doubtful.size) learnSoon();
}

export function drawSoon() {
  drawing ??= setTimeout(draw, DRAW_MS);
}

let learning = null;
function learnSoon() {
  learning ??= setTimeout(async () => {
    const asked = [...doubtful, ...newcomers];
    doubtful.clear();
    newcomers.clear();
    if (asked.length > ONE_BY_ONE) await loadAll().catch(() => {}); // away: heardFrom noted it
    else for (const id of asked) await refresh(id).catch((trouble) => trouble.status === 404 && forget(id));
    learning = null;
  }, 700);
}

/** Somebody deleted the row. */
function forget(id) {
  for (const [key, row] of rows) if (row.id === id) rows.delete(key);
  dirty = true;
}

/** Open the order of a link, whatever list it is in; where there is none, the search says so. */
export async function openLinked(id) {
  try {
    const row = await refresh(id);
    linked.clear();
    linked.set(row.key, row);
    cursor.value = opened.value = row.key;
  } catch (trouble) {
    if (trouble.status === 404) choose({ text: id });
  }
}

/** Ask for one order anew. Raises Trouble. */
export async function refresh(id) {
  const { order } = await heardFrom(get(`orders/${encodeURIComponent(id)}`));
  const row = put(order);
  drawSoon();
  return row;
}

// --- What is shown ---------------------------------------------------------------------------------

const COLUMNS = {
  urgency: loudness,
  age: (row) => (row.born == null ? -1 : now.peek() - row.born),
  symbol: (row) => row.symbol ?? "",
  side: (row) => row.side ?? "",
  row_word: (row) => row.row_word ?? "",
  exchange_status: (row) => row.exchange_status ?? "",
  fill: (row) => row.share ?? -1,
  verified: (row) => (row.verified == null ? Infinity : now.peek() - row.verified),
  source: (row) => row.source ?? "",
  owner: (row) => row.owner ?? "",
  account: (row) => row.account ?? "",
  id: (row) => (/^\d+$/.test(row.id ?? "") ? Number(row.id) : (row.id ?? "")),
};

function fits({ which, text, owner, account }) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return (row) =>
    (which !== "trouble" || row.rank >= 2 || row.mended || row.orphan) &&
    (!owner || row.owner === owner) &&
    (!account || row.account === account) &&
    words.every((word) => row.text.includes(word));
}

/** Filter and sort. At most once a second by itself, at once when a person asks. */
export function arrange() {
  arrangedAt = Date.now();
  dirty = false;
  const chosen = filter.peek();
  let list;
  if (chosen.which === "ended") {
    list = ended.peek().rows.filter(fits(chosen));
  } else if (chosen.which === "orphans") {
    list = orphans.peek().rows.filter(fits(chosen));
  } else {
    for (const [key, row] of rows) {
      if (row.state === "final" && arrangedAt - row.mended > STAYS_MS && key !== opened.peek()) rows.delete(key);
      else if (row.mended && row.state !== "final" && arrangedAt - row.mended > STAYS_MS) row.mended = 0;
      if (row.mended) dirty = true;
    }
    list = [...rows.values()].filter(fits(chosen));
    const { by, down } = sort.peek();
    const value = COLUMNS[by];
    const keyed = list.map((row) => [value(row), row.born ?? arrangedAt, row]);
    const way = down ? -1 : 1;
    keyed.sort(([a, bornA], [b, bornB]) => (a < b ? -way : a > b ? way : bornA - bornB));
    list = keyed.map(([, , row]) => row);
    const exact = chosen.text.trim();
    if (exact) list = [...list.filter((row) => row.id === exact), ...list.filter((row) => row.id !== exact)];
  }
  visible.value = list;
  for (const of of ["owner", "account"]) {
    const found = [...new Set([...rows.values()].map((row) => row[of]).filter((name) => name != null))].sort();
    if (found.join("\n") !== names.peek()[of].join("\n")) names.value = { ...names.peek(), [of]: found };
  }
}

export function choose(change) {
  filter.value = { ...filter.peek(), ...change };
  if (change.which === "ended") loadEnded();
  if (change.which === "orphans") loadOrphans();
  arrange();
}
export function sortBy(by) {
  const { by: before, down } = sort.peek();
  sort.value = { by, down: before === by ? !down : by === "urgency" || by === "age" || by === "verified" };
  arrange();
}

// --- Asking ----------------------------------------------------------------------------------------

/** Note that the server answered, or that it did not; hands the answer on. */
export async function heardFrom(answer) {
  try {
    const value = await answer;
    link.value = { ...link.peek(), answers: true, since: Date.now(), why: "", refused: "" };
    return value;
  } catch (error) {
    // A refusal is an answer: somebody is there.
    const isThere = error instanceof Trouble && error.status > 0 && error.status < 500;
    link.value = isThere
      ? { ...link.peek(), answers: true, since: Date.now(), why: "", refused: error.message }
      : { ...link.peek(), answers: false, why: error.message };
    throw error;
  }
}

let loading = null;
let loadedAt = 0;
/** Everything that is open, page by page; what is not among it any more goes. */
export function loadAll() {
  loading ??= readAll().finally(() => {
    loading = null;
  });
  return loading;
}

/** Put what the API tells, as of `told`; notes in `seen` which rows these are. */
function take(orders, told, seen) {
  for (const order of orders) {
    const known = rows.get(keyFor(order));
    // An event that came while we asked is newer than the answer.
    seen.add(known && known.touched > told ? known.key : put(order, told).key);
  }
}

/** The totals and so many rows; whether these were all there are. */
async function readTotals(limit, seen) {
  const told = Date.now();
  const page = await heardFrom(get("orders/sync-status", { limit }));
  take(page.orders, told, seen);
  totals.value = { ...page.totals, told };
  return page.next === null;
}

async function readAll() {
  const began = Date.now();
  const seen = new Set();
  if (loaded.peek() && rows.size <= FEW) {
    if (await readTotals(FEW, seen)) return sweep(seen, began);
  }
  await readPages(seen);
  sweep(seen, began);
}

/** The rows that were asked for before this code was here are shown at once. They are read again, as all are: what
 * became of them meanwhile nobody has told. */
async function showFirst() {
  const asked = takeFirst();
  if (!asked) return;
  const { page, at } = await heardFrom(asked);
  take(page.orders, at, new Set());
  show();
}

/** Every open order and the totals. To count many takes the server a while: the first page comes before that. */
async function readPages(seen) {
  await showFirst();
  let next = null;
  let counted = null;
  try {
    do {
      const told = Date.now();
      const page = await heardFrom(get("orders", { limit: PAGE, cursor: next }));
      if (!counted) {
        counted = readTotals(1, seen);
        counted.catch(() => {}); // looked at below, after the pages
      }
      take(page.orders, told, seen);
      next = page.next;
      show();
    } while (next);
  } finally {
    await counted;
  }
}

/** What is not among all that is open any more has ended. */
function sweep(seen, began) {
  for (const [key, row] of rows) {
    if (seen.has(key) || row.touched >= began || row.mended) continue;
    // It ended without a word that we heard: ask what became of what an eye may be on.
    if (row.rank >= 2 || key === opened.peek()) doubtful.add(row.id);
    else rows.delete(key);
  }
  loadedAt = Date.now();
  show();
}

function show() {
  loaded.value = true;
  arrange();
  count();
  drawSoon();
}

/** Ended orders, the newest first: the first page, or the one after. */
export async function loadEnded(more = false) {
  const before = ended.peek();
  if (before.loading || (more && !before.next)) return;
  ended.value = { ...before, loading: true, trouble: "" };
  try {
    const page = await heardFrom(get("orders", { state: "final", limit: 200, cursor: more ? before.next : null }));
    const fresh = page.orders.map((order) => dress(order));
    ended.value = { rows: more ? [...before.rows, ...fresh] : fresh, next: page.next, isRead: true, loading: false, trouble: "" };
  } catch (error) {
    ended.value = { ...before, loading: false, trouble: error.message };
  }
  if (filter.peek().which === "ended") arrange();
}

/** Orders without a row, the oldest first: as many as anybody would look at. */
export async function loadOrphans() {
  try {
    const page = await heardFrom(get("orphans", { limit: FEW }));
    orphans.value = { rows: page.orders.map((order) => dress(order)), isRead: true, trouble: "" };
  } catch (error) {
    orphans.value = { ...orphans.peek(), trouble: error.message };
  }
  if (filter.peek().which === "orphans") arrange();
}

/** Few rows: all of them. Many: the totals, and those in trouble. */
async function askRows() {
  const told = Date.now();
  const listed = new Set();
  if (await readTotals(rows.size > FEW ? 1 : FEW, listed)) return sweep(listed, told);
  for (const state of ["stale", "suspect", "unknown"]) {
    if (!totals.peek()[state]) continue;
    const asked = Date.now();
    const page = await heardFrom(get("orders", { state, limit: FEW }));
    take(page.orders, asked, listed);
  }
  // What we hold for troubled and is not listed any more was mended unseen.
  for (const row of rows.values()) if (row.rank >= 2 && !listed.has(row.key)) doubtful.add(row.id);
  const isDue = told - loadedAt > RELOAD_MS;
  if (isDue || (totals.peek().open !== standing.peek().open && told - loadedAt > SOON_MS)) await loadAll();
}

async function ask() {
  await askRows();
  await beside("accounts", (answer) => {
    const told = Date.now();
    accounts.value = answer.accounts.map((account) => ({ ...account, told }));
    channels.value = answer.channels ?? [];
    vouch();
  });
  if (!caller.peek()) {
    await beside("caller", (answer) => {
      caller.value = answer;
    });
  }
  if (filter.peek().which === "orphans") await loadOrphans();
  await beside("owners", (answer) => {
    owners.value = answer.owners;
  });
  if (!slo.peek() || Date.now() - slo.peek().told > 30000) {
    await beside("slo", (answer) => {
      slo.value = { ...answer, told: Date.now() };
    });
  }
  // Many rows take the server a while to count: it is asked for an eightieth of its time at most.
  every = rows.size > FEW ? Math.max(ASK_MS, 80 * (Date.now() - asked)) : ASK_MS;
  drawSoon();
}

/** What stands beside the orders: where the server refuses it, the orders are shown all the same. */
async function beside(path, take) {
  try {
    take(await heardFrom(get(path)));
  } catch (trouble) {
    if (!trouble.status || trouble.status >= 500) throw trouble;
  }
}

/** A pass vouched for every row of its account that nothing is said against. */
function vouch() {
  const at = new Map();
  for (const account of accounts.peek()) {
    if (account.verified_age_seconds != null) at.set(account.account, Date.now() - account.verified_age_seconds * 1000);
    else if (account.last_verified_at) at.set(account.account, Date.parse(account.last_verified_at));
  }
  for (const row of rows.values()) {
    const passed = at.get(row.account);
    if (passed && row.rank < 2 && row.discrepancy == null && row.verified != null && row.verified < passed) {
      row.verified = passed;
    }
  }
}

let asking = false;
let asked = 0;
let every = ASK_MS;
export async function askNow() {
  if (asking || wanted.peek() !== null) return;
  asking = true;
  asked = Date.now();
  try {
    await ask();
  } catch {
    // heardFrom noted it; the page says since when nothing came.
  } finally {
    asking = false;
  }
}

// --- Life ------------------------------------------------------------------------------------------

const stream = new Stream(
  ({ hello, reset, event }) => {
    if (event !== undefined) {
      queue.push(event);
      drawSoon();
    } else if (reset) {
      loadAll().catch(() => {}); // what happened meanwhile is told no more
    } else if (hello && loadedAt) {
      askNow();
    }
  },
  (what) => {
    link.value = { ...link.peek(), stream: what === "open" };
    if (what === "gone") askNow();
  },
);

/** After sleep, or with another token: nothing that is held counts as known. */
export function wake() {
  caller.value = null;
  stream.renew();
  loadAll().catch(() => {}).then(askNow);
}

export function live() {
  stream.start();
  loadAll().catch(() => {}).then(askNow);
  let ticked = Date.now();
  setInterval(() => {
    const before = ticked;
    ticked = Date.now();
    now.value = ticked;
    if (ticked - before > ASLEEP_MS) return wake();
    if (!document.hidden && ticked - asked > (isAway.peek() ? 2000 : every)) askNow();
    if (dirty) drawSoon();
  }, 1000);
  let hid = Date.now();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hid = Date.now();
    else if (Date.now() - hid > ASLEEP_MS) wake();
    else askNow();
  });
  addEventListener("online", wake);
}
