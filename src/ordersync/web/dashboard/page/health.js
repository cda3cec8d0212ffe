// Bots and channels: who is blocked and by what; whether each account can be asked, and what it costs.
import { accounts, channels, choose, cursor, everyRow, now, opened, owners, slo, standing, totals, visible } from "./state.js";
import { Badge, Text, html } from "./parts.js";
import { count, isBehind, latency, number, percent, span, wholeMoment } from "./words.js";

const since = (iso, at) => (iso == null ? "–" : span((at - Date.parse(iso)) / 1000));

function find(id) {
  choose({ which: "open", text: "", owner: "", account: "" });
  const row = visible.peek().find((one) => String(one.id) === String(id));
  if (row) cursor.value = opened.value = row.key;
}

const Blockers = ({ bot, show }) => html`${bot.orders.slice(0, 6).map((id, n) => html`${n ? ", " : ""}<button type="button" class="link" onClick=${() => { show?.("orders"); find(id); }}><${Text}>${id}<//></button>`)}${bot.open_orders > 6 && bot.orders.length > 6 ? ` and ${bot.open_orders - 6} more` : ""}`;

/** Whether a bot waits, and for how long untruly. */
export function Bots({ show, isShort }) {
  const list = owners.value;
  if (list === null) return html`<p class="quiet">Reading …</p>`;
  if (list.every((bot) => bot.owner == null)) {
    return html`<p class="quiet">No bots to tell apart: ${list.length ? "" : "no order is open, or "}<code>owner</code> is not mapped in ordersync.toml.</p>`;
  }
  const at = now.value;
  // Who waits for a row that is in trouble right now.
  const troubled = new Set([...everyRow()].filter((row) => row.rank >= 2).map((row) => row.owner));
  const sorted = [...list].sort((a, b) => b.blocked - a.blocked || b.untruly_blocked_seconds_today - a.untruly_blocked_seconds_today || b.open_orders - a.open_orders);
  if (isShort) {
    return html`<ul class="bots">${sorted.slice(0, 8).map((bot) => html`<li>
      <${Badge} ...${bot.blocked ? { shape: "square", word: "blocked", tone: "plain" } : { shape: "dot", word: "free", tone: "plain" }} />
      <span class="name"><${Text}>${bot.owner ?? "without a bot"}<//></span>
      <span class="quiet number">${bot.blocked ? since(bot.blocked_since, at) : ""}</span>
      ${bot.blocked ? html`<span class="by quiet">by <${Blockers} bot=${bot} show=${show} /></span>` : null}
      ${bot.untruly_blocked_seconds_today >= 1 ? html`<span class="by">${troubled.has(bot.owner)
        ? html`<${Badge} shape="warning" tone="warn" word=${`untruly for ${span(bot.untruly_blocked_seconds_today)} today`} />`
        : html`<span class="quiet">was so untruly for ${span(bot.untruly_blocked_seconds_today)} today</span>`}</span>` : null}</li>`)}</ul>
      ${sorted.length > 8 ? html`<button type="button" class="link" onClick=${() => show("bots")}>All ${number(sorted.length)} bots</button>` : null}`;
  }
  return html`<div class="wide" tabindex="0" role="region" aria-label="Bots"><table class="plain">
    <thead><tr><th scope="col">Bot</th><th scope="col">State</th><th scope="col">Open orders</th><th scope="col">Since</th><th scope="col">By order</th><th scope="col">Untruly blocked today</th></tr></thead>
    <tbody>${sorted.slice(0, 1000).map((bot) => html`<tr>
      <th scope="row"><${Text}>${bot.owner ?? "without a bot"}<//></th>
      <td>${bot.blocked ? html`<${Badge} shape="square" word="blocked" tone="plain" />` : html`<${Badge} shape="dot" word="free" tone="plain" />`}</td>
      <td class="number">${number(bot.open_orders)}</td>
      <td class="number" title=${wholeMoment(bot.blocked_since)}>${bot.blocked ? since(bot.blocked_since, at) : "–"}</td>
      <td><${Blockers} bot=${bot} show=${show} /></td>
      <td>${bot.untruly_blocked_seconds_today >= 1 ? html`<${Badge} shape="warning" tone=${troubled.has(bot.owner) ? "warn" : "plain"} word=${span(bot.untruly_blocked_seconds_today)} />` : "no"}</td></tr>`)}</tbody></table></div>
    <p class="quiet">Blocked: the bot has an open order and waits for it. Untruly: the exchange had ended the order, and the row did not say so yet.</p>`;
}

