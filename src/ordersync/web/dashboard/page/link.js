// Whether the server answers, and what it lets this page do.
import { computed, signal } from "@preact/signals";
import { Trouble } from "./api.js";

/** `since` is the last answer; `stream` says whether events are pushed. */
export const link = signal({ answers: null, since: null, stream: false, why: "", refused: "" });
export const isAway = computed(() => link.value.answers === false);
/** What the token may do: {token, scope}. Null while that is not known. */
export const caller = signal(null);
/** Why nothing can be done from here, "" where it can. */
export const cannotAct = computed(() => isAway.value ? "The server is away: nothing can be asked of it."
  : caller.value?.scope === "read" ? "Your token may only read. Acts need one made with: ordersync token new --scope operate --name NAME" : "");

/** Note that the server answered, or that it did not; hands the answer on. */
export async function heardFrom(answer) {
  try {
    const value = await answer;
    link.value = { ...link.peek(), answers: true, since: Date.now(), why: "", refused: "" };
    return value;
  } catch (error) {
    // A refusal is an answer: somebody is there.
    const isThere = error instanceof Trouble && error.status > 0 && error.status < 500;
    link.value = isThere
      ? { ...link.peek(), answers: true, since: Date.now(), why: "", refused: error.message }
      : { ...link.peek(), answers: false, why: error.message };
    throw error;
  }
}
