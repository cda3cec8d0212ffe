// What a person can do: each act says what it will do, asks once, and shows before and after.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { get, post } from "./api.js";
import { loadAll } from "./asked.js";
import { accounts, everyRow, isShadow, put } from "./held.js";
import { heardFrom } from "./link.js";
import { askNow } from "./live.js";
import { Text, html } from "./parts.js";
import { drawSoon, now } from "./shown.js";
import { count, digits, exchangeSays, moment, number, span } from "./words.js";

/** {kind, row, phase: ask | doing | preview | done | lost | refused, answer, trouble, form}. */
export const act = signal(null);
export const changed = signal(0);

const RETRY_MS = 2000;
const LONG_MS = 5000;
const TITLES = {
  verify: "Verify now", verifyAll: "Verify everything now", resolve: "Resolve", correct: "Correct", cleanup: "Clean up",
};

export function ask(kind, { row = null } = {}) {
  const form = kind === "cleanup"
    ? { older_than: "24h", reason: "", accept_absent: false }
    : { status: kind === "correct" ? (row?.exchange_status ?? "filled").split("+")[0] : "canceled", filled_qty: row?.filled_qty ?? "", avg_price: row?.avg_price ?? "", fee: row?.fee ?? "", reason: "" };
  act.value = { kind, row, phase: "ask", form, answer: null, trouble: null };
}
const set = (change) => {
  if (act.peek()) act.value = { ...act.peek(), ...change };
};
const close = () => {
  act.value = null;
};

const pathOf = (row) => `orders/${encodeURIComponent(row.id)}`;

function body(form, dryRun) {
  const given = Object.entries(form).filter(([, value]) => value !== "" && value != null);
  return { ...Object.fromEntries(given), dry_run: dryRun };
}

/** Send it. Where no answer comes, nobody says that it failed: what is true is read as soon as it can be. */
async function send(path, content, phase) {
  const mine = act.peek();
  set({ phase: "doing", trouble: null, began: Date.now() });
  try {
    const answer = await heardFrom(post(path, content));
    if (act.peek()?.form !== mine.form) return;
    set({ phase, answer, at: new Date().toISOString() });
    if (phase === "done") settle(answer);
  } catch (trouble) {
    if (act.peek()?.form !== mine.form) return;
    if (trouble.status === 0 && phase === "done") {
      set({ phase: "lost", trouble });
      await find(mine);
    } else {
      set({ phase: "refused", trouble });
    }
  }
}

function settle(answer) {
  if (answer.after) put(answer.after);
  changed.value += 1;
  drawSoon();
  if (!answer.after) loadAll().catch(() => {});
  askNow();
}

/** The server went away in the middle: read what is true until it says. */
async function find(mine) {
  while (act.peek()?.form === mine.form && act.peek().phase === "lost") {
    await new Promise((resume) => setTimeout(resume, RETRY_MS));
    try {
      if (mine.row) {
        const { order } = await heardFrom(get(pathOf(mine.row)));
        put(order);
        set({ phase: "done", answer: { before: mine.row, after: order, found: true } });
      } else {
        await loadAll();
        set({ phase: "done", answer: { found: true } });
      }
      changed.value += 1;
    } catch {
      // Still away; the page's banner says so.
    }
  }
}

// --- Shown -----------------------------------------------------------------------------------------

const FACTS = [
  ["row_word", "Table says"], ["exchange_status", "Exchange says"], ["filled_qty", "Filled"],
  ["avg_price", "Average price"], ["fee", "Fee"],
];

function shown(name, side) {
  const value = name === "exchange_status" && side?.account ? exchangeSays(side) : side?.[name];
  return value != null && /qty|price|fee/.test(name) ? digits(value) : value;
}

