// What the page asks of the orders: all of them at first, then those that no event tells of (a row just inserted, a row
// that became stale by waiting).
import { computed } from "@preact/signals";
import { get, takeFirst } from "./api.js";
import { count, dress, ends, keyFor, linked, loaded, orphans, put, readAt, rows, standing, totals, touch } from "./held.js";
import { heardFrom } from "./link.js";
import { arrange, choose, cursor, drawSoon, filter, opened } from "./shown.js";

const PAGE = 1000;
/** So many rows are asked for whole each time. */
export const FEW = 500;
const RELOAD_MS = 300000;
const SOON_MS = 15000;
const DOUBT_MS = 700;
const ONE_BY_ONE = 20;

// --- One order -------------------------------------------------------------------------------------

/** Ask for one order anew. Raises Trouble. */
export async function refresh(id) {
  const { order } = await heardFrom(get(`orders/${encodeURIComponent(id)}`));
  const row = put(order);
  drawSoon();
  return row;
}

const doubtful = new Set();
let learning = null;
/** This order is not as it is held: it is asked for soon, with others. */
export function doubt(id) {
  doubtful.add(id);
  learning ??= setTimeout(learn, DOUBT_MS);
}

async function learn() {
  const ids = [...doubtful];
  doubtful.clear();
  if (ids.length > ONE_BY_ONE) await loadAll().catch(() => {}); // away: heardFrom noted it
  else for (const id of ids) await refresh(id).catch((trouble) => trouble.status === 404 && forget(id));
  learning = doubtful.size ? setTimeout(learn, DOUBT_MS) : null;
}

/** Somebody deleted the row. */
function forget(id) {
  for (const [key, row] of rows) if (row.id === id) rows.delete(key);
  touch();
}

/** Open the order of a link, whatever list it is in; where there is none, the search says so. */
export async function openLinked(id) {
  try {
    const row = await refresh(id);
    linked.value = row;
    cursor.value = opened.value = row.key;
  } catch (trouble) {
    if (trouble.status === 404) choose({ text: id });
  }
}

// --- All that are open -----------------------------------------------------------------------------

let loading = null;
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
  const isFew = rows.size <= FEW && (totals.peek()?.open ?? 0) <= FEW;
  if (loaded.peek() && isFew && await readTotals(FEW, seen)) return sweep(seen, began);
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

/** What is not among all that is open any more has ended without a word that we heard. */
function sweep(seen, began) {
  for (const [key, row] of rows) {
    if (seen.has(key) || row.touched >= began || row.mended) continue;
    ends.value += 1;
    // What became of what an eye may be on is asked; of many at once nobody could follow each.
    if ((row.rank >= 2 || key === opened.peek()) && doubtful.size < ONE_BY_ONE) doubt(row.id);
    else rows.delete(key);
  }
  readAt.value = Date.now();
  show();
}

function show() {
  loaded.value = true;
  arrange();
  count();
  drawSoon();
}

/** Few rows: all of them. Many: the totals, and those in trouble. */
export async function askRows() {
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
  for (const row of rows.values()) if (row.rank >= 2 && !listed.has(row.key)) doubt(row.id);
  const since = told - readAt.peek();
  if (since > RELOAD_MS || (totals.peek().open !== standing.peek().open && since > SOON_MS)) await loadAll();
}

// --- Those without a row ---------------------------------------------------------------------------

/** Orders without a row, the oldest first: as many as anybody would look at. */
export async function loadOrphans() {
  try {
    const page = await heardFrom(get("orphans", { limit: FEW }));
    orphans.value = { rows: page.orders.map((order) => dress(order)), isRead: true, trouble: "" };
  } catch (error) {
    orphans.value = { ...orphans.peek(), trouble: error.message };
  }
  if (isWithoutRow.peek()) arrange();
}

const isWithoutRow = computed(() => filter.value.which === "orphans");
isWithoutRow.subscribe((is) => {
  if (is) loadOrphans();
});
