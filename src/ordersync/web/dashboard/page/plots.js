// What was, from the samples in the database: it survives a restart. Each plot says in words what it shows.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { get } from "./api.js";
import { slo } from "./held.js";
import { heardFrom } from "./link.js";
import { html } from "./parts.js";
import { count, latency, moment, number, percent, span } from "./words.js";

const WINDOWS = [["1h", "1 hour"], ["24h", "24 hours"], ["30d", "30 days"]];
const WINDOW_S = { "1h": 3600, "24h": 86400, "30d": 30 * 86400 };
const AGAIN_MS = 30000;
const SOON = 30;
const LATE = 120;
const chosen = signal("24h");
let isChosen = false;
const told = signal(null);
const trouble = signal("");
const ready = signal(typeof window.uPlot === "function");

/** uPlot's published build is a plain script; it and its style come from here. */
function load() {
  if (ready.peek()) return;
  const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: "dashboard/vendor/uPlot.min.css" });
  // A literal: nothing that anybody sent can become an address here.
  const script = document.createElement("script");
  const source = globalThis.trustedTypes ? trusted() : "dashboard/vendor/uPlot.iife.min.js";
  script.src = source;
  script.onload = () => {
    ready.value = true;
  };
  document.head.append(style, script);
}
let policy = null;
function trusted() {
  policy ??= trustedTypes.createPolicy("ordersync", {
    createScriptURL: () => new URL("dashboard/vendor/uPlot.iife.min.js", document.baseURI).href,
  });
  return policy.createScriptURL("");
}

/** Where nobody watched a hole stays: no line is drawn over what is not known. */
function withGaps({ samples, step_seconds: step }) {
  const out = [];
  for (const sample of samples) {
    const before = out.at(-1);
    if (before && (Date.parse(sample.at) - Date.parse(before.at)) / 1000 > 1.6 * step) {
      out.push({ at: new Date(Date.parse(before.at) + step * 1000).toISOString() });
    }
    out.push(sample);
  }
  return out;
}

async function read() {
  const window_ = chosen.peek();
  try {
    const [answer, all] = await Promise.all([heardFrom(get("samples", { window: window_ })), get("slo")]);
    trouble.value = "";
    if (chosen.peek() !== window_) return;
    if (!isChosen && answer.samples.length < 12) {
      // Young: a shorter window shows more. A person's own choice stands.
      isChosen = true;
      chosen.value = "1h";
      return;
    }
    const until = Date.now() / 1000;
    told.value = { ...answer, samples: withGaps(answer), worst: all.windows[window_]?.latency_seconds?.max, window: window_, span: [until - WINDOW_S[window_], until] };
  } catch (error) {
    trouble.value = error.message;
  }
}

// --- Counting --------------------------------------------------------------------------------------

/** The share `q` of what fell into buckets [[le, n], …] took at most so long, in seconds; never longer than the worst. */
function quantile(buckets, q, worst) {
  const found = within(buckets, q);
  // Told in whole milliseconds: a worst of 0 is only known to be within the first bound.
  return found == null || !worst ? found : Math.min(found, worst);
}
function within(buckets, q) {
  const whole = buckets.reduce((sum, [, n]) => sum + n, 0);
  if (!whole) return null;
  let passed = 0;
  let low = 0;
  for (const [le, n] of buckets) {
    if (n && passed + n >= q * whole) {
      const high = le ?? low * 2;
      return low + (high - low) * ((q * whole - passed) / n);
    }
    passed += n;
    low = le ?? low;
  }
  return low;
}

/** All samples' buckets in one. */
function together(samples) {
  const sum = new Map();
  for (const { latency: of } of samples) for (const [le, n] of of?.buckets ?? []) sum.set(le, (sum.get(le) ?? 0) + n);
  return [...sum].sort(([a], [b]) => (a ?? Infinity) - (b ?? Infinity));
}