/** Before and after, what differs marked by a word and a shape. */
export function Change({ before, after }) {
  return html`<table class="change">
    <thead><tr><th scope="col"><span class="unseen">Fact</span></th><th scope="col">Before</th><th scope="col">After</th><th scope="col"><span class="unseen">Changed</span></th></tr></thead>
    <tbody>${FACTS.map(([name, title]) => {
      const [was, is] = [before, after].map((side) => shown(name, side));
      return html`<tr class=${was === is ? "same" : "differs"}>
        <th scope="row">${title}</th><td><${Text}>${was}<//></td><td><${Text}>${is}<//></td><td>${was === is ? "" : "changed"}</td></tr>`;
    })}</tbody></table>`;
}

const Named = ({ row }) => html`order <strong><${Text}>${row.id}<//></strong>${row.symbol ? html` (<${Text}>${row.symbol}<//>)` : ""}`;

const Field = ({ name, title, hint, required, ...more }) => html`
  <label><span>${title}</span><input name=${name} value=${act.value.form[name] ?? ""} required=${required} autocomplete="off" ...${more}
    onInput=${(event) => { act.peek().form[name] = event.target.value; }} />${hint ? html`<small>${hint}</small>` : null}</label>`;

const Shadow = () => isShadow.value ? html`<p class="note warn">This is a shadow: what is found is recorded, and no row is written.</p>` : null;

function Ask() {
  const { kind, row } = act.value;
  if (kind === "verify") {
    return html`<p>Asks the exchange about <${Named} row=${row} /> now. Only what the exchange says is written; nothing is placed or canceled.</p><${Shadow} />`;
  }
  if (kind === "verifyAll") {
    return html`<p>Asks the exchange about every open order of every account now, in bulk and within its rate limit. Only what the exchange says is written.</p><${Shadow} />`;
  }
  if (kind === "cleanup") {
    return html`
      <p>Verifies old open rows and writes what became of them. First you see what would be written.</p>
      <${Field} name="older_than" title="Older than" hint="As 24h, 7d, 30m" required pattern="\\d+[smhd]" />
      <${Field} name="reason" title="Reason" hint="Is kept with the record" required maxlength="500" />
      <label class="check"><input type="checkbox" checked=${act.value.form.accept_absent} onChange=${(event) => { act.peek().form.accept_absent = event.target.checked; }} /><span>The key is the right one, though the exchange has none of these orders</span>
        <small>Your word, where the account cannot prove it (<code>--accept-absent</code>). Only where ordersync doctor names the portfolio in which they were placed, and you know why they are gone. Not to make a message go away, nor after the key was changed.</small></label>`;
  }
  return html`
    <p>${kind === "resolve"
      ? html`Says what became of <${Named} row=${row} />, because the exchange does not. A later sighting at the exchange counts more than your word.`
      : html`Replaces what the exchange said of <${Named} row=${row} />: a trade was broken, or settled elsewhere. It opens a new epoch of the order; what was said before is kept as evidence.`}</p>
    <label><span>Status</span><select name="status" value=${act.value.form.status} onChange=${(event) => { act.peek().form.status = event.target.value; }}>
      ${["filled", "canceled", "expired", "rejected", "replaced"].map((word) => html`<option value=${word}>${word}</option>`)}</select></label>
    <div class="pair">
      <${Field} name="filled_qty" title="Filled quantity" inputmode="decimal" pattern="\\d*\\.?\\d+" />
      <${Field} name="avg_price" title="Average price" inputmode="decimal" pattern="\\d*\\.?\\d+" />
      <${Field} name="fee" title="Fee" inputmode="decimal" pattern="\\d*\\.?\\d+" />
    </div>
    <${Field} name="reason" title="Reason" hint="Is kept with the event" required maxlength="500" />`;
}

function Planned() {
  const { kind, answer, form } = act.value;
  if (kind !== "cleanup") return html`<p>This would be written:</p><${Change} before=${answer.before} after=${answer.after} />`;
  return html`${answer.changes.length
      ? html`<p>${count(answer.rows, "row")} would be written:</p><${Changes} list=${answer.changes} rows=${answer.rows} />`
      : html`<p>Nothing to clean up: no row that old says something untrue that is known.</p>`}
    ${form.accept_absent ? html`<p class="note warn">Besides, rows whose orders the exchange proves not to have are marked, on your word that the key is right. Which these are is known only when it is asked, so they are not in this preview.</p>` : null}
    <${Failures} of=${answer} />`;
}

