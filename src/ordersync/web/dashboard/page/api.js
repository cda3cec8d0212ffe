// The API's calls. The token goes into the Authorization header and sessionStorage, nowhere else.
import { signal } from "@preact/signals";

const KEPT = "ordersync.token";
const PATIENCE_MS = 20000;
let token = read();

/** Why a token is wanted: null while none is, "" before one was given, else what was wrong with it. */
export const wanted = signal(null);

function read() {
  try {
    return sessionStorage.getItem(KEPT) ?? "";
  } catch {
    return ""; // Storage is forbidden: the token lives as long as the page.
  }
}

export function giveToken(text) {
  token = text.trim();
  try {
    if (token) sessionStorage.setItem(KEPT, token);
    else sessionStorage.removeItem(KEPT);
  } catch {
    // See read().
  }
  wanted.value = null;
}

export const hasToken = () => token !== "";
export const authorized = () => (token ? { authorization: `Bearer ${token}` } : {});

/** What went wrong, in the server's words where it had some. `status` is 0 where no answer came. */
export class Trouble extends Error {
  constructor(status, title, detail, mend) {
    super(detail || title);
    this.status = status;
    this.title = title;
    this.mend = mend ?? "";
  }
}

/** Look at a refusal: asks for a token where one is wanted. Gives the Trouble. */
export async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401) {
    wanted.value = token ? "The server does not accept this token: it may be mistyped, expired or revoked." : "";
  }
  const title = problem.title ?? `The server answered ${response.status}.`;
  return new Trouble(response.status, title, problem.detail, problem.mend);
}

/** Call the API. Raises Trouble. */
export function call(method, path, body, { patience = PATIENCE_MS } = {}) {
  const answer = fetch(path, {
    method,
    headers: {
      accept: "application/json",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...authorized(),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(patience),
    cache: "no-store",
    credentials: "omit",
  });
  return contentOf(answer, patience);
}

/** What first.js asked for: {page, at} when it is there. Raises Trouble. Null the second time. */
export function takeFirst() {
  const { answer, at } = window.firstRows ?? {};
  window.firstRows = null;
  return answer ? contentOf(answer, PATIENCE_MS).then((page) => ({ page, at })) : null;
}

async function contentOf(answer, patience) {
  try {
    const response = await answer;
    if (!response.ok) throw await refusal(response);
    return await response.json();
  } catch (error) {
    if (error instanceof Trouble) throw error;
    const why = error.name === "TimeoutError" ? `No answer within ${patience / 1000} s.` : "The server does not answer.";
    throw new Trouble(0, why, "");
  }
}

export const get = (path, query = {}, options) => {
  const words = Object.entries(query).filter(([, value]) => value != null && value !== "");
  const asked = new URLSearchParams(words).toString();
  return call("GET", `api/v1/${path}${asked ? `?${asked}` : ""}`, undefined, options);
};
export const post = (path, body) => call("POST", `api/v1/${path}`, body ?? {}, { patience: 90000 });
