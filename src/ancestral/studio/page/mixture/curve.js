// The log-likelihood after each step: it never falls.

import { fixed, svg } from "../kit.js";
import { Plot, padded } from "../plot.js";

const MOST_DOTS = 25; // above which they hide the line

export class Curve {
  constructor() {
    this.heights = []; // [step, log-likelihood]
    this.best = null; // the highest so far, of other starts
    this.plot = new Plot({
      label: "The log-likelihood after each step of EM: it never falls.",
      x: { label: "steps of EM", low: 0, high: 8, whole: true },
      y: { label: "nats", low: 0, high: 1 },
      ratio: 0.3,
      least: 176,
      margin: { left: 82 },
      paint: () => this.#paint(),
    });
  }

  draw(heights, best) {
    Object.assign(this, { heights, best });
    const later = heights.slice(heights.length > 2 ? 1 : 0); // the start lies far below all others
    const values = later.map(([, v]) => v).concat(best ?? []);
    this.plot.x.high = Math.max(8, heights.length - 1);
    Object.assign(this.plot.y, toMarks(padded(values.length ? values : [0])));
    this.plot.draw();
  }

  #paint() {
    const { plot, heights, best } = this;
    const level = best === null ? [] : [[plot.x.low, plot.x.high].map((t) => [t, best])];
    const line = plot.clipped(plot.line(heights, { class: "curve" }));
    const first = heights.length > MOST_DOTS ? heights.length : heights.length > 2 ? 1 : 0;
    const dot = ([t, v], name, r) =>
      svg("circle", { class: name, cx: plot.px(t), cy: plot.py(v), r: r * plot.unit });
    const { left, bottom } = plot.inner;
    const place = { class: "halo", x: left + 10 * plot.unit, y: bottom - 6 * plot.unit };
    const isCut = heights.length > 2 && heights[0][1] < plot.y.low;
    const start = isCut ? [svg("text", place, `↓ start: ${fixed(heights[0][1], 0)}`)] : [];
    plot.back.replaceChildren(...level.map((ends) => plot.line(ends, { class: "level" })), line, ...start);
    plot.data.replaceChildren(
      ...heights.slice(first).map((place) => dot(place, "step", 3)),
      ...heights.slice(-1).map((place) => dot(place, "now", 6)),
    );
  }
}

/** Widen a range to round numbers, so that at least two of them stand at its axis. */
function toMarks([low, high]) {
  const rough = (high - low) / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((each) => each >= rough);
  return { low: step * Math.floor(low / step), high: step * Math.ceil(high / step) };
}
