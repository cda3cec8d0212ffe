// The page: one sentence, the orders, and what stands beside them.
import { render } from "preact";
import { signal, effect } from "@preact/signals";
import { Acts, act, ask } from "./acts.js";
import { giveToken, hasToken, wanted } from "./api.js";
import { openLinked } from "./asked.js";
import { Detail } from "./detail.js";
import { Bots, Health, Numbers } from "./health.js";
import { everyRow, isShadow, rowAt, standing, totals } from "./held.js";
import { cannotAct, isAway, link } from "./link.js";
import { live, wake } from "./live.js";
import { Orders, openCursor, step } from "./orders.js";
import { Shape, html } from "./parts.js";
import { sentence } from "./sentence.js";
import { choose, cursor, now, opened } from "./shown.js";
import { span } from "./words.js";

const VIEWS = [["orders", "Orders"], ["bots", "Bots"], ["health", "Health"], ["plots", "Plots"]];
const view = signal(VIEWS.some(([name]) => `#${name}` === location.hash) ? location.hash.slice(1) : "orders");
const helping = signal(false);
const Plots = signal(null);

function show(name) {
  if (view.peek() !== name) history.pushState(null, "", name === "orders" ? location.pathname : `#${name}`);
  view.value = name;
}

// Where one looks is in the address, so that it can be sent to somebody; alerts link so to orders.
const ORDER = /^#order=(.+)$/;
let settled = !ORDER.test(location.hash);
function follow() {
  const found = ORDER.exec(location.hash);
  if (!found) {
    view.value = VIEWS.some(([name]) => `#${name}` === location.hash) ? location.hash.slice(1) : "orders";
    opened.value = null;
    return;
  }
  view.value = "orders";
  try {
    openLinked(decodeURIComponent(found[1]));
  } catch {
    // Half an escape names nothing.
  }
}
addEventListener("popstate", follow); // a click on Back, and an address typed into the open page

// Plots are the heaviest part of the page: they come when somebody wants them.
effect(() => {
  if (view.value === "plots" && !Plots.peek()) {
    import("./plots.js").then((module) => {
      Plots.value = module.Plots;
    });
  }
});

// --- Light and dark ------------------------------------------------------------------------------

const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = signal(false);
const look = () => {
  const chosen = document.documentElement.dataset.theme;
  isDark.value = chosen ? chosen === "dark" : dark.matches;
};
dark.addEventListener("change", look);
look();
function turn() {
  const theme = isDark.peek() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("ordersync.theme", theme);
  } catch {
    // Storage is forbidden: the choice lives as long as the page.
  }
  look();
}

// --- Parts ---------------------------------------------------------------------------------------

function Sentence() {
  const { tone, shape, say, todo, act: can, go } = sentence();
  return html`<section class=${`sentence ${tone}`} aria-label="Can the table be trusted?">
    <${Shape} of=${shape} />
    <div><p class="say" role="status">${say}</p>${todo ? html`<p class="todo">${todo}</p>` : null}</div>
    <div class="buttons">
      ${go === "trouble" || go === "orphans" ? html`<${Show} which=${go} />` : null}
      ${go === "health" ? html`<button type="button" onClick=${() => show("health")}>Health</button>` : null}
      ${can ? html`<button type="button" class=${tone === "good" ? "" : "strong"} disabled=${cannotAct.value !== ""} title=${cannotAct.value} onClick=${() => can === "resolve" ? askOf("unknown") : ask("verifyAll")}>${can === "resolve" ? "Resolve …" : "Verify all"}</button>` : null}
    </div></section>`;
}

/** The rows of which the sentence speaks. */
function Show({ which }) {
  const n = which === "orphans" ? totals.value?.orphans : standing.value?.trouble;
  const choice = { which, text: "", owner: "", account: "" };
  return html`<button type="button" onClick=${() => { show("orders"); choose(choice); }}>${n === 1 ? "Show it" : "Show them"}</button>`;
}

/** Resolve the one order that stands so. */
function askOf(state) {
  const row = [...everyRow()].find((one) => one.state === state);
  if (row) ask("resolve", { row });
}

function Link() {
  const { answers, since, stream } = link.value;
  if (wanted.value !== null) return html`<span class="link-state"><${Shape} of="question" />waits for a token</span>`;
  if (answers === null) return html`<span class="link-state"><${Shape} of="dot" />connecting</span>`;
  if (isAway.value) return html`<span class="link-state bad"><${Shape} of="away" />away ${since == null ? "" : span((now.value - since) / 1000)}</span>`;
  if (!stream) return html`<span class="link-state warn"><${Shape} of="warning" />asking every 5 s</span>`;
  return html`<span class="link-state good" title="The server answers, and tells of changes as they happen."><${Shape} of="check" />connected</span>`;
}

const Top = () => html`<header class="top">
  <h1>ordersync</h1>
  <nav aria-label="Views">${VIEWS.map(([name, title]) => html`<button type="button" data-text=${title} aria-current=${view.value === name ? "page" : undefined} onClick=${() => show(name)}>${title}</button>`)}</nav>
  <span class="grow"></span>
  ${isShadow.value ? html`<span class="badge warn" title="ordersync run --shadow: what is true is recorded, and nothing is written into the table."><${Shape} of="question" />shadow: no row is written</span>` : null}
  <${Link} />
  <button type="button" class="plain" onClick=${turn} aria-label=${isDark.value ? "Light colours" : "Dark colours"} title=${isDark.value ? "Light" : "Dark"}>${isDark.value ? "☀" : "☾"}</button>
  <button type="button" class="plain" onClick=${() => { helping.value = true; }} aria-label="Keys">?</button>
</header>`;

