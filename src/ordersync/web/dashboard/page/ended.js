// The orders that have ended, the latest end first: read page by page, and kept up to date while somebody looks at them.
import { computed } from "@preact/signals";
import { get } from "./api.js";
import { dress, ended, ends } from "./held.js";
import { heardFrom } from "./link.js";
import { arrange, filter, scroll } from "./shown.js";

const PAGE = 200;
const SOON_MS = 1000;

const isChosen = computed(() => filter.value.which === "ended");

/** That the newest page is to be read: {anew}, where what is held counts no more. Null while it is not. */
let due = null;
let timer = null;

/** Something has ended, or may have: the newest page is read again, once for all that ends within a second. */
export function readSoon({ anew = false } = {}) {
  const { isRead, rows } = ended.peek();
  if (isChosen.peek()) {
    due = { anew: anew || due?.anew };
    timer ??= setTimeout(catchUp, SOON_MS);
  } else if (isRead && !rows.length) {
    ended.value = { ...ended.peek(), isRead: false }; // that none has ended is not known any more
  }
}

/** Read what is due now. */
export function catchUp() {
  clearTimeout(timer);
  timer = null;
  return due && loadNewest(due);
}

/** One answer after the other: each is laid beside what is held then. */
let turn = Promise.resolve();
function inTurn(read) {
  turn = turn.then(read);
  return turn;
}

/** A page of ended orders, {rows, next}. Null where none came; `ended.trouble` says why. */
async function readPage(cursor) {
  try {
    const page = await heardFrom(get("orders", { state: "final", limit: PAGE, cursor }));
    return { rows: page.orders.map((order) => dress(order)), next: page.next };
  } catch (error) {
    ended.value = { ...ended.peek(), trouble: error.message };
    return null;
  }
}

function keep(change) {
  ended.value = { ...ended.peek(), trouble: "", ...change };
  if (isChosen.peek()) arrange();
}

/** Read the newest page. Who is at the top sees it at once; who is further down finds it when coming there, and nothing
 * moves under the eye before. */
export const loadNewest = ({ anew = false } = {}) => inTurn(async () => {
  due = null;
  const page = await readPage(null);
  if (!page) {
    due = { anew: anew || due?.anew }; // read with the next questions
  } else if (isChosen.peek() && scroll.peek() > 0) {
    const now = new Map(page.rows.map((row) => [row.key, row]));
    keep({ rows: ended.peek().rows.map((row) => now.get(row.key) ?? row), newest: { ...page, anew }, isRead: true });
  } else {
    keep({ ...laidOn(page, anew), newest: null, isRead: true });
  }
});

/** The newest page on top of what is held: behind the row with which it ends nothing has changed. Where that row is not
 * held, more has ended than the page tells, and the list begins anew. */
function laidOn({ rows, next }, anew) {
  const held = ended.peek();
  const cut = anew || next === null ? -1 : held.rows.findIndex((row) => row.key === rows.at(-1).key);
  return cut < 0 ? { rows, next } : { rows: joined(rows, held.rows.slice(cut + 1)), next: held.next };
}

/** Newer rows, then older ones; none twice. */
function joined(newer, older) {
  const known = new Set(newer.map((row) => row.key));
  return [...newer, ...older.filter((row) => !known.has(row.key))];
}

/** Read the page behind the oldest one. */
export function loadOlder() {
  if (ended.peek().loading || !ended.peek().next) return;
  ended.value = { ...ended.peek(), loading: true };
  inTurn(async () => {
    const { next } = ended.peek(); // another one, where the list began anew meanwhile
    const page = next && await readPage(next);
    if (page) keep({ rows: joined(ended.peek().rows, page.rows), next: page.next });
    ended.value = { ...ended.peek(), loading: false };
  });
}

ends.subscribe(() => readSoon());
isChosen.subscribe((is) => {
  if (is) loadNewest({ anew: true });
});
scroll.subscribe((down) => {
  const { newest } = ended.peek();
  if (newest && down <= 0) keep({ ...laidOn(newest, newest.anew), newest: null });
});