const STREAMS = {
  live: ["dot", "live", "good"], connecting: ["warning", "connecting", "warn"], off: ["square", "off", "plain"], failed: ["stop", "failed", "bad"],
};

function Account({ account, at }) {
  const [shape, word, tone] = STREAMS[account.stream?.state] ?? ["question", account.stream?.state ?? "not known", "plain"];
  const gap = account.stream?.last_gap;
  const { polling, budget, lease } = account;
  const used = budget?.limit ? Math.min(1, (budget.calls_last_minute ?? 0) / budget.limit) : null;
  return html`<article class="account">
    <h3><${Text}>${account.account}<//> <span class="quiet">${account.venue}</span></h3>
    ${account.degraded ? html`<p class="note bad">${account.degraded}</p>` : null}
    <dl class="facts">
      <dt>Verified</dt><dd>${account.last_verified_at ? `${since(account.last_verified_at, at)} ago` : "not yet"}</dd>
      <dt>Stream</dt><dd><${Badge} shape=${shape} word=${word} tone=${tone} /> ${account.stream?.since ? html`<span class="quiet">for ${since(account.stream.since, at)}</span>` : null}</dd>
      <dt>Last gap</dt><dd>${gap ? html`${since(gap.at, at)} ago, ${span(gap.seconds)} long: ${gap.why}. ${gap.orders == null ? "" : `Filling it wrote ${count(gap.orders, "row")}.`}` : html`<span class="quiet">none</span>`}</dd>
      <dt>Polling</dt><dd>${polling?.last_pass_at ? `a pass ${since(polling.last_pass_at, at)} ago, ${polling.lasted_seconds == null ? "" : `in ${latency(polling.lasted_seconds * 1000)}, `}${count(polling.asked ?? 0, "order")}` : "no pass yet"}</dd>
      <dt>Calls</dt><dd>${budget && (budget.limit != null || budget.calls_last_minute != null) ? html`<span class="fill"><svg class="gauge" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect class="whole" width="100" height="6" /><rect class="part" width=${(used ?? 0) * 100} height="6" /></svg></span> <span class="number">${number(budget.calls_last_minute ?? 0)} in the last minute${budget.limit ? `, limit ${number(budget.limit)}` : ""}</span>${budget.paused_until ? html`<br /><${Badge} shape="warning" tone="warn" word=${`paused until ${wholeMoment(budget.paused_until)}`} />` : null}` : html`<span class="quiet">not counted in this process</span>`}</dd>
      <dt>Lease</dt><dd>${lease ? html`<${Text}>${lease.holder}<//> <span class="quiet">${lease.mine ? "(this process)" : "(another process)"}</span>` : html`<span class="quiet">not used: one process</span>`}</dd>
    </dl></article>`;
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
    const [shape, word, tone] = !account.degraded || stream === STREAMS.failed || (isLate && !standing.value?.open) ? stream
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
    ["stale", number(stale), stale ? "warn" : ""],
    ["suspect", number(suspect), suspect ? "bad" : ""],
    ["unknown", number(unknown), unknown ? "warn" : ""],
    ["without a row", number(t?.orphans), t?.orphans ? "warn" : ""],
  ];
  const figures = [
    ["fill to row, median of the day", latency(day?.latency_seconds?.p50 == null ? null : day.latency_seconds.p50 * 1000), ""],
    ["p99", latency(day?.latency_seconds?.p99 == null ? null : day.latency_seconds.p99 * 1000), ""],
    ["within 30 s", percent(day?.within_30s), ""],
    ["sampled rows that were true", percent(day?.accuracy?.value), ""],
  ];
  const known = figures.filter(([, value]) => value !== "–");
  return html`<section class="numbers" aria-label="The day in numbers">
    <dl>${[...facts, ...known].map(([name, value, tone]) => html`<div class=${tone}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    ${known.length ? null : html`<span class="quiet">the day's figures come with the first minutes</span>`}</section>`;
}
