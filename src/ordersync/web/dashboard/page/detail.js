// One order opened: its facts, what can be done, and its whole history.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Change, ask, changed } from "./acts.js";
import { get } from "./api.js";
import { heard } from "./heard.js";
import { isShadow, rowAt } from "./held.js";
import { cannotAct, heardFrom } from "./link.js";
import { Badge, Fill, Text, html } from "./parts.js";
import { drawn, now, opened } from "./shown.js";
import { DISCREPANCIES, KINDS, SOURCES, count, digits, exchangeSays, isFinal, latency, markOf, moment, span, wholeMoment } from "./words.js";

const LINE = 46;
const LINES = 6;
const BEYOND = 8;
const PAGE = 500;
const MOST = 20000;

const zone = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts().find(({ type }) => type === "timeZoneName")?.value ?? "local time";

const story = signal(null);
const chosen = signal(null);
const scroll = signal(0);
const sight = signal(400);

/** Read the history of the order with this key, page by page: the API tells the oldest first. */
async function read(key) {
  const row = rowAt(key);
  if (!row) return;
  const isMine = () => opened.peek() === key && story.peek()?.known === known;
  const known = new Set();
  story.value = { key, events: [], archived: [], known, loading: true, trouble: "", isCut: false };
  let next = null;
  try {
    do {
      const page = await heardFrom(get(`orders/${encodeURIComponent(row.id)}/history`, { account: row.account, limit: PAGE, cursor: next }));
      if (!isMine()) return;
      const told = story.peek();
      const older = page.events.filter((event) => !known.has(event.id));
      // What came meanwhile is newer than every page.
      const events = [...told.events.slice(0, told.live ?? 0), ...older.reverse(), ...told.events.slice(told.live ?? 0)];
      for (const event of older) known.add(event.id);
      next = page.next;
      story.value = { ...told, events, archived: told.archived.length ? told.archived : page.archived, loading: next !== null };
    } while (next !== null && story.peek().events.length < MOST);
    story.value = { ...story.peek(), loading: false, isCut: next !== null };
  } catch (error) {
    if (isMine()) story.value = { ...story.peek(), loading: false, trouble: error.message };
  }
}

heard.add((key, event) => {
  const told = story.peek();
  if (told?.key !== key || told.known.has(event.id)) return;
  told.known.add(event.id);
  story.value = { ...told, events: [event, ...told.events], live: (told.live ?? 0) + 1 };
});

/** What changed, in a few words: the row's word, else the status, else what was filled. */
function told(before, after) {
  const step = (name, show = (value) => value) => before[name] === after[name] ? null
    : html`${before[name] == null ? "" : html`<${Text}>${show(before[name])}<//> → `}<${Text}>${show(after[name])}<//>`;
  const filled = step("filled_qty", digits);
  return html`${step("word") ?? step("status", (word) => word?.replaceAll("_", " ")) ?? html`<${Text}>${after.word ?? after.status}<//>`}${filled ? html`, filled ${filled}` : ""}`;
}

const Line = ({ event, index, at }) => {
  const [shape, tone] = KINDS[event.kind] ?? ["question", "warn"];
  const { before, after } = event;
  return html`<button type="button" class="line" style=${{ top: `${index * LINE}px` }} aria-pressed=${chosen.value === event.id}
      onClick=${() => { chosen.value = chosen.peek() === event.id ? null : event.id; }}>
    <span class="kind"><${Badge} shape=${shape} tone=${tone === "calm" ? "plain" : tone} word=${event.kind.replaceAll("_", " ")} />
      <span class="what">${told(before, after)}</span></span>
    <span class="under number"><span title=${wholeMoment(event.at)}>${moment(event.at, at)}</span><span>${event.source}</span>
      <span>${event.latency_ms == null ? "" : `${latency(event.latency_ms)} after the exchange`}</span></span>
  </button>`;
};

/** A step at the exchange, by its clock; where it gave no time, when it was seen here: it was by then. */
const happened = (word, event) => event.latency_ms == null
  ? { word, at: Date.parse(event.at), isBy: true, tip: "When it was seen here; the exchange gave no time." }
  : { word, at: Date.parse(event.at) - event.latency_ms, tip: "By the exchange's clock." };

