// The page's life: it hears events, asks every few seconds for what no event tells, and wakes after sleep.
import { wanted, get } from "./api.js";
import { FEW, askRows, loadAll, loadOrphans } from "./asked.js";
import { catchUp, readSoon } from "./ended.js";
import { hear } from "./heard.js";
import { accounts, channels, owners, readAt, rows, slo } from "./held.js";
import { caller, heardFrom, isAway, link } from "./link.js";
import { drawSoon, filter, isUntidy, now } from "./shown.js";
import { Stream } from "./stream.js";

const ASK_MS = 5000;
const AWAY_MS = 2000;
const SLO_MS = 30000;
const ASLEEP_MS = 90000;

async function ask() {
  await askRows();
  await beside("accounts", (answer) => {
    const told = Date.now();
    accounts.value = answer.accounts.map((account) => ({ ...account, told }));
    channels.value = answer.channels ?? [];
    vouch();
  });
  if (!caller.peek()) {
    await beside("caller", (answer) => {
      caller.value = answer;
    });
  }
  if (filter.peek().which === "orphans") await loadOrphans();
  if (!link.peek().stream) readSoon(); // nobody tells what ends meanwhile
  await catchUp();
  await beside("owners", (answer) => {
    owners.value = answer.owners;
  });
  if (!slo.peek() || Date.now() - slo.peek().told > SLO_MS) {
    await beside("slo", (answer) => {
      slo.value = { ...answer, told: Date.now() };
    });
  }
  // Many rows take the server a while to count: it is asked for an eightieth of its time at most.
  every = rows.size > FEW ? Math.max(ASK_MS, 80 * (Date.now() - asked)) : ASK_MS;
  drawSoon();
}

/** What stands beside the orders: where the server refuses it, the orders are shown all the same. */
async function beside(path, take) {
  try {
    take(await heardFrom(get(path)));
  } catch (trouble) {
    if (!trouble.status || trouble.status >= 500) throw trouble;
  }
}

/** A pass vouched for every row of its account that nothing is said against. */
function vouch() {
  const at = new Map();
  for (const account of accounts.peek()) {
    if (account.verified_age_seconds != null) at.set(account.account, Date.now() - account.verified_age_seconds * 1000);
    else if (account.last_verified_at) at.set(account.account, Date.parse(account.last_verified_at));
  }
  for (const row of rows.values()) {
    const passed = at.get(row.account);
    if (passed && row.rank < 2 && row.discrepancy == null && row.verified != null && row.verified < passed) {
      row.verified = passed;
    }
  }
}

let asking = false;
let asked = 0;
let every = ASK_MS;
export async function askNow() {
  if (asking || wanted.peek() !== null) return;
  asking = true;
  asked = Date.now();
  try {
    await ask();
  } catch {
    // heardFrom noted it; the page says since when nothing came.
  } finally {
    asking = false;
  }
}

const stream = new Stream(
  ({ hello, reset, event }) => {
    if (event !== undefined) {
      hear(event);
    } else if (reset) {
      readSoon({ anew: true });
      loadAll().catch(() => {}); // what happened meanwhile is told no more
    } else if (hello && readAt.peek()) {
      readSoon();
      askNow();
    }
  },
  (what) => {
    link.value = { ...link.peek(), stream: what === "open" };
    if (what === "gone") askNow();
  },
);

/** After sleep, or with another token: nothing that is held counts as known. */
export function wake() {
  caller.value = null;
  stream.renew();
  readSoon({ anew: true });
  loadAll().catch(() => {}).then(askNow);
}

export function live() {
  stream.start();
  loadAll().catch(() => {}).then(askNow);
  let ticked = Date.now();
  setInterval(() => {
    const before = ticked;
    ticked = Date.now();
    now.value = ticked;
    if (ticked - before > ASLEEP_MS) return wake();
    if (!document.hidden && ticked - asked > (isAway.peek() ? AWAY_MS : every)) askNow();
    if (isUntidy()) drawSoon();
  }, 1000);
  let hid = Date.now();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hid = Date.now();
    else if (Date.now() - hid > ASLEEP_MS) wake();
    else askNow();
  });
  addEventListener("online", wake);
}