/** What was found wrong, by kind: how many in each hour (each day, over a month). */
function hourly(samples, step) {
  const kinds = [...new Set(samples.flatMap(({ found }) => Object.keys(found ?? {})))].sort();
  const slots = new Map();
  for (const { at, found } of samples) {
    if (!found) continue; // nobody watched
    const slot = Math.floor(Date.parse(at) / 1000 / step) * step;
    const here = slots.get(slot) ?? slots.set(slot, {}).get(slot);
    for (const [kind, n] of Object.entries(found)) here[kind] = (here[kind] ?? 0) + n;
  }
  const xs = [...slots.keys()].sort((a, b) => a - b);
  if (xs.length) xs.push(xs.at(-1) + step); // the last slot has a width, too
  return { kinds, xs, ys: kinds.map((kind) => xs.map((x) => (slots.get(x) ?? slots.get(x - step))?.[kind] ?? 0)) };
}

// --- Drawing ---------------------------------------------------------------------------------------

// Okabe and Ito's colours keep apart for every eye; dashes do it besides.
const LINES = { light: ["#0067a3", "#b14b00", "#00785a", "#8a3d76", "#5c5300"], dark: ["#56b4e9", "#f0a04b", "#3fc79a", "#e29bc9", "#e8dc4a"] };
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 4]];

const seconds = (u, values) => values.map((v) => (v == null ? "" : latency(v * 1000)));
const hour = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const times = (u, values) => {
  const isLong = u.scales.x.max - u.scales.x.min > 3 * 86400;
  return values.map((v) => {
    const at = new Date(v * 1000);
    return isLong || (at.getHours() === 0 && at.getMinutes() === 0) ? day.format(at) : hour.format(at);
  });
};
const STEPS = [60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 2 * 86400, 5 * 86400, 7 * 86400];
const whens = (u, values) => values.map((v) => moment(new Date(v * 1000).toISOString(), Date.now()).replace(/\.\d+$/, ""));
const powers = (u, axis, low, high) => {
  const found = [];
  for (let at = 10 ** Math.ceil(Math.log10(low)); at <= high; at *= 10) found.push(at);
  return found;
};
const wholes = (u, values) => values.map((v) => (v == null || v % 1 ? "" : number(v)));

/** Say beside each line what it is where the pointer is: [when, ...values]. */
function point(keys, columns, idx, spell, when) {
  if (!keys) return;
  const [at, ...values] = keys.querySelectorAll(".when, b");
  at.textContent = idx == null ? "point at it for values" : when(null, [columns[0][idx]])[0];
  values.forEach((value, n) => {
    const v = idx == null ? null : columns[n + 1]?.[idx];
    value.textContent = idx == null ? "" : v == null ? "–" : spell(null, [v])[0] || number(Math.round(v * 100) / 100);
  });
}

