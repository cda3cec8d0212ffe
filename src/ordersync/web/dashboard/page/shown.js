// What is shown of the orders, and where the reader looks: filtered, sorted, drawn a few times a second at most.
import { signal } from "@preact/signals";
import { count, ended, letGo, orphans, rows, version } from "./held.js";
import { loudness } from "./words.js";

const DRAW_MS = 100;
const ARRANGE_MS = 950;

export const now = signal(Date.now());
export const drawn = signal(0);
export const filter = signal({ which: "open", text: "", owner: "", account: "" });
export const sort = signal({ by: "urgency", down: true });
export const cursor = signal(null);
export const opened = signal(null);
/** How far down the reader is, in pixels. */
export const scroll = signal(0);
export const visible = signal([]);
/** Who has open orders, and where: what can be chosen from. */
export const names = signal({ owner: [], account: [] });

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

/** Which rows a person has chosen, as a test of one. */
export function fits({ which, text, owner, account }) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return (row) =>
    (which !== "trouble" || row.rank >= 2 || (row.mended && row.wasTrouble) || row.orphan) &&
    (!owner || row.owner === owner) &&
    (!account || row.account === account) &&
    words.every((word) => row.text.includes(word));
}

let arrangedAt = 0;
let arranged = -1;
/** Whether what is held has moved on since the last time. */
export const isUntidy = () => arranged !== version;

/** Filter and sort. At most once a second by itself, at once when a person asks. */
export function arrange() {
  arrangedAt = Date.now();
  const isMarked = letGo(opened.peek());
  arranged = isMarked ? -1 : version; // a mark goes off by itself
  const chosen = filter.peek();
  visible.value = chosen.which === "ended" ? ended.peek().rows.filter(fits(chosen))
    : chosen.which === "orphans" ? orphans.peek().rows.filter(fits(chosen)) : sorted(chosen);
  for (const of of ["owner", "account"]) {
    const found = [...new Set([...rows.values()].map((row) => row[of]).filter((name) => name != null))].sort();
    if (found.join("\n") !== names.peek()[of].join("\n")) names.value = { ...names.peek(), [of]: found };
  }
}

function sorted(chosen) {
  const { by, down } = sort.peek();
  const value = COLUMNS[by];
  const way = down ? -1 : 1;
  const list = [...rows.values()].filter(fits(chosen))
    .map((row) => [value(row), row.born ?? arrangedAt, row])
    .sort(([a, bornA], [b, bornB]) => (a < b ? -way : a > b ? way : bornA - bornB))
    .map(([, , row]) => row);
  const exact = chosen.text.trim();
  return exact ? [...list.filter((row) => row.id === exact), ...list.filter((row) => row.id !== exact)] : list;
}

export function choose(change) {
  filter.value = { ...filter.peek(), ...change };
  arrange();
}
export function sortBy(by) {
  const { by: before, down } = sort.peek();
  sort.value = { by, down: before === by ? !down : by === "urgency" || by === "age" || by === "verified" };
  arrange();
}

let drawing = null;
/** Everything that came since the last time is drawn at once. */
export function drawSoon() {
  drawing ??= setTimeout(() => {
    drawing = null;
    if (isUntidy() && Date.now() - arrangedAt > ARRANGE_MS) arrange();
    count();
    drawn.value += 1;
  }, DRAW_MS);
}
