// The orders: ten thousand rows of which only those in sight are in the page.
import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { ask } from "./acts.js";
import { loadNewest, loadOlder } from "./ended.js";
import { accounts, ended, isShadow, loaded, orphans, standing, totals } from "./held.js";
import { cannotAct, link } from "./link.js";
import { Badge, Fill, Shape, Text, html } from "./parts.js";
import { arrange, choose, cursor, drawn, filter, fits, names, now, opened, scroll, sort, sortBy, visible } from "./shown.js";
import { count, digits, exchangeSays, markOf, number, span, venueName, wholeMoment } from "./words.js";

const BEYOND = 6;
const narrow = matchMedia("(max-width: 720px)");
const height = signal(narrow.matches ? 68 : 34);
narrow.addEventListener("change", () => {
  height.value = narrow.matches ? 68 : 34;
});

const sight = signal(600);
let pane = null;

const HEADS = [
  ["urgency", "Status"],
  ["age", "Age"],
  ["symbol", "Symbol"],
  ["side", "Side"],
  ["row_word", "Table says"],
  ["exchange_status", "Exchange says"],
  ["fill", "Filled"],
  ["verified", "Verified"],
  ["source", "Source"],
  ["owner", "Bot"],
  ["id", "Row"],
];

const Head = () => html`
  <div class="head" role="row" aria-rowindex="1">
    ${HEADS.map(([by, title]) => {
      const isBy = sort.value.by === by && filter.value.which !== "ended"; // what ended comes by its end
      return html`<div role="columnheader" class=${`c-${by}`} aria-sort=${isBy ? (sort.value.down ? "descending" : "ascending") : "none"}>
        <button type="button" disabled=${filter.value.which === "ended"} onClick=${() => sortBy(by)}>${title}<span class="way" aria-hidden="true">${isBy ? (sort.value.down ? " ↓" : " ↑") : ""}</span></button>
      </div>`;
    })}
    <div role="columnheader" class="c-act"><span class="unseen">Acts</span></div>
  </div>`;

function open(row) {
  cursor.value = row.key;
  opened.value = row.key;
}

/** Whether both say the same, each in its own word. */
const agrees = (row) => row.row_word != null && row.exchange_status != null && row.discrepancy == null && row.source !== "operator";

function Row({ row, index, at }) {
  const doing = row.state === "unknown" ? "Resolve" : "Verify"; // to ask again helps nothing there
  const mark = markOf(row);
  const age = row.born == null ? null : (at - row.born) / 1000;
  const verified = row.verified == null ? null : (at - row.verified) / 1000;
  const isHere = cursor.value === row.key;
  const filled = row.quantity == null ? "How much was ordered is not known." : `${digits(row.filled_qty ?? "0")} of ${digits(row.quantity)}`;
  return html`
    <div role="row" class=${`row ${mark.tone} ${row.mended ? "mended" : ""}`} aria-rowindex=${index + 2} aria-selected=${isHere} id=${`row-${index}`}
      style=${{ top: `${index * height.value}px` }} tabindex="-1" data-row=${row.id} onClick=${() => open(row)}>
      <div role="gridcell" class="c-urgency">${mark.tone === "calm"
        ? html`<span class="mark"><${Badge} ...${mark} /></span>`
        : html`<${Badge} ...${mark} />`}</div>
      <div role="gridcell" class="c-age number" title=${wholeMoment(row.created_at)}>${span(age)}</div>
      <div role="gridcell" class="c-symbol"><${Text}>${row.symbol}<//></div>
      <div role="gridcell" class="c-side"><${Text}>${row.side?.toLowerCase()}<//></div>
      <div role="gridcell" class=${`c-row_word ${row.discrepancy === "status" ? "untrue" : ""}`}><${Text}>${row.row_word}<//></div>
      <div role="gridcell" class=${`c-exchange_status ${agrees(row) ? "agrees" : ""}`}><${Text}>${exchangeSays(row)}<//></div>
      <div role="gridcell" class="c-fill"><${Fill} share=${row.share} label=${filled} /></div>
      <div role="gridcell" class="c-verified number" title=${wholeMoment(row.last_verified_at)}>${verified == null ? "never" : `${span(verified)}`}</div>
      <div role="gridcell" class="c-source"><${Text}>${row.source}<//></div>
      <div role="gridcell" class="c-owner"><${Text}>${row.owner}<//></div>
      <div role="gridcell" class="c-id"><${Text}>${row.orphan ? null : row.id}<//></div>
      <div role="gridcell" class="c-act">${row.orphan || row.state === "final" ? null : html`
        <button type="button" class=${row.rank >= 2 ? "small strong" : "small"} aria-label=${`${doing} order ${row.id}`} disabled=${cannotAct.value !== ""} title=${cannotAct.value}
          onClick=${(event) => { event.stopPropagation(); ask(doing.toLowerCase(), { row }); }}>${doing}</button>`}</div>
    </div>`;
}

