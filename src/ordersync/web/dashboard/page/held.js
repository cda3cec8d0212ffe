// What the page knows: the orders, the accounts, and what is counted of them.
import { computed, signal } from "@preact/signals";
import { filledShare } from "./words.js";

const STAYS_MS = 8000;
const URGENCY = { fresh: 0, normal: 1, warning: 2, critical: 3 };
/** How a row stands that a person may worry about: what becomes of another is no repair. */
export const DOUBTED = new Set(["stale", "suspect", "unknown"]);

export const totals = signal(null);
export const accounts = signal(null);
export const isShadow = computed(() => (accounts.value ?? []).some((account) => account.shadow));
export const channels = signal([]);
export const owners = signal(null);
export const slo = signal(null);
/** Whether there are rows to show; when all that are open were read. */
export const loaded = signal(false);
export const readAt = signal(0);
/** How the open rows stand, counted; each in one place: {open, stale, suspect, unknown, trouble, loud, never}. */
export const standing = signal(null);

/** What is open, and for a moment what has just ended. */
export const rows = new Map();
/** Orders that have ended, the latest end first: ended.js reads them. `next` is where the oldest page goes on; `newest`
 * is the page that would come on top, while the reader is further down. */
export const ended = signal({ rows: [], next: null, newest: null, isRead: false, loading: false, trouble: "" });
/** Orders at the exchange that have no row. */
export const orphans = signal({ rows: [], isRead: false, trouble: "" });
/** An order that somebody followed a link to, and that may be in no list here. */
export const linked = signal(null);
/** How often an order was seen to have ended: whoever lists them reads them again. */
export const ends = signal(0);

export const everyRow = () => rows.values();
const beside = (key) => ended.value.rows.find((row) => row.key === key) ?? orphans.value.rows.find((row) => row.key === key)
  ?? (linked.value?.key === key ? linked.value : null);
export const rowAt = (key) => rows.get(key) ?? beside(key);

/** Grows with what is held: what is shown was arranged of an older one. */
export let version = 0;
export function touch() {
  version += 1;
}

export const keyOf = (account, id) => `${account}\u0000${id}`;
export const idOf = (order) => order.row_id ?? order.venue_order_id ?? order.client_order_id;
export const keyFor = (order) => keyOf(order.account, idOf(order));
export const searched = (order) => [order.row_id, order.venue_order_id, order.client_order_id, order.owner, order.symbol,
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

/** Take over what the API says of an order now. Gives the row. */
export function put(order, told) {
  const row = dress(order, told);
  const before = rows.get(row.key);
  if (linked.peek()?.key === row.key) linked.value = row;
  if (order.state === "final") {
    ends.value += 1;
    if (!before) return replaceEnded(row);
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
  touch();
  return row;
}

function replaceEnded(row) {
  const { rows: list } = ended.peek();
  const at = list.findIndex((one) => one.key === row.key);
  if (at >= 0) {
    ended.value = { ...ended.peek(), rows: list.with(at, row) };
    touch();
  }
  return row;
}

/** Let go of rows that ended a while ago, and take the mark off those that were mended then; not off `except`. Whether
 * some still wear it. */
export function letGo(except) {
  const at = Date.now();
  let isMarked = false;
  for (const [key, row] of rows) {
    if (row.state === "final" && at - row.mended > STAYS_MS && key !== except) rows.delete(key);
    else if (row.mended && row.state !== "final" && at - row.mended > STAYS_MS) row.mended = 0;
    if (row.mended) isMarked = true;
  }
  return isMarked;
}

/** Count how the open rows stand. */
export function count() {
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
  const isWhole = readAt.peek() > 0;
  if (!isWhole && !t) return; // nobody knows yet how many there are
  // Before all rows were read once the server's totals are more than what is held.
  const told = isWhole || !t ? sum : {
    open: t.open, stale: t.stale, suspect: t.suspect, unknown: t.unknown,
    trouble: t.warning + t.critical, loud: sum.loud, never: sum.never,
  };
  if (JSON.stringify(told) !== JSON.stringify(standing.peek())) standing.value = told;
}
