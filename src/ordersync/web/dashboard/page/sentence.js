// The one sentence at the top: what is true now, and what to do about it.
import { wanted } from "./api.js";
import { accounts, everyRow, isShadow, loaded, standing, totals } from "./held.js";
import { isAway, link } from "./link.js";
import { now } from "./shown.js";
import { count, isBehind, number, silence, span, venueName } from "./words.js";

const away = (at) => {
  const { since, why } = link.value;
  return since == null
    ? {
        tone: "bad", shape: "away", say: "The server does not answer.",
        todo: `${why} Is ordersync running? Trying again every few seconds.`,
      }
    : {
        tone: "bad", shape: "away",
        say: `The server is away: what is shown was true ${span((at - since) / 1000)} ago.`,
        todo: "Nothing here changes until it answers. See whether ordersync still runs; this page goes on by itself.",
      };
};

/** How many rows nobody vouches for while that lasts. */
const meanwhile = () => {
  const { stale = 0, open = 0 } = standing.value ?? {};
  return stale ? ` ${count(stale, "order")} of ${number(open)} stale meanwhile.` : "";
};

/** An account that cannot be asked or whose stream is silent; or, `late`, that is merely behind. */
function silent(isLate, at) {
  for (const one of accounts.value ?? []) {
    const { account, degraded, exchange, polling, stream } = one;
    if (exchange?.answers === false) {
      const last = exchange.last_answer_at;
      return {
        tone: "bad", shape: "stop",
        say: `${venueName(one.venue)} has not answered for ${span(silence(one, at))}: no fill can be seen.${meanwhile()}`,
        todo: `${account}: ${count(exchange.unanswered_calls, "call")} without an answer, ${last ? `the last one came ${span((at - Date.parse(last)) / 1000)} ago` : "none came yet"}. It is asked again without end; no row is written meanwhile.`,
        go: "health",
      };
    }
    if (stream?.state === "failed") {
      const isMute = polling?.asked > 0 && polling.failed >= polling.asked;
      return {
        tone: "bad", shape: "stop", say: `${account}: the exchange's stream is silent${isMute ? ", and the last pass failed" : ""}.`,
        todo: isMute ? `Rows may be untrue. ${polling.why ?? ""}` : `Orders are asked for instead, so rows are true a little later. ${degraded ?? ""}`, go: "health",
      };
    }
    if (degraded && isBehind(degraded) === isLate) {
      return {
        tone: "bad", shape: "stop", say: `${account}: ${degraded}`,
        todo: "Rows may be untrue, and nothing is written meanwhile. ordersync doctor looks for the cause.", go: "health",
      };
    }
  }
  return null;
}

/** What the stale rows say, where they agree, for how long at least, and since when the oldest does. */
function staleWords(at) {
  const words = new Set();
  let [youngest, oldest] = [Infinity, 0];
  for (const row of everyRow()) {
    if (row.state !== "stale") continue;
    words.add(row.row_word);
    if (row.born == null) continue;
    youngest = Math.min(youngest, (at - row.born) / 1000);
    oldest = Math.max(oldest, (at - row.born) / 1000);
  }
  const word = words.size === 1 ? [...words][0] : null;
  const long = Number.isFinite(youngest) ? ` for over ${span(Math.floor(youngest / 60) * 60 || youngest)}` : "";
  return `the table has said ${word ?? "open"}${long}${oldest > 2 * youngest ? `, the oldest for ${span(oldest)}` : ""}`;
}

/** {tone, shape, say, todo, act, go}: exactly one thing, the worst first. */
export function sentence() {
  const at = now.value;
  if (wanted.value !== null) {
    return { tone: "calm", shape: "question", say: "This page needs a token.", todo: "The server listens beyond this machine." };
  }
  if (isAway.value) return away(at);
  const t = totals.value;
  if (!t && link.value.refused) {
    return { tone: "bad", shape: "stop", say: `The server does not tell: ${link.value.refused}`, todo: "Its log says more. This page asks again every few seconds." };
  }
  if (!loaded.value || !t || !standing.value) return { tone: "calm", shape: "dot", say: "Reading the orders …", todo: "" };
  const dead = silent(false, at);
  if (dead) return dead;
  const { open, stale, suspect, unknown, trouble, loud, never } = standing.value;
  if (suspect) {
    return {
      tone: "bad", shape: "stop",
      say: `${count(suspect, "order is", "orders are")} suspect: the exchange does not show ${suspect === 1 ? "it" : "them"}.${stale ? ` ${count(stale, "more is", "more are")} stale.` : ""}`,
      todo: "Nothing is written until that is proven. Verify asks again; if you know what became of it, resolve it.",
      act: "verify", go: "trouble",
    };
  }
  if (stale) {
    return {
      tone: loud ? "bad" : "warn", shape: "warning",
      say: `${count(stale, "order")} stale: ${staleWords(at)}.`,
      todo: isShadow.value ? "This is a shadow: what is true is recorded, and no row is written. Start ordersync run without --shadow to mend them."
        : "Bots that wait for them are blocked. Verify asks the exchange, and mends the rows.",
      act: "verify", go: "trouble",
    };
  }
  const n = trouble - unknown;
  if (n > 0) {
    return {
      tone: "warn", shape: "differs", say: `${count(n, "row differs", "rows differ")} from the exchange at this moment.`,
      todo: isShadow.value ? "This is a shadow: no row is written. Open a row to see what would be." : "That is being mended; if it stays, open the row.", act: "verify", go: "trouble",
    };
  }
  if (unknown) {
    return {
      tone: "warn", shape: "question", say: `${count(unknown, "order is", "orders are")} proven not to be at the exchange.`,
      todo: `Only you can know what became of ${unknown === 1 ? "it" : "them"}: the exchange cannot say. Resolve writes it, with your reason.`,
      act: unknown === 1 ? "resolve" : null, go: "trouble",
    };
  }
  const behind = open ? silent(true, at) : null;
  if (behind) return behind;
  if (t.orphans) {
    return {
      tone: "warn", shape: "question",
      say: `${count(t.orphans, "order")} at the exchange ${t.orphans === 1 ? "has" : "have"} no row: no bot knows of ${t.orphans === 1 ? "it" : "them"}.`,
      todo: `${open ? `The ${count(open, "open row")} ${open === 1 ? "is" : "are"} true. ` : ""}Somebody placed them by hand, or a bot failed to write its row: look at them, and cancel at the exchange what nobody wants.`,
      go: "orphans",
    };
  }
  if (!open) return { tone: "good", shape: "check", say: "No order is open, and nothing is untrue.", todo: "New rows appear here by themselves." };
  if (never || t.oldest_verified_age_seconds == null) {
    return { tone: "calm", shape: "dot", say: `${count(open, "open order")}; ${never === open ? "none of them" : "not all of them"} was verified yet.`, todo: "New ones are asked about at once." };
  }
  const within = t.oldest_verified_age_seconds + (at - t.told) / 1000;
  return {
    tone: "good", shape: "check", todo: "", act: "verify",
    say: `${open === 1 ? "The one open order is" : `All ${number(open)} open orders`} verified within ${span(Math.ceil(within))}.`,
  };
}
