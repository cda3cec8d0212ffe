// What events do to the rows that are held: they change them at once.
import { doubt } from "./asked.js";
import { DOUBTED, ended, ends, idOf, keyOf, rowAt, rows, searched, touch } from "./held.js";
import { drawSoon } from "./shown.js";
import { filledShare, isFinal } from "./words.js";

/** What listens to the events of one order, so that an open history grows. */
export const heard = new Set();

/** After these the row is what the exchange says, as of their commit. */
const WRITTEN = new Set(["changed", "confirmed", "repaired", "resolved", "corrected"]);

/** An event, as its text came. */
export function hear(text) {
  let event;
  try {
    event = JSON.parse(text);
  } catch {
    return; // Half a message says nothing; the next question to the API does.
  }
  apply(event);
  drawSoon();
}

function apply(event) {
  const id = idOf(event.order);
  const key = keyOf(event.account, id);
  for (const listen of heard) listen(key, event);
  const isOver = isFinal(event.after.status);
  if (isOver) ends.value += 1;
  const row = rows.get(key);
  if (row) return move(row, event);
  const beside = rowAt(key); // in another list, which is not read again for it
  if (beside) takeOver(beside, event);
  if (isOver || event.order.row_id == null) return;
  doubt(id); // a newcomer
  if (event.after.status != null) leaveEnded(key);
}

/** Take over what an event says; whether the row is true by it. */
function takeOver(row, { after, source, kind }) {
  row.touched = Date.now();
  row.source = source;
  if (after.word != null) row.row_word = after.word;
  if (after.status != null) row.exchange_status = after.status;
  for (const name of ["filled_qty", "avg_price", "fee"]) if (after[name] != null) row[name] = after[name];
  row.share = after.status === "filled" ? 1 : filledShare(row);
  row.text = searched(row);
  const isTrue = WRITTEN.has(kind);
  if (isTrue) Object.assign(row, { verified: row.touched, true_word: null, discrepancy: null, stale: false });
  return isTrue;
}

function move(row, event) {
  if (!takeOver(row, event)) return doubt(row.id);
  if (DOUBTED.has(row.state) || event.kind === "repaired") Object.assign(row, { mended: row.touched, wasTrouble: true });
  if (row.rank >= 2) Object.assign(row, { urgency: "normal", rank: 1 });
  row.state = isFinal(event.after.status) ? "final" : "open";
  if (row.state === "final") row.mended = row.mended || row.touched;
  touch();
}

/** The exchange says that it is open after all. */
function leaveEnded(key) {
  const { rows: list } = ended.peek();
  if (!list.some((row) => row.key === key)) return;
  ended.value = { ...ended.peek(), rows: list.filter((row) => row.key !== key) };
  touch();
}