/** What a pass over an account did, or why there was none. */
function Passed({ of: one }) {
  if (!one.asked && one.failures[one.account]) {
    return html`<p><strong>${one.account}: nothing was verified.</strong> ${one.failures[one.account]}. Nothing was changed.</p>`;
  }
  const rest = [...everyRow()].filter((row) => row.account === one.account && row.state !== "final").length - one.asked;
  return html`<p><strong>${one.account}</strong>: ${[`${count(one.asked, "order")} asked about`, `${count(one.updated, "row")} updated`,
    `${number(one.not_found)} not found on the exchange`, `${number(one.failed)} failed`].join(", ")}.${rest > 0
    ? ` Of ${count(rest, "open row")} more it is known already what became of ${rest === 1 ? "its order" : "their orders"}.` : ""}</p>
    <${Failures} of=${one} />`;
}

/** What a verified order is like now, by what its row says beside the truth; not by what changed. */
function verdict({ before, after }) {
  const says = exchangeSays(after);
  if (after.state === "unknown" || after.state === "suspect") {
    return `The exchange has no such order${after.state === "suspect" ? "; that is not proven yet" : ": that is proven"}. ${after.state === "unknown" ? "Resolve says what became of it." : "Nothing is written until it is."}`;
  }
  if (after.discrepancy === "status" || after.discrepancy === "fills") {
    const due = after.true_word ? ` It should say ${after.true_word}.` : "";
    return `The row is not true: it says ${after.row_word}, the exchange ${says}.${due} ${isShadow.value
      ? `This is a shadow, so nothing was written.` : "It could not be written yet."}`;
  }
  return before.row_word === after.row_word && before.filled_qty === after.filled_qty ? "The row is true: it says what the exchange says." : "The row now says what the exchange says.";
}

/** Which orders could not be verified or written, and why; the first few. */
const Failures = ({ of: { failed, failures } }) => failed
  ? html`<p><strong>${count(failed, "order")} could not be verified or written.</strong></p>
    <ul class="failures">${Object.entries(failures).slice(0, 8).map(([order, why]) => html`<li><code><${Text}>${order}<//></code> <${Text}>${why}<//></li>`)}</ul>`
  : null;

