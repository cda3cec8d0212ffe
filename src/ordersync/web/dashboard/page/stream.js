// Server-sent events, read with fetch: an EventSource can carry no Authorization header.
import { authorized, refusal } from "./api.js";

const MUTE_MS = 45000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10000;

/**
 * Read the stream for ever. `hear` gets {hello}, {reset}, {event: Event as text, id}; `told` gets
 * "open" and "gone". After a break it goes on behind the last id that was heard.
 */
export class Stream {
  constructor(hear, told) {
    this.hear = hear;
    this.told = told;
    this.last = null;
    this.pause = FIRST_PAUSE_MS;
    this.again = null; // ends the pause
    this.abort = null; // ends the connection
    this.heardAt = 0;
  }

  start() {
    this.run();
    // Also after sleep: timers stand still meanwhile, so the first look notices the long silence.
    setInterval(() => {
      if (this.abort && Date.now() - this.heardAt > MUTE_MS) this.abort.abort();
    }, 5000);
  }

  /** Leave the connection and make another at once: after sleep, or with another token. */
  renew() {
    this.pause = FIRST_PAUSE_MS;
    if (this.again) this.again();
    else this.abort?.abort();
  }

  async run() {
    for (;;) {
      try {
        await this.read();
      } catch (error) {
        this.why = error;
      }
      this.abort = null;
      this.told("gone", this.why);
      await new Promise((resume) => {
        const timer = setTimeout(resume, this.pause);
        this.again = () => {
          clearTimeout(timer);
          resume();
        };
      });
      this.again = null;
      this.pause = Math.min(this.pause * 2, LONGEST_PAUSE_MS);
    }
  }

  async read() {
    this.why = null;
    this.abort = new AbortController();
    this.heardAt = Date.now();
    const response = await fetch("api/v1/events", {
      headers: {
        accept: "text/event-stream",
        ...(this.last == null ? {} : { "last-event-id": this.last }),
        ...authorized(),
      },
      signal: this.abort.signal,
      cache: "no-store",
      credentials: "omit",
    });
    if (!response.ok) throw await refusal(response);
    this.pause = FIRST_PAUSE_MS;
    this.told("open");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      this.heardAt = Date.now();
      // Lines end with LF or CRLF; a CR at the very end may be half of one.
      rest += value;
      const cut = rest.endsWith("\r") ? rest.length - 1 : rest.length;
      const messages = rest.slice(0, cut).replaceAll("\r\n", "\n").split("\n\n");
      rest = messages.pop() + rest.slice(cut);
      for (const message of messages) this.take(message);
    }
  }

  take(message) {
    let kind = "message";
    let id = null;
    let data = "";
    for (const line of message.split("\n")) {
      if (line.startsWith("data:")) data += (data ? "\n" : "") + line.slice(line[5] === " " ? 6 : 5);
      else if (line.startsWith("event:")) kind = line.slice(6).trim();
      else if (line.startsWith("id:")) id = line.slice(3).trim();
    }
    if (id !== null && id !== "") this.last = id;
    if (kind === "hello") {
      const newest = data ? JSON.parse(data).newest : null;
      if (this.last == null && newest != null) this.last = String(newest);
      this.hear({ hello: true });
    } else if (kind === "reset") {
      this.last = data ? (JSON.parse(data).newest ?? null) : null;
      this.hear({ reset: true });
    } else if (data) {
      this.hear({ event: data });
    }
  }
}
