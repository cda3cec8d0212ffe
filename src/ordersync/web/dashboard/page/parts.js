// Small pieces that every part of the page is made of.
import { h } from "preact";
import htm from "htm";

export const html = htm.bind(h);

const PATHS = {
  dot: html`<circle cx="8" cy="8" r="3.2" fill="currentColor" />`,
  square: html`<rect x="4.5" y="4.5" width="7" height="7" fill="none" stroke="currentColor" stroke-width="1.6" />`,
  check: html`<path d="M3 8.5l3.4 3.4L13 4.8" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round" />`,
  warning: html`<path d="M8 1.6 15.2 14.4H.8Z" fill="currentColor" /><path class="ink" d="M8 6v4M8 11.6v1.3" stroke-width="1.7" fill="none" />`,
  stop: html`<path d="M5.1 1h5.8L15 5.1v5.8L10.9 15H5.1L1 10.9V5.1Z" fill="currentColor" /><path class="ink" d="M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2" stroke-width="1.7" fill="none" />`,
  question: html`<circle cx="8" cy="8" r="7" fill="none" stroke="currentColor" stroke-width="1.6" /><path d="M5.9 6.2a2.1 2.1 0 1 1 3 1.9c-.6.3-.9.7-.9 1.4M8 11.2v1" fill="none" stroke="currentColor" stroke-width="1.6" />`,
  differs: html`<path d="M3 5.6h10M3 10.4h10M10.4 2.6 5.6 13.4" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" />`,
  away: html`<path d="M2 8h4M10 8h4M8 2v3M8 11v3" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" />`,
};

/** A shape; the word always stands beside it. */
export const Shape = ({ of }) => html`
  <svg class="shape" viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">${PATHS[of]}</svg>`;

/** A badge: shape and word; `tone` colours it besides, `tip` says what the word means. */
export const Badge = ({ shape, word, tone, tip }) => html`
  <span class="badge ${tone}" title=${tip}><${Shape} of=${shape} />${word}</span>`;

/** A word with what it means. */
export const Term = ({ tip, children }) => html`<span class="term" title=${tip}>${children}</span>`;

/** Text from the table: its own direction does not reach out of it. */
export const Text = ({ children }) =>
  children == null || children === "" ? html`<span class="none">–</span>` : html`<bdi>${children}</bdi>`;

/** How much is filled, as a bar with its number. */
export const Fill = ({ share, label }) => html`
  <span class=${share == null ? "fill untold" : "fill"} title=${label}>
    <svg class="gauge" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
      <rect class="whole" width="100" height="6" /><rect class="part" width=${(share ?? 0) * 100} height="6" />
    </svg>
    <span class="number">${share == null ? "–" : `${Math.floor(share * 100)} %`}</span>
  </span>`;