/** A plot of columns; `lines` are {label, value, bars}, `marks` horizontal lines {at, word}. */
function Plot({ title, say, columns, lines, isDark, y, marks = [], log = false, bars = false, range, x, span: [from, until] = [] }) {
  const holder = useRef(null);
  const keys = useRef(null);
  const colours = LINES[isDark ? "dark" : "light"];
  useEffect(() => {
    const css = getComputedStyle(document.documentElement);
    const [ink, grid] = [css.getPropertyValue("--muted").trim(), css.getPropertyValue("--line").trim()];
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "11px system-ui, sans-serif" };
    const plot = new uPlot({
      width: holder.current.clientWidth, height: 210, legend: { show: false }, cursor: { y: false, drag: { x: false, y: false }, ...(x ? {} : { sync: { key: "ordersync" } }) },
      scales: { x: x?.scale ?? { time: true, range: () => [from, until] }, y: log ? { distr: 3, log: 10, range: range ?? undefined } : { range: range ?? ((u, low, high) => [0, Math.max(1, high * 1.15)]) } },
      axes: [{ ...axis, values: x?.values ?? times, ...(x ? { space: 60, incrs: x.incrs } : { space: 70, incrs: STEPS }) }, { ...axis, size: 62, values: y ?? wholes, ...(log ? { splits: powers } : {}) }],
      series: [{}, ...lines.map(({ label }, n) => ({
        label, stroke: colours[n % colours.length], width: 2, dash: bars ? [] : DASHES[n % DASHES.length], points: { show: false }, spanGaps: false,
        ...(bars || log ? {} : { paths: uPlot.paths.stepped({ align: 1 }) }),
        ...(bars ? { paths: uPlot.paths.bars({ size: [0.8, 60] }), fill: `${colours[n % colours.length]}66` } : {}),
      }))],
      hooks: { setCursor: [({ cursor: { idx } }) => point(keys.current, columns, idx, y ?? wholes, x?.values ?? whens)], draw: [(u) => {
        const c = u.ctx;
        c.save();
        c.strokeStyle = c.fillStyle = ink;
        c.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
        c.textAlign = "left";
        c.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
        for (const [n, { at, word, along }] of marks.entries()) {
          const across = along === "x";
          const where = Math.round(u.valToPos(at, across ? "x" : "y", true));
          const { left, top, width, height } = u.bbox;
          if (across ? where < left || where > left + width : where < top || where > top + height) continue;
          c.beginPath();
          if (across) {
            c.moveTo(where, top);
            c.lineTo(where, top + height);
          } else {
            c.moveTo(left, where);
            c.lineTo(left + width, where);
          }
          c.stroke();
          c.fillText(word, across ? where + 4 : left + 6, across ? top + (12 + 13 * n) * devicePixelRatio : where - 4);
        }
        c.restore();
      }] },
    }, columns, holder.current);
    const size = new ResizeObserver(() => plot.setSize({ width: holder.current.clientWidth, height: 210 }));
    size.observe(holder.current);
    return () => {
      size.disconnect();
      plot.destroy();
    };
  }, [columns, isDark]);
  return html`<figure class="plot"><figcaption><h3>${title}</h3><p>${say}</p></figcaption>
    <div class="canvas" ref=${holder} role="img" aria-label=${`${title}. ${say}`}></div>
    <ul class="keys" ref=${keys}><li class="when quiet">point at it for values</li>${lines.map(({ label }, n) => html`<li><svg width="28" height="10" aria-hidden="true">
      ${bars ? html`<rect x="8" width="12" height="10" fill=${colours[n % colours.length]} />` : html`<line x1="0" x2="28" y1="5" y2="5" stroke=${colours[n % colours.length]} stroke-width="2.5" stroke-dasharray=${DASHES[n % DASHES.length].join(" ")} />`}</svg>${label} <b class="number"></b></li>`)}</ul>
  </figure>`;
}

const kept = new WeakMap();
/** By kind the most rows at once that differed. */
function atOnce(samples) {
  const sum = {};
  for (const { discrepancies } of samples) {
    for (const [kind, n] of Object.entries(discrepancies ?? {})) sum[kind] = Math.max(sum[kind] ?? 0, n);
  }
  return Object.entries(sum).sort();
}

/** What the plots show, worked out once for each answer. */
function figures(answer) {
  if (kept.has(answer)) return kept.get(answer);
  const { samples, worst } = answer;
  const xs = samples.map(({ at }) => Date.parse(at) / 1000);
  const of = (name) => samples.map((sample) => sample[name] ?? null);
  const all = together(samples);
  const step = answer.window === "30d" ? 86400 : answer.window === "1h" ? 300 : 3600;
  const found = {
    all, step, by: hourly(samples, step), untrue: atOnce(samples),
    times: [xs, ...[0.5, 0.99].map((q) => samples.map(({ latency: l }) => quantile(l?.buckets ?? [], q, worst)))],
    spread: [all.map((_, n) => n), all.map(([, n]) => n)],
    doubt: [xs, of("stale"), of("suspect"), of("unknown")],
    success: [xs, samples.map(({ success_ratio: r }) => (r == null ? null : r * 100))],
    calls: [xs, samples.map(({ calls }) => (calls == null ? null : Math.round(calls / (answer.step_seconds / 60)))), of("call_limit")],
  };
  found.kinds = [found.by.xs, ...found.by.ys];
  kept.set(answer, found);
  return found;
}

