// Bots and channels: who is blocked and by what; whether each account can be asked, and what it costs.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get } from "./api.js";
import { accounts, channels, everyRow, owners, slo, standing, totals } from "./held.js";
import { isAway } from "./link.js";
import { Badge, Term, Text, html } from "./parts.js";
import { choose, cursor, now, opened, visible } from "./shown.js";
import { MARKS, count, isBehind, latency, number, percent, silence, span, venueName, wholeMoment } from "./words.js";

const since = (iso, at) => (iso == null ? "–" : span((at - Date.parse(iso)) / 1000));

function find(id) {
  choose({ which: "open", text: "", owner: "", account: "" });
  const row = visible.peek().find((one) => String(one.id) === String(id));
  if (row) cursor.value = opened.value = row.key;
}

const Blockers = ({ bot, show }) => html`${bot.orders.slice(0, 6).map((id, n) => html`${n ? ", " : ""}<button type="button" class="link" onClick=${() => { show?.("orders"); find(id); }}><${Text}>${id}<//></button>`)}${bot.open_orders > 6 && bot.orders.length > 6 ? ` and ${bot.open_orders - 6} more` : ""}`;

const UNTRULY = "The exchange had ended the order, and the row did not say so yet; counted from midnight UTC, by the exchange's own time of the end.";
const FREE = { shape: "dot", word: "free", tone: "plain", tip: "No row of it says open." };
const WAITS = { shape: "square", word: "blocked", tone: "plain", tip: "It waits for orders that are open at the exchange, too: that is as it should be." };
const WRONGLY = { shape: "stop", word: "blocked by a wrong row", tone: "bad", tip: "A row that it waits for is not true." };
const DOUBTFULLY = { shape: "warning", word: "blocked by a doubtful row", tone: "warn", tip: "Nobody vouches for a row that it waits for." };

/** By bot how bad the worst row is that it waits for: 2 wrong, 1 doubtful. */
function held() {
  const worst = new Map();
  for (const row of everyRow()) {
    if (row.rank < 2 || row.state === "final") continue;
    const bad = row.discrepancy === "status" || row.state === "unknown" ? 2 : 1;
    worst.set(row.owner, Math.max(bad, worst.get(row.owner) ?? 0));
  }
  return worst;
}
const stateOf = (bot, worst) => !bot.blocked ? FREE : [WAITS, DOUBTFULLY, WRONGLY][worst.get(bot.owner) ?? 0];

/** Whether a bot waits, and for how long untruly. */
export function Bots({ show, isShort }) {
  const list = owners.value;
  if (list === null) return html`<p class="quiet">Reading …</p>`;
  if (list.every((bot) => bot.owner == null)) {
    return html`<p class="quiet">No bots to tell apart: ${list.length ? "" : "no order is open, or "}<code>owner</code> is not mapped in ordersync.toml.</p>`;
  }
  const at = now.value;
  const worst = held();
  const sorted = [...list].sort((a, b) => (worst.get(b.owner) ?? 0) - (worst.get(a.owner) ?? 0) || b.blocked - a.blocked || b.untruly_blocked_seconds_today - a.untruly_blocked_seconds_today || b.open_orders - a.open_orders);
  if (isShort) {
    return html`<ul class="bots">${sorted.slice(0, 8).map((bot) => html`<li>
      <${Badge} ...${{ ...stateOf(bot, worst), word: bot.blocked ? "blocked" : "free" }} />
      <span class="name"><${Text}>${bot.owner ?? "without a bot"}<//></span>
      <span class="quiet number">${bot.blocked ? since(bot.blocked_since, at) : ""}</span>
      ${bot.blocked ? html`<span class="by quiet">${["", "a doubtful row among ", "a wrong row among "][worst.get(bot.owner) ?? 0] || "by "}<${Blockers} bot=${bot} show=${show} /></span>` : null}
      ${bot.untruly_blocked_seconds_today >= 1 ? html`<span class="by"><span class="quiet">wrongly for <${Term} tip=${UNTRULY}>${span(bot.untruly_blocked_seconds_today)} today<//></span></span>` : null}</li>`)}</ul>
      ${sorted.length > 8 ? html`<button type="button" class="link" onClick=${() => show("bots")}>All ${number(sorted.length)} bots</button>` : null}`;
  }
  return html`<div class="wide" tabindex="0" role="region" aria-label="Bots"><table class="plain cards">
    <thead><tr><th scope="col">Bot</th><th scope="col">State</th><th scope="col">Open orders</th><th scope="col">Since</th><th scope="col">By order</th><th scope="col"><${Term} tip=${UNTRULY}>Wrongly today<//></th></tr></thead>
    <tbody>${sorted.slice(0, 1000).map((bot) => html`<tr>
      <th scope="row"><${Text}>${bot.owner ?? "without a bot"}<//></th>
      <td><${Badge} ...${stateOf(bot, worst)} /></td>
      <td class="number" data-title="open orders">${number(bot.open_orders)}</td>
      <td class="number" data-title="since" title=${wholeMoment(bot.blocked_since)}>${bot.blocked ? since(bot.blocked_since, at) : "–"}</td>
      <td data-title="by order"><${Blockers} bot=${bot} show=${show} /></td>
      <td class="number" data-title="wrongly today">${bot.untruly_blocked_seconds_today >= 1 ? span(bot.untruly_blocked_seconds_today) : "no"}</td></tr>`)}</tbody></table></div>
    <p class="quiet">Blocked: the bot has an open order and waits for it. Wrongly: ${UNTRULY[0].toLowerCase()}${UNTRULY.slice(1)} The plots count something else: the time that ordersync itself watched.</p>`;
}