const Changes = ({ list, rows }) => html`<div class="long" tabindex="0" role="region" aria-label="Changes"><table class="change">
  <thead><tr><th scope="col">Row</th><th scope="col">Column</th><th scope="col">Stored</th><th scope="col">True</th></tr></thead>
  <tbody>${list.slice(0, 500).flatMap(({ order, changes }) => changes.map((one, n) => html`<tr>
    <th scope="row">${n ? "" : html`<${Text}>${order.row_id}<//> <${Text}>${order.symbol}<//>`}</th>
    <td>${one.column}</td><td><${Text}>${one.stored}<//></td><td><${Text}>${one.true}<//></td></tr>`))}</tbody></table>
  ${rows > 500 ? html`<p>… and ${count(rows - 500, "row")} more.</p>` : null}</div>`;

function Done() {
  const { kind, answer } = act.value;
  const found = answer.found ? html`<p>The server went away before it answered. This is what it says now:</p>` : null;
  if (kind === "verifyAll") {
    return html`${found}${(answer.accounts ?? []).map((one) => html`<${Passed} of=${one} />`)}`;
  }
  if (kind === "cleanup") {
    return html`${found}${answer.changes ? html`<p>${count(answer.rows, "row")} written.</p><${Changes} list=${answer.changes} rows=${answer.rows} /><${Failures} of=${answer} />` : null}`;
  }
  return html`${found}
    ${kind !== "verify" || answer.found ? null : answer.verified
      ? html`<p><${Text}>${verdict(answer)}<//></p>`
      : html`<p><strong>Not verified.</strong> ${answer.why ?? "The exchange gave no answer that counts."} Nothing was changed.</p>`}
    ${kind !== "verify" && answer.before?.row_word !== answer.after?.row_word ? html`<p>Written ${moment(act.value.at, now.value).slice(0, 8)}, row <${Text}>${answer.after.row_id}<//>: <${Text}>${answer.before.row_word}<//> → <${Text}>${answer.after.row_word}<//>.</p>` : null}
    ${kind !== "verify" && answer.why ? html`<p><strong>Not all of it could be written.</strong> ${answer.why}</p>` : null}
    <${Change} before=${answer.before} after=${answer.after} />`;
}

function Buttons() {
  const { kind, row, phase, form, answer, began } = act.value;
  const isPreviewed = kind === "resolve" || kind === "correct" || kind === "cleanup";
  const path = { verify: () => `${pathOf(row)}/sync`, verifyAll: () => "sync", cleanup: () => "cleanup", resolve: () => `${pathOf(row)}/resolve`, correct: () => `${pathOf(row)}/correct` }[kind];
  if (phase === "done") return html`<button type="button" class="strong" onClick=${close} autofocus>Close</button>`;
  const write = () => send(path(), isPreviewed ? body(form, false) : {}, "done");
  const isIdle = kind === "cleanup" && phase === "preview" && !answer.changes?.length && !form.accept_absent;
  return html`
    <button type="button" onClick=${close}>${phase === "lost" ? "Close" : "Cancel"}</button>
    ${phase === "preview" ? html`<button type="button" onClick=${() => set({ phase: "ask" })}>Back</button>` : null}
    ${phase === "preview" && !isIdle ? html`<button type="button" class="strong" onClick=${write}>${kind !== "cleanup" ? "Write it" : form.accept_absent ? "Ask, and write" : `Write ${count(answer.rows, "row")}`}</button>` : null}
    ${phase === "ask" || phase === "refused" || phase === "doing" ? html`<button type="submit" class="strong" autofocus=${!isPreviewed} disabled=${phase === "doing"}>${phase === "doing" ? `Asking … ${span((now.value - began) / 1000)}` : isPreviewed ? "Preview" : TITLES[kind]}</button>` : null}`;
}

/** Of the accounts that are waited for, one whose exchange does not answer. */
function mute() {
  const mine = act.peek().row?.account;
  const one = (accounts.value ?? []).find((account) => account.exchange?.answers === false && (!mine || account.account === mine));
  return one ? `The exchange of ${one.account} does not answer.` : null;
}

export function Acts() {
  const dialog = useRef(null);
  const { kind, row, phase, trouble } = act.value ?? {};
  useEffect(() => {
    if (act.value && !dialog.current.open) dialog.current.showModal();
    else if (!act.value && dialog.current.open) dialog.current.close();
  });
  const submit = (event) => {
    event.preventDefault();
    const { form } = act.peek();
    if (kind === "verify") send(`${pathOf(row)}/sync`, {}, "done");
    else if (kind === "verifyAll") send("sync", {}, "done");
    else send(kind === "cleanup" ? "cleanup" : `${pathOf(row)}/${kind}`, body(form, true), "preview");
  };
  return html`<dialog ref=${dialog} aria-labelledby="act-title" onClose=${close} onCancel=${close}>
    ${act.value ? html`<form onSubmit=${submit}>
      <h2 id="act-title">${TITLES[kind]}</h2>
      <div class="content" aria-live="polite">
        ${phase === "ask" || phase === "doing" || phase === "refused" ? html`<${Ask} />` : null}
        ${phase === "doing" && now.value - act.value.began > LONG_MS ? html`<p class="note">${mute() ?? "No answer yet."} After 60 s it is given up, and the reason stands here. Cancel leaves it; nothing is lost by that.</p>` : null}
        ${phase === "preview" ? html`<${Planned} />` : null}
        ${phase === "done" ? html`<${Done} />` : null}
        ${phase === "refused" ? html`<p class="trouble" role="alert">${trouble.message === trouble.title || trouble.status === 403 ? html`<strong>${trouble.message}</strong>` : html`<strong>${trouble.title}</strong> ${trouble.message}`} ${trouble.mend}</p>` : null}
        ${phase === "lost" ? html`<p class="trouble" role="alert"><strong>No answer came.</strong> Whether it was done is not known yet. It is not sent again by itself; as soon as the server answers, what is true stands here.</p>` : null}
      </div>
      <div class="buttons"><${Buttons} /></div>
    </form>` : null}
  </dialog>`;
}
