// How times, numbers and kinds are said. Pure: nothing here asks for the time.

/** Seconds as a person says them: "4 s", "12 min", "3 h 05", "2 d 4 h". */
export function span(seconds) {
  if (seconds == null || Number.isNaN(seconds)) return "–";
  const s = Math.max(0, Math.floor(seconds));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  const hours = Math.floor(s / 3600);
  if (hours < 24) return `${hours} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")}`;
  const days = Math.floor(hours / 24);
  return days < 14 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** A latency: "420 ms", "2.1 s", "3 min". */
export function latency(ms) {
  if (ms == null || Number.isNaN(ms)) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120000) return `${(ms / 1000).toFixed(ms < 10000 ? 1 : 0)} s`;
  return span(ms / 1000);
}

/** "1 order", "3 orders", "10,000 orders". */
export function count(n, one, many = `${one}s`) {
  return `${number(n)} ${n === 1 ? one : many}`;
}

const grouped = new Intl.NumberFormat("en-US");
export function number(n) {
  return n == null ? "–" : grouped.format(n);
}

/** A share as a percentage that never rounds up to a hundred. */
export function percent(share) {
  if (share == null) return "–";
  const p = share * 100;
  if (p >= 100) return "100 %";
  const digits = p >= 99 ? 2 : 1;
  return `${(Math.floor(p * 10 ** digits) / 10 ** digits).toFixed(digits)} %`;
}

/** How much of the order is filled, 0 to 1; null where the quantity is not known. */
export function filledShare(order) {
  const whole = Number(order.quantity);
  const part = Number(order.filled_qty ?? 0);
  if (order.quantity == null || !(whole > 0) || Number.isNaN(part)) return null;
  return Math.min(1, Math.max(0, part / whole));
}

/** Digits as the exchange gave them, without zeros that say nothing. */
export function digits(text) {
  if (text == null) return "–";
  return /^-?\d+\.\d+$/.test(text) ? text.replace(/\.?0+$/, "") : String(text);
}

const clockTime = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3,
});
const dayTime = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit",
});
const fullTime = new Intl.DateTimeFormat("en-GB", {
  dateStyle: "medium", timeStyle: "long",
});

/** A moment in the browser's own time zone; with the day where it is not of today. */
export function moment(iso, now) {
  const at = new Date(iso);
  if (iso == null || Number.isNaN(at.getTime())) return "–";
  return Math.abs(now - at.getTime()) < 12 * 3600e3 ? clockTime.format(at) : dayTime.format(at);
}
export function wholeMoment(iso) {
  const at = new Date(iso);
  return iso == null || Number.isNaN(at.getTime()) ? "not known" : fullTime.format(at);
}

const FINAL = /^(filled|canceled|expired|rejected|replaced)(\+fills)?$/;
export const isFinal = (status) => FINAL.test(status ?? "");

/** What a mark looks like and is called: shape and word, so that colour is never alone. */
export const MARKS = {
  fresh: { shape: "dot", word: "fresh", tone: "calm", tip: "Young, and nothing is wrong." },
  normal: { shape: "dot", word: "open", tone: "calm", tip: "The exchange vouches for it." },
  untrue: { shape: "differs", word: "differs", tone: "warn", tip: "The row says something else than the exchange, at this moment." },
  stale: { shape: "warning", word: "stale", tone: "warn", tip: "The row has said open for long, and nobody vouches for that." },
  suspect: { shape: "stop", word: "suspect", tone: "bad", tip: "The exchange does not show the order; that is not proven yet." },
  unknown: { shape: "question", word: "unknown", tone: "warn", tip: "Proven: the exchange has no such order. Only a person can say what became of it." },
  mended: { shape: "check", word: "mended", tone: "good", tip: "The row was in trouble, and is true again." },
  ended: { shape: "square", word: "ended", tone: "calm", tip: "Nothing waits for it any more." },
  orphan: { shape: "question", word: "no row", tone: "warn", tip: "The exchange has this order, and no row of the table names it." },
};
const LOUD = { bad: 3, warn: 2 };