const most = (column) => column.reduce((a, b) => Math.max(a, b ?? 0), 0);

function All({ answer, isDark }) {
  const f = figures(answer);
  const objectives = [{ at: SOON, word: "30 s" }, { at: LATE, word: "2 min" }];
  const counted = f.all.reduce((sum, [, n]) => sum + n, 0);
  const within = (limit) => (counted ? f.all.filter(([le]) => le != null && le <= limit).reduce((sum, [, n]) => sum + n, 0) / counted : null);
  // The server knows the worst of all besides, which no bucket tells.
  const exactly = (name, share) => slo.value?.windows?.[answer.window]?.latency_seconds?.[name] ?? quantile(f.all, share, answer.worst);
  const slot = f.all.findIndex(([le]) => le == null || le > SOON);
  const lateSlot = f.all.findIndex(([le]) => le == null || le > LATE);
  const calls = most(f.calls[1]);
  const limit = most(f.calls[2]);
  const low = f.success[1].filter((v) => v != null).reduce((a, b) => Math.min(a, b), 100);
  // The last of each column stands twice, so that it has a width.
  const found = f.by.ys.map((column) => column.slice(0, -1).reduce((a, b) => a + b, 0));
  const named = f.step === 86400 ? "day" : f.step === 300 ? "5 minutes" : "hour";
  return html`<div class="plots">
    <${Plot} title="From fill to row, over time" span=${answer.span} isDark=${isDark} columns=${f.times} log y=${seconds} marks=${objectives}
      range=${(u, min, max) => [Math.max(0.0005, Math.min(min ?? 0.01, 0.01)), Math.max(300, (max ?? 1) * 2)]} lines=${[{ label: "median" }, { label: "p99" }]}
      say=${counted ? `Median ${latency(exactly("p50", 0.5) * 1000)}, p99 ${latency(exactly("p99", 0.99) * 1000)}, of ${count(counted, "change")}. The dashed lines are the objectives.` : "Nothing was filled in this time."} />
    <${Plot} title="From fill to row, how many" isDark=${isDark} columns=${f.spread} bars lines=${[{ label: "changes" }]}
      x=${{ scale: { time: false, range: (u, min, max) => [-0.6, Math.max(max, 1) + 0.6] }, incrs: [1, 3, 6, 12], values: (u, values) => values.map((v) => (v % 1 || !f.all[v] ? "" : f.all[v][0] == null ? "more" : `≤ ${latency(f.all[v][0] * 1000)}`)) }}
      marks=${[...(slot > 0 ? [{ at: slot - 0.5, word: "30 s", along: "x" }] : []), ...(lateSlot > 0 ? [{ at: lateSlot - 0.5, word: "2 min", along: "x" }] : [])]}
      say=${counted ? `${percent(within(SOON))} within 30 s, ${percent(within(LATE))} within 2 min.` : "Nothing was filled in this time."} />
    <${Plot} title=${`Discrepancies found each ${named}, by kind`} span=${answer.span} isDark=${isDark} columns=${f.kinds} lines=${f.by.kinds.map((label) => ({ label: label.replaceAll("_", " ") }))}
      say=${`${found.length ? `Found: ${f.by.kinds.map((kind, n) => `${number(found[n])} ${kind.replaceAll("_", " ")}`).join(", ")}` : "Nothing was found wrong"}; ordinary changes are not among it. ${f.untrue.length ? `Rows that differed, at most at once: ${f.untrue.map(([kind, n]) => `${number(n)} ${kind}`).join(", ")}.` : "No row was seen to differ."}`} />
    <${Plot} title="Stale, suspect and unknown orders" span=${answer.span} isDark=${isDark} columns=${f.doubt} lines=${[{ label: "stale" }, { label: "suspect" }, { label: "unknown" }]}
      say=${`At most ${count(most(f.doubt[1]), "stale order")}, ${number(most(f.doubt[2]))} suspect, ${number(most(f.doubt[3]))} unknown at one time.`} />
    <${Plot} title="Answers that could be used" span=${answer.span} isDark=${isDark} columns=${f.success} lines=${[{ label: "share" }]} y=${(u, values) => values.map((v) => `${v} %`)}
      range=${(u, min) => [Math.min(90, Math.floor((min ?? 100) / 10) * 10), 101]} say=${!f.success[1].some((v) => v != null) ? "Nothing was asked in this time." : low === 100 ? "Every question to the exchange had an answer that counts." : `At worst ${percent(low / 100)} of the questions to the exchange had an answer that counts.`} />
    <${Plot} title="Calls a minute against the exchange's limit" span=${answer.span} isDark=${isDark} columns=${f.calls} lines=${[{ label: "calls" }, { label: "limit" }]}
      say=${`At most ${number(Math.ceil(calls))} a minute${limit ? `, of ${number(limit)} that may be made` : ""}.`} />
  </div>`;
}