/** What it is called when the exchange does not show an order; events and rows have the same words. */
const ABSENCES = {
  suspect: ["Missed", "The exchange did not show it; that was not proven yet."],
  unknown: ["Proven gone", "The exchange has no such order; only a person can say what became of it."],
};

/** What became of the order, by its events, in order of time: [{word, at, isBy, from, tip}, …]. `at` null: not yet;
 * `from`: from when its time counts, where that is not the step before. */
function milestones(row, { events, loading, isCut, archived }) {
  if (loading || isCut || !events.length || archived.some((part) => part.why)) return []; // not all of it is known
  const oldest = [...events].reverse();
  const end = oldest.find(({ before, after }) => isFinal(after.status) && !isFinal(before.status));
  const fill = oldest.find(({ before, after }) => Number(after.filled_qty ?? 0) > Number(before.filled_qty ?? 0));
  const isSeen = !(oldest[0].kind in ABSENCES);
  const found = isSeen ? [{ word: "Seen", at: Date.parse(oldest[0].at), tip: "Its first event here." }] : [];
  if (row.created_at != null) found.unshift({ word: "Sent", at: Date.parse(row.created_at), tip: "As the row says it was made." });
  if (fill && fill !== end) found.push(happened("First fill", fill));
  const ended = end ? happened(end.after.status.split("+")[0].replaceAll("_", " "), end) : null;
  if (ended) found.push(ended);
  const isGone = row.state in ABSENCES;
  for (const [kind, [word, tip]] of Object.entries(ABSENCES)) {
    const absence = isGone || !isSeen ? events.find((event) => event.kind === kind) : null;
    if (absence) found.push({ word, at: Date.parse(absence.at), tip });
  }
  found.sort((a, b) => a.at - b.at);
  if (!end) return isGone ? found : [...found, { word: "Ended", at: null, tip: "The exchange has not ended it." }];
  const isTrue = row.row_word != null && row.discrepancy !== "status";
  const written = isTrue ? oldest.slice(oldest.indexOf(end)).find(({ after }) => after.word === row.row_word) : null;
  if (!row.orphan) found.push({ word: "Row true", at: written ? Date.parse(written.at) : null, from: ended.at, tip: `When the row said so; its time counts from ${ended.word}.` });
  return found;
}

const Timeline = ({ row, told, at }) => html`<ol class="steps" aria-label="What became of it">${milestones(row, told).map(({ word, at: when, isBy, from, tip }, n, steps) => {
  const since = n ? (when ?? at) - (from ?? steps[n - 1].at) : null;
  const iso = when == null ? null : new Date(when).toISOString();
  return html`<li key=${word} class=${when == null ? "due" : ""} title=${when == null ? tip : `${wholeMoment(iso)}. ${tip}`}>
    <b>${word}</b><span class="number">${when == null ? "not yet" : `${isBy ? "by " : ""}${moment(iso, at)}`}</span>
    <span class="quiet number">${since == null ? "" : when == null ? `for ${span(since / 1000)}` : `+ ${latency(Math.max(0, since))}`}</span></li>`;
})}</ol>`;

const copied = signal("");
/** Puts a text where the next paste takes it from; not there over plain http from other machines. */
const Copy = ({ text, what }) => text == null || !navigator.clipboard ? null : html`<button type="button" class="link copy" aria-label=${`Copy ${what}`} onClick=${() => {
  navigator.clipboard.writeText(text).then(() => {
    copied.value = text;
  }, () => {});
}}>${copied.value === text ? "copied" : "copy"}</button>`;