function Token() {
  const give = (event) => {
    event.preventDefault();
    giveToken(new FormData(event.target).get("token"));
    wake();
  };
  return html`<main class="door"><form onSubmit=${give}>
    <h2>A token, please</h2>
    <p>This server can be reached from other machines, so it asks who you are. <code>ordersync token new</code> on the server makes a token.</p>
    ${wanted.value ? html`<p class="trouble" role="alert">${wanted.value}</p>` : null}
    <label><span>Token</span><input name="token" type="password" required autofocus autocomplete="off" /></label>
    <p class="quiet">It stays in this tab alone, until you close it.</p>
    <div class="buttons"><button type="submit" class="strong">Continue</button></div>
  </form></main>`;
}

const KEYS = [["j, k", "next and previous row"], ["Enter", "open the row"], ["Esc", "close"], ["v", "verify the row (resolve an unknown one)"], ["/", "search"], ["1 – 4", "orders, bots, health, plots"], ["?", "this"]];
const Help = () => helping.value
  ? html`<dialog ref=${(box) => { if (box && !box.open) box.showModal(); }} aria-labelledby="keys" onClose=${() => { helping.value = false; }}>
      <form method="dialog"><h2 id="keys">Keys</h2><dl class="facts">${KEYS.map(([key, does]) => html`<dt><kbd>${key}</kbd></dt><dd>${does}</dd>`)}</dl>
      ${hasToken() ? html`<p><button type="button" class="link" onClick=${() => { giveToken(""); wake(); helping.value = false; }}>Forget the token</button></p>` : null}
      <div class="buttons"><button class="strong" autofocus>Close</button></div></form></dialog>`
  : null;

function Page() {
  const name = view.value;
  const isOpen = opened.value !== null && name === "orders";
  return html`
    <main class=${`view on-${name} ${isOpen ? "open" : ""}`}>
      ${name === "orders" ? html`
        <section class="orders" aria-label="Orders"><${Orders} /></section>
        ${isOpen ? html`<${Detail} />` : html`<aside class="beside" aria-label="Bots and health">
          <section><h2>Bots</h2><${Bots} show=${show} isShort /></section>
          <section><h2>Accounts</h2><${Health} isShort /></section></aside>`}` : null}
      ${name === "bots" ? html`<section class="sheet"><h2>Bots</h2><${Bots} show=${show} /></section>` : null}
      ${name === "health" ? html`<section class="sheet"><h2>Health</h2><${Health} /></section>` : null}
      ${name === "plots" ? html`<section class="sheet">${Plots.value ? html`<${Plots.value} isDark=${isDark.value} />` : html`<p>Reading …</p>`}</section>` : null}
    </main>`;
}

const App = () => html`
  <${Top} />
  <${Sentence} />
  ${wanted.value === null ? html`<${Numbers} /><${Page} />` : html`<${Token} />`}
  <${Acts} /><${Help} />`;

// --- Keyboard and title --------------------------------------------------------------------------

const MOVES = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1, PageDown: 12, PageUp: -12, Home: -1e9, End: 1e9 };
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || act.peek() || helping.peek() || wanted.peek() !== null) return;
  const isTyping = event.target.closest?.("input, select, textarea") !== null;
  const isControl = event.target.closest?.("button, a, .history, pre") !== null;
  if (event.key === "Escape") {
    if (event.target.id === "search" && event.target.value) {
      event.preventDefault(); // the browser would empty the field and not say so
      choose({ text: "" });
    } else if (isTyping) event.target.blur();
    else opened.value = null;
  } else if (isTyping) {
    if (event.key === "Enter" && event.target.id === "search") {
      event.target.blur();
      step(0);
    }
  } else if (event.key === "/") {
    event.preventDefault();
    show("orders");
    // A promise, not a frame: the page is drawn in the promise before it, and the next key of somebody who types fast
    // comes before the next frame.
    Promise.resolve().then(() => document.getElementById("search")?.select());
  } else if (event.key === "?") helping.value = true;
  else if (VIEWS[event.key - 1]) show(VIEWS[event.key - 1][0]);
  else if (view.peek() !== "orders") return;
  else if (event.key in MOVES && !(isControl && event.key.length > 1)) {
    event.preventDefault();
    step(MOVES[event.key]);
  } else if (event.key === "Enter" && !isControl) openCursor();
  else if (event.key === "v") {
    const row = rowAt(cursor.peek());
    if (row && !cannotAct.peek() && row.state !== "final" && !row.orphan) ask(row.state === "unknown" ? "resolve" : "verify", { row });
  }
});

effect(() => {
  const { tone, say } = sentence();
  const title = tone === "bad" || tone === "warn" ? `⚠ ${say} · ordersync` : "ordersync";
  if (document.title !== title) document.title = title;
});

document.getElementById("app").textContent = "";
render(html`<${App} />`, document.getElementById("app"));
live();
follow();
effect(() => {
  const row = opened.value === null || view.value !== "orders" ? null : rowAt(opened.value);
  const hash = row ? `#order=${encodeURIComponent(row.id)}` : view.value === "orders" ? "" : `#${view.value}`;
  // A link that is being followed stays until it is.
  if (location.hash !== hash && (hash || !ORDER.test(location.hash) || settled)) history.replaceState(null, "", hash || location.pathname);
  if (row) settled = true;
});