/** How loudly a row asks for a person: as loud as it looks. */
export const loudness = (row) => LOUD[markOf(row).tone] ?? Math.min(row.rank, 1);

/** What the exchange says of an order, and nothing that it never said. */
export function exchangeSays(row) {
  const word = row.exchange_status?.replaceAll("_", " ");
  if (row.source === "operator" && word) return `a person said: ${word}`;
  if (row.state === "unknown" || row.exchange_status === "unknown") return "no such order";
  if (row.state === "suspect") return word ? `not shown; last: ${word}` : "not shown";
  return word;
}

/** Which mark a row wears. */
export function markOf(row) {
  if (row.mended) return row.wasTrouble ? MARKS.mended : { ...MARKS.mended, word: (row.exchange_status ?? "ended").split("+")[0].replaceAll("_", " "), tip: "It has ended just now." };
  if (row.orphan) return MARKS.orphan;
  if (row.state === "suspect") return MARKS.suspect;
  if (row.state === "unknown") return MARKS.unknown;
  if (row.stale) return row.urgency === "critical" ? { ...MARKS.stale, tone: "bad" } : MARKS.stale;
  if (row.state === "final") return MARKS.ended;
  if (row.discrepancy && row.discrepancy !== "unverified") return MARKS.untrue;
  return row.urgency === "fresh" ? MARKS.fresh : MARKS.normal;
}

const VENUES = { coinbase: "Coinbase", alpaca: "Alpaca" };
export const venueName = (venue) => VENUES[venue] ?? venue ?? "The exchange";

/** For how many seconds an account's exchange has owed an answer by now. */
export const silence = ({ exchange, told }, at) => (exchange?.silent_seconds ?? 0) + (at - told) / 1000;

/** Whether an account is merely behind, where it could be asked: then its rows say more than it does. */
export const isBehind = (degraded) => / of late$/.test(degraded ?? "");

/** What a discrepancy means, in a sentence that follows the mark. */
export const DISCREPANCIES = {
  status: "The row says something else than the exchange.",
  fills: "The status is true; what was filled is not yet in the row.",
  unverified: "Nobody has vouched for this row lately.",
  suspect: "The exchange does not show this order. That is not proven yet, so nothing is written.",
  unknown: "It is proven that the exchange does not have this order.",
};

/** What a kind of event means, and which mark it wears. */
export const KINDS = {
  confirmed: ["check", "good", "The exchange said more of it; the row was true already."],
  changed: ["check", "good", "The exchange moved on, and the row with it."],
  repaired: ["check", "good", "The row was untrue although the truth was known; it was written again."],
  conflict: ["stop", "bad", "The exchange contradicts what it had called final."],
  contested: ["stop", "bad", "Somebody keeps undoing this row."],
  unwritable: ["stop", "bad", "The database refuses what is true."],
  duplicate_rows: ["warning", "warn", "Two rows carry this order's id."],
  unmapped_word: ["question", "warn", "The row's word is outside the mapping."],
  suspect: ["stop", "bad", "The exchange does not show the order; not proven yet."],
  unknown: ["question", "warn", "It is proven that the exchange does not have the order."],
  missing_order: ["question", "warn", "The row is final, and the exchange has no such order."],
  quarantined: ["question", "warn", "An answer could not be believed; it changed nothing."],
  orphan: ["question", "warn", "The exchange has an order that no row knows."],
  resolved: ["check", "good", "A doubtful order was seen after all, or a person said what became of it."],
  corrected: ["differs", "calm", "A person's word replaced the exchange's."],
};
export const SOURCES = {
  stream: "pushed by the exchange",
  poll: "asked for in a pass",
  webhook: "a webhook named it, then it was asked for",
  demand: "asked for because somebody wanted to know",
  operator: "a person said so",
};