function Evidence({ event }) {
  const here = useRef(null);
  useEffect(() => here.current.scrollIntoView({ block: "nearest" }), [event.id]);
  const { evidence } = event;
  const isOurs = evidence.endpoint === "row";
  let raw = evidence.raw;
  try {
    const read = JSON.parse(raw);
    raw = read == null ? null : JSON.stringify(read, null, 2); // of an absence there are no words
  } catch {
    // Cut off, or never JSON: shown as it came.
  }
  return html`<section class="evidence" ref=${here} aria-label="The event in full">
    <p>${(KINDS[event.kind] ?? [])[2] ?? ""}</p>
    <${Change} before=${{ ...event.before, row_word: event.before.word, exchange_status: event.before.status }}
      after=${{ ...event.after, row_word: event.after.word, exchange_status: event.after.status }} />
    <dl>
      <dt>Committed</dt><dd>${wholeMoment(event.at)}</dd>
      <dt>Source</dt><dd>${event.source}: ${SOURCES[event.source] ?? ""}</dd>
      <dt>Evidence</dt><dd>${evidence.answer} from <code>${evidence.endpoint.replaceAll(",", ", ")}</code></dd>
      <dt>True as of</dt><dd>${evidence.venue_time ? `${wholeMoment(evidence.venue_time)}, by the exchange's clock` : "not said"}</dd>
      <dt>Latency</dt><dd>${event.latency_ms == null ? "the exchange gave no time" : `${latency(event.latency_ms)} from its change there to this event`}</dd>
      <dt>Event</dt><dd><code>${event.id}</code></dd>
    </dl>
    ${raw == null ? html`<p class="quiet">There are no words of the exchange's: it said nothing of this order.</p>` : html`<details open=${raw.length < 1500}><summary>${isOurs ? "What the table said" : "The exchange's own words"}</summary><${Copy} text=${raw} what="these words" />
      <pre tabindex="0" aria-label="Its own words"><bdi>${raw}</bdi></pre></details>`}
  </section>`;
}

function History({ row }) {
  const holder = useRef(null);
  const told = story.value?.key === row.key ? story.value : null;
  const events = told?.events ?? [];
  useEffect(() => {
    const look = new ResizeObserver(() => {
      sight.value = holder.current?.clientHeight ?? 400;
    });
    look.observe(holder.current);
    return () => look.disconnect();
  }, []);
  const first = Math.max(0, Math.floor(scroll.value / LINE) - BEYOND);
  const last = Math.min(events.length, Math.ceil((scroll.value + sight.value) / LINE) + BEYOND);
  const shown = events.find((event) => event.id === chosen.value);
  return html`
    ${told ? html`<${Timeline} row=${row} told=${told} at=${now.value} />` : null}
    <h3>History <span class="quiet">${told ? `${count(events.length, "event")}${told.loading ? " so far" : ""}, the newest first, in ${zone}` : ""}</span></h3>
    <div class="history" style=${{ height: `${Math.min(LINES, Math.max(1, events.length)) * LINE + 2}px` }} ref=${holder} tabindex="0" role="group" aria-label="Events" onScroll=${(event) => {
      scroll.value = event.target.scrollTop;
    }}>
      <div class="lines" style=${{ height: `${events.length * LINE}px` }}>
        ${events.slice(first, last).map((event, n) => html`<${Line} key=${event.id} event=${event} index=${first + n} at=${now.value} />`)}
      </div>
      ${told && !events.length ? html`<p class="empty">${told.trouble || (told.loading ? "Reading …" : "No event yet: nothing of this order has changed since ordersync knows it.")}</p>` : null}
    </div>
    ${told?.isCut ? html`<p class="note warn">These are its oldest ${count(MOST, "event")}; <code>ordersync history</code> shows those after them.</p>` : null}
    ${told?.archived.filter((part) => part.why).map((part) => html`<p class="quiet" key=${part.file}>A part of its history moved out into <code>${part.file}</code> and is not shown: ${part.why}</p>`)}
    ${shown ? html`<${Evidence} event=${shown} />` : null}`;
}

const money = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 7 });

function Facts({ row, at }) {
  const isSaid = row.source === "operator";
  const isGone = row.state === "unknown" || row.state === "suspect";
  const verified = row.verified == null ? "never" : `${span((at - row.verified) / 1000)} ago`;
  const worth = row.avg_price == null ? NaN : Number(row.filled_qty) * Number(row.avg_price);
  return html`<dl class="facts">
    <dt>Table says</dt><dd class=${row.discrepancy === "status" ? "untrue" : ""}><${Text}>${row.row_word}<//></dd>
    <dt>Exchange says</dt><dd><${Text}>${exchangeSays(row)}<//></dd>
    ${row.true_word ? html`<dt>${isShadow.value ? "Would write" : "Should say"}</dt><dd><strong><${Text}>${row.true_word}<//></strong></dd>` : null}
    <dt>Filled</dt><dd>${row.quantity == null ? html`<span class="number">${digits(row.filled_qty)}</span>` : html`<${Fill} share=${row.share} label="" /> <span class="number">${digits(row.filled_qty ?? "0")} of ${digits(row.quantity)}</span>`}</dd>
    <dt>Average price</dt><dd class="number">${digits(row.avg_price)}</dd>
    ${worth > 0 ? html`<dt>Traded for</dt><dd class="number">≈ ${money.format(worth)}</dd>` : null}
    <dt>Fee</dt><dd class="number">${digits(row.fee)}</dd>
    <dt>Created</dt><dd>${wholeMoment(row.created_at)}</dd>
    <dt>${isSaid ? "Said" : isGone ? "Absent as of" : "Verified"}</dt><dd>${verified}${isSaid ? ", by a person, not by the exchange" : row.source ? html`, by <${Text}>${row.source}<//>` : ""}</dd>
    <dt>Bot</dt><dd><${Text}>${row.owner}<//></dd>
    <dt>Account</dt><dd><${Text}>${row.account}<//></dd>
    <dt>Exchange's id</dt><dd><code><${Text}>${row.venue_order_id}<//></code> <${Copy} text=${row.venue_order_id} what="the exchange's id" /></dd>
    <dt>Client's id</dt><dd><code><${Text}>${row.client_order_id}<//></code> <${Copy} text=${row.client_order_id} what="the client's id" /></dd>
  </dl>`;
}

const Do = ({ kind, row, word, isFirst }) => html`<button type="button" class=${isFirst ? "strong" : ""} disabled=${cannotAct.value !== ""} onClick=${() => ask(kind, { row })}>${word}</button>`;

export function Detail() {
  const key = opened.value;
  useEffect(() => {
    scroll.value = 0;
    chosen.value = null;
    if (key !== null) read(key);
  }, [key, changed.value]);
  const row = key === null || drawn.value < 0 ? null : rowAt(key);
  if (!row) return null;
  const at = now.value;
  const mark = markOf(row);
  const isDoubtful = row.state === "suspect" || row.state === "unknown";
  return html`<aside class="detail" aria-label=${`Order ${row.id}`}>
    <header>
      <div><h2>Order <${Text}>${row.id}<//> <${Badge} ...${mark} tone=${mark.tone === "calm" ? "plain" : mark.tone} /></h2>
        <p class="quiet"><${Text}>${[row.side?.toLowerCase(), row.quantity && digits(row.quantity), row.symbol].filter(Boolean).join(" ") || "an order"}<//>, ${row.born == null ? "age not known" : `${span((at - row.born) / 1000)} old`}</p></div>
      <button type="button" class="close" aria-label="Close (Esc)" onClick=${() => { opened.value = null; }}>×</button>
    </header>
    ${row.orphan ? html`<p class="note warn">No row of the table names this order: no bot knows of it, and its fills count nowhere. Where nobody wants it, cancel it at the exchange; where a row appears after all, ordersync writes it.</p>` : null}
    ${!row.orphan && row.discrepancy && DISCREPANCIES[row.discrepancy] ? html`<p class=${`note ${mark.tone}`}>${DISCREPANCIES[row.discrepancy]}</p>` : null}
    <div class="buttons left">
      ${row.orphan ? null : html`<${Do} kind="verify" row=${row} isFirst=${row.state !== "unknown"} word="Verify now" />`}
      ${isDoubtful ? html`<${Do} kind="resolve" row=${row} isFirst=${row.state === "unknown"} word="Resolve …" />` : null}
      ${row.orphan ? null : html`<${Do} kind="correct" row=${row} word="Correct …" />`}
    </div>
    ${cannotAct.value ? html`<p class="quiet">${cannotAct.value}</p>` : null}
    <${Facts} row=${row} at=${at} />
    <${History} key=${key} row=${row} />
  </aside>`;
}