function Empty() {
  const { which, text, owner, account } = filter.value;
  if (text || owner || account) {
    return html`<p>No order fits. <button type="button" class="link" onClick=${() => choose({ text: "", owner: "", account: "" })}>Show all</button></p>`;
  }
  if (which === "ended") {
    const { isRead, trouble } = ended.value;
    return html`<p>${trouble || (isRead ? "No order has ended yet." : "Reading …")}</p>`;
  }
  if (which === "orphans") {
    const { isRead, trouble } = orphans.value;
    return html`<p>${trouble || (isRead ? "Every order at the exchange has its row." : "Reading …")}</p>`;
  }
  if (!loaded.value) return html`<p>${link.value.answers === false ? "Nothing to show until the server answers." : "Reading the orders …"}</p>`;
  if (which === "trouble") return html`<p>Nothing needs you. Rows that are stale, suspect or untrue would stand here.</p>`;
  return html`<${Awaiting} />`;
}

/** What is watched while there is nothing to show, and what comes next. */
function Awaiting() {
  const at = now.value;
  const { isRead, rows } = ended.value;
  useEffect(() => {
    if (!isRead) loadNewest();
  }, [isRead]);
  return html`<div class="first">
    <h3>No open orders.</h3>
    <p>${!isRead ? "" : rows.length ? html`All that there were have ended: they are under <button type="button" class="link" onClick=${() => choose({ which: "ended" })}>Ended</button>.`
      : "None has ended yet either: the table waits for its first order."} This is watched:</p>
    <ul>${(accounts.value ?? []).map(({ account, venue, stream, polling, told }) => html`<li key=${account}><${Shape} of="dot" /><strong><${Text}>${account}<//></strong> at ${venueName(venue)}: ${stream?.state === "live" ? "what happens is pushed" : "it is asked"}${polling?.last_pass_at ? html`, the last pass began <span class="number">${span((at - Date.parse(polling.last_pass_at)) / 1000)}</span> ago` : ""}.</li>`)}</ul>
    <p>${isShadow.value ? "A row that your bot inserts appears here within seconds; in the shadow none is written." : "A row that your bot inserts appears here within seconds, and is kept true from then on."} If it does not, <code>ordersync doctor</code> looks for the cause: the table, the mapping, the key.</p>
  </div>`;
}

/** Keep the cursor's row in sight. */
function reveal(index) {
  if (!pane || index < 0) return;
  const top = index * height.value;
  const seen = pane.clientHeight - pane.querySelector(".head").clientHeight;
  if (top < pane.scrollTop) pane.scrollTop = top;
  else if (top + height.value > pane.scrollTop + seen) pane.scrollTop = top + height.value - seen;
}

export function step(by) {
  const list = visible.peek();
  if (!list.length) return;
  const at = list.findIndex((row) => row.key === cursor.peek());
  const index = Math.max(0, Math.min(list.length - 1, at < 0 ? 0 : at + by));
  cursor.value = list[index].key;
  if (opened.peek() !== null) opened.value = cursor.value;
  pane?.focus({ preventScroll: true }); // so that Enter is the row's, and a reader hears which
  reveal(index);
}
export const openCursor = () => {
  if (cursor.peek() !== null) opened.value = cursor.peek();
};

function Choice({ of, all }) {
  const list = names.value[of];
  if (list.length < 2 && !filter.value[of]) return null;
  return html`<select aria-label=${all} value=${filter.value[of]} onChange=${(event) => choose({ [of]: event.target.value })}>
    <option value="">${all}</option>
    ${list.slice(0, 500).map((name) => html`<option value=${name}>${name}</option>`)}
  </select>`;
}

/** How many have ended while the reader was further down, of those that would be shown: " (3)"; "" where none has. */
function unseen() {
  const { rows, newest } = ended.value;
  if (!newest) return "";
  const known = new Set(rows.map((row) => row.key));
  const fresh = newest.rows.filter((row) => !known.has(row.key));
  const isMore = fresh.length === newest.rows.length && newest.next !== null; // than one page of them
  const n = fresh.filter(fits(filter.value)).length;
  return n ? ` (${number(n)}${isMore ? "+" : ""})` : "";
}

function toTop() {
  if (pane) pane.scrollTop = 0;
  scroll.value = 0;
}

function toNewest() {
  toTop();
  loadNewest();
}

function Bar() {
  const { open: all, trouble } = standing.value ?? {};
  const { which } = filter.value;
  const lost = totals.value?.orphans;
  const tabs = [["open", "Open", all], ["trouble", "Need you", trouble], ...(lost || which === "orphans" ? [["orphans", "No row", lost ?? 0]] : []), ["ended", "Ended", null]];
  return html`
    <div class="bar">
      <div class="choice" role="group" aria-label="Which orders">
        ${tabs.map(([which, title, n]) => html`
          <button type="button" aria-pressed=${filter.value.which === which} onClick=${() => choose({ which })}>
            <span class="still" data-text=${title}>${title}</span>${n == null ? null : html` <span class="n ${(which === "trouble" || which === "orphans") && n ? "warn" : ""}">${number(n)}</span>`}</button>`)}
      </div>
      <input id="search" type="search" placeholder="Search   /" aria-label="Search orders" autocomplete="off" spellcheck=${false}
        value=${filter.value.text} onInput=${(event) => choose({ text: event.target.value })} />
      <${Choice} of="owner" all="All bots" />
      <${Choice} of="account" all="All accounts" />
      <span class="grow"></span>
      <span class="quiet" aria-live="off">${count(visible.value.length, which === "orphans" ? "order" : "row")} shown${which === "ended" ? ", the latest end first" : ""}</span>
      ${which === "ended" ? html`<button type="button" onClick=${toNewest}>Newest${unseen()}</button>` : null}
      ${which === "ended" && ended.value.next ? html`<button type="button" disabled=${ended.value.loading} onClick=${loadOlder}>Older ones</button>` : null}
      <button type="button" disabled=${cannotAct.value !== ""} title=${cannotAct.value} onClick=${() => ask("cleanup", {})}>Clean up …</button>
    </div>`;
}

export function Orders() {
  const list = visible.value;
  const holder = useRef(null);
  useEffect(() => {
    pane = holder.current;
    const look = new ResizeObserver(() => {
      sight.value = pane.clientHeight;
    });
    look.observe(pane);
    arrange();
    return () => {
      look.disconnect();
      scroll.value = 0;
      pane = null;
    };
  }, []);
  const { which } = filter.value;
  useLayoutEffect(toTop, [which]); // another list begins at its beginning
  const first = Math.max(0, Math.floor(scroll.value / height.value) - BEYOND);
  const last = Math.min(list.length, Math.ceil((scroll.value + sight.value) / height.value) + BEYOND);
  const at = drawn.value >= 0 ? now.value : 0;
  const here = cursor.value === null ? -1 : list.findIndex((row) => row.key === cursor.value);
  return html`
    <${Bar} />
    <div class="pane" ref=${holder} tabindex="0" role="grid" aria-label="Orders" aria-rowcount=${list.length + 1} aria-colcount=${HEADS.length + 1}
      aria-activedescendant=${here >= first && here < last ? `row-${here}` : undefined}
      onScroll=${(event) => {
        scroll.value = event.target.scrollTop;
        if (which === "ended" && last >= list.length - 20) loadOlder();
      }}>
      <div role="rowgroup"><${Head} /></div>
      <div role="rowgroup" class="rows" style=${{ height: `${list.length * height.value}px` }}>
        ${list.slice(first, last).map((row, n) => html`<${Row} key=${row.key} row=${row} index=${first + n} at=${at} />`)}
      </div>
      ${list.length ? null : html`<div class="empty" role="row"><div role="gridcell"><${Empty} /></div></div>`}
    </div>`;
}