function Objectives() {
  const all = slo.value?.windows;
  if (!all) return null;
  return html`<div class="wide" tabindex="0" role="region" aria-label="Objectives"><table class="plain figures">
    <thead><tr><th scope="col">In the last</th><th scope="col">Median</th><th scope="col">p95</th><th scope="col">p99</th><th scope="col">Worst</th><th scope="col">Changes</th><th scope="col">Within 30 s</th><th scope="col">Within 2 min</th><th scope="col" title="Of rows that had ended, some are asked about again.">Sampled rows true</th><th scope="col" title="Of the time in which ordersync watched and bots waited: the share in which that was true.">Bots blocked truly</th></tr></thead>
    <tbody>${WINDOWS.filter(([name]) => all[name]).map(([name, title]) => {
      const { latency_seconds: l = {}, within_30s: soon, within_2m: late, accuracy, availability } = all[name];
      const ms = (s) => latency(s == null ? null : s * 1000);
      return html`<tr><th scope="row">${title}</th><td class="number">${ms(l.p50)}</td><td class="number">${ms(l.p95)}</td><td class="number">${ms(l.p99)}</td><td class="number">${ms(l.max)}</td>
        <td class="number">${number(l.count)}</td><td class="number">${percent(soon)}</td><td class="number">${percent(late)}</td>
        <td class="number">${percent(accuracy?.value)}${accuracy?.sampled ? html` <span class="quiet">of ${number(accuracy.sampled)}</span>` : null}</td><td class="number">${percent(availability?.value)}</td></tr>`;
    })}</tbody></table></div>`;
}

export function Plots({ isDark }) {
  useEffect(() => {
    load();
    read();
    const again = setInterval(() => {
      if (!document.hidden) read();
    }, AGAIN_MS);
    return () => clearInterval(again);
  }, [chosen.value]);
  const answer = told.value;
  return html`
    <div class="title"><h2>Plots</h2><div class="choice" role="group" aria-label="How far back">
      ${WINDOWS.map(([name, title]) => html`<button type="button" aria-pressed=${chosen.value === name} onClick=${() => { isChosen = true; chosen.value = name; }}>${title}</button>`)}</div></div>
    <${Objectives} />
    ${trouble.value ? html`<p class="trouble">${trouble.value}</p>` : null}
    ${!answer || !ready.value ? html`<p class="quiet reserve">Reading …</p>`
      : answer.samples.length < 2 ? html`<p class="quiet reserve">Not enough was noted yet. Figures are noted each minute and kept in the database; this view shows them in steps of ${span(answer.step_seconds)}.</p>`
      : html`<${All} answer=${answer} isDark=${isDark} />`}`;
}