const STREAMS = {
  live: ["dot", "live", "good"], connecting: ["warning", "connecting", "warn"], off: ["square", "off", "plain"], failed: ["stop", "failed", "bad"],
};

/** Whether the exchange answers at all: what everything else rests on. */
function Exchange({ account, at }) {
  const { exchange } = account;
  if (exchange?.answers == null) return html`<span class="quiet">not asked by this process</span>`;
  const last = exchange.last_answer_at ? `last answer ${since(exchange.last_answer_at, at)} ago` : "never answered yet";
  return exchange.answers ? html`<${Badge} shape="check" word="answers" tone="good" /> <span class="quiet">${last}</span>`
    : html`<${Badge} shape="stop" word=${`silent for ${span(silence(account, at))}`} tone="bad" /> ${count(exchange.unanswered_calls, "call")} without an answer, ${last}`;
}

function Account({ account, at }) {
  const [shape, word, tone] = STREAMS[account.stream?.state] ?? ["question", account.stream?.state ?? "not known", "plain"];
  const gap = account.stream?.last_gap;
  const { polling, budget, lease } = account;
  const idle = isBehind(account.degraded) && !standing.value?.open; // no row, so nobody can be behind
  const isFailed = polling?.asked > 0 && polling.failed >= polling.asked;
  const used = budget?.limit ? Math.min(1, (budget.calls_last_minute ?? 0) / budget.limit) : null;
  return html`<article class="account">
    <h3><${Text}>${account.account}<//> <span class="quiet">${account.venue}</span></h3>
    ${account.shadow ? html`<p class="note warn">A shadow: what is true is recorded, and no row is written.</p>` : null}
    ${account.degraded && !idle ? html`<p class="note bad">${account.degraded}</p>` : null}
    ${idle ? html`<p class="note">No row is open, so there is nothing to verify.</p>` : null}
    <dl class="facts">
      <dt>Exchange</dt><dd><${Exchange} account=${account} at=${at} /></dd>
      <dt>Verified</dt><dd>${account.last_verified_at ? `${since(account.last_verified_at, at)} ago` : "not yet"}</dd>
      <dt>Stream</dt><dd><${Badge} shape=${shape} word=${word} tone=${tone} /> ${account.stream?.since ? html`<span class="quiet">for ${since(account.stream.since, at)}</span>` : null}</dd>
      <dt>Last gap</dt><dd>${gap ? html`${since(gap.at, at)} ago, ${span(gap.seconds)} long: ${gap.why}. ${gap.orders == null ? "" : `Filling it wrote ${count(gap.orders, "row")}.`}` : account.stream?.state === "failed" ? html`<strong>now</strong>` : html`<span class="quiet">none</span>`}</dd>
      <dt><${Term} tip="Now and then all open orders are asked for, whatever the stream told.">Passes<//></dt><dd>${polling?.last_pass_at ? html`${isFailed ? html`<${Badge} shape="stop" tone="bad" word="failed" /> ` : ""}the last began ${since(polling.last_pass_at, at)} ago, took ${polling.lasted_seconds == null ? "–" : latency(polling.lasted_seconds * 1000)}, asked about ${count(polling.asked ?? 0, "order")}${polling.failed ? html`; <strong>${number(polling.failed)} not verified:</strong> <${Text}>${polling.why}<//>` : ""}` : "no pass ended yet"}</dd>
      <dt>Calls</dt><dd>${budget && (budget.limit != null || budget.calls_last_minute != null) ? html`<span class="fill"><svg class="gauge" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect class="whole" width="100" height="6" /><rect class="part" width=${(used ?? 0) * 100} height="6" /></svg></span> <span class="number">${budget.calls_last_minute == null ? "being counted" : `${number(budget.calls_last_minute)} in the last minute`}${budget.limit ? `, limit ${number(budget.limit)}` : ""}</span>${budget.paused_until ? html`<br /><${Badge} shape="warning" tone="warn" word=${`paused until ${wholeMoment(budget.paused_until)}`} />` : null}` : html`<span class="quiet">not counted in this process</span>`}</dd>
      <dt><${Term} tip="Of several ordersyncs on one database one keeps each account: the one that holds its lease.">Lease<//></dt><dd>${lease ? html`<${Text}>${lease.holder}<//> <span class="quiet">${lease.mine ? "(this process)" : "(another process)"}</span>` : html`<span class="quiet">not used: one process</span>`}</dd>
    </dl>
    <${Strip} account=${account.account} />
  </article>`;
}

/** What the strips show, by account. */
const days = signal({});
const DAY = 288;

/** The day of an account in steps of five minutes: whether the exchange's answers could be used. */
function Strip({ account }) {
  useEffect(() => {
    const read = () => document.hidden || get("samples", { window: "24h", account }).then((answer) => {
      days.value = { ...days.peek(), [account]: { ...answer, told: Date.now() } };
    }, () => {}); // away: the banner says so
    read();
    const again = setInterval(read, 60000);
    return () => clearInterval(again);
  }, [account]);
  const day = days.value[account];
  if (!day?.samples.length) return null;
  const { samples, step_seconds: step, told } = day;
  const bars = samples.map(({ at, success_ratio: share, stale }) => {
    const x = DAY - 1 - Math.floor((told - Date.parse(at)) / 1000 / step);
    const tone = share == null ? "none" : share >= 1 ? "whole" : share > 0 ? "some" : "lost";
    return html`<rect class=${tone} x=${x} y=${tone === "some" ? 8 : 0} width="1" height=${tone === "some" ? 12 : 20}><title>${`${wholeMoment(at)}: ${percent(share)} of the answers counted, ${count(stale, "stale order")}`}</title></rect>`;
  });
  const bad = samples.filter(({ success_ratio: share }) => share != null && share < 1).length;
  const say = bad ? `In ${count(bad, "step")} of five minutes not every answer could be used.` : "Every answer of the exchange could be used.";
  return html`<figure class="strip"><figcaption><h4>The last 24 hours <span class="quiet">${say} Low bars: some answers; red: none; empty: nobody asked.</span></h4></figcaption>
    <svg viewBox=${`0 0 ${DAY} 20`} preserveAspectRatio="none" role="img" aria-label=${`${account}: ${say}`}>${bars}</svg></figure>`;
}

/** Ways to people that fail: whoever relies on them has to know. */
const Unheard = () => channels.value.filter((one) => one.why).map((one) => html`<p class="note bad">
  Alerts do not get through to <${Text}>${one.name}<//>: <${Text}>${one.why}<//></p>`);

export function Health({ isShort }) {
  const list = accounts.value;
  if (list === null) return html`<p class="quiet">Reading …</p>`;
  if (!list.length) return html`<p class="quiet">No account is configured.</p>`;
  const at = now.value;
  if (!isShort) return html`<${Unheard} /><div class="accounts">${list.map((account) => html`<${Account} key=${account.account} account=${account} at=${at} />`)}</div>`;
  return html`<${Unheard} /><ul class="bots">${list.map((account) => {
    const stream = STREAMS[account.stream?.state] ?? STREAMS.off;
    const isLate = isBehind(account.degraded);
    const [shape, word, tone] = isAway.value ? ["away", "not known", "plain"]
      : account.exchange?.answers === false ? ["stop", "does not answer", "bad"] : !account.degraded || stream === STREAMS.failed || (isLate && !standing.value?.open) ? stream
      : isLate ? ["warning", "behind", "warn"] : ["stop", "cannot be asked", "bad"];
    return html`<li><${Badge} shape=${shape} word=${word === "off" ? "asks only" : word} tone=${tone} /><span class="name"><${Text}>${account.account}<//></span>
      <span class="quiet number">${account.last_verified_at ? `verified ${since(account.last_verified_at, at)} ago` : "not verified yet"}</span></li>`;
  })}</ul>`;
}

/** The numbers of the day, small. */
export function Numbers() {
  const day = slo.value?.windows?.["24h"];
  const t = totals.value;
  const { stale, suspect, unknown } = standing.value ?? {};
  const facts = [
    ["stale", number(stale), stale ? "warn" : "", MARKS.stale.tip],
    ["suspect", number(suspect), suspect ? "bad" : "", MARKS.suspect.tip],
    ["unknown", number(unknown), unknown ? "warn" : "", MARKS.unknown.tip],
    ["without a row", number(t?.orphans), t?.orphans ? "warn" : "", MARKS.orphan.tip],
  ];
  const figures = [
    ["fill to row, median of the day", latency(day?.latency_seconds?.p50 == null ? null : day.latency_seconds.p50 * 1000), "", "From the exchange's own time of a change until the row says it."],
    ["p99", latency(day?.latency_seconds?.p99 == null ? null : day.latency_seconds.p99 * 1000), "", "Of a hundred changes 99 were in the row as soon as this."],
    ["within 30 s", percent(day?.within_30s), "", "How many of the day's changes were in the row within 30 s."],
    ["sampled rows that were true", percent(day?.accuracy?.value), "", "Of rows that had ended, some are asked about again: how many of them were true."],
  ];
  const known = figures.filter(([, value]) => value !== "–");
  return html`<section class="numbers" aria-label="The day in numbers">
    <dl>${[...facts, ...known].map(([name, value, tone, tip]) => html`<div class=${tone} title=${tip}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    ${known.length ? null : html`<span class="quiet">how late fills came: shown from the first minute on</span>`}</section>`;
}
