// How likely the curve of each degree makes the points, and those that it was not fitted to.

import { el, fixed, svg } from "../kit.js";
import { Plot, padded } from "../plot.js";
import { DEGREES, logLikelihood } from "./curves.js";
import { widen } from "./points.js";

const LEAST_SPAN = 0.2; // nats a point: what differs less looks alike
const DEEPEST = 1.5; // nats a point below those of the fit: others lie under the plot
const CLEAR = 0.5; // nats a point
const SLICE = 8; // ms a frame of fits at the degrees that are not shown
const ALL = Array.from({ length: DEGREES }, (_, k) => k);

export class ByDegree {
  constructor() {
    this.plot = new Plot({
      label: "",
      x: { label: "degree", low: -0.5, high: DEGREES - 0.5, names: [..."123456789"] },
      y: { label: "nats a point", low: 0, high: 1 },
      ratio: 0.4,
      least: 150,
      paint: () => this.#paint(),
    });
    this.key = el("i");
    this.scores = { fitted: ALL.map(() => NaN), rest: ALL.map(() => NaN) };
    const these = el("b", {}, "● these points");
    const caption = el("p", { class: "hint line-key" }, "Mean log density of ", these, this.key);
    this.node = el("div", {}, caption, this.plot.node);
  }

  /** Mean log density of the points and of the others; nan where there is no fit. */
  #score(k, { fits, variance, x, rest }) {
    const fit = fits.at(k + 1, variance);
    this.scores.fitted[k] = fit ? fit.logLikelihood / x.length : NaN;
    this.scores.rest[k] = fit ? logLikelihood(fit, rest.x, rest.y) / rest.x.length : NaN;
  }

  /** Score the degree shown, and others while there is time: those left keep what they had.
   *
   * Return whether all are scored.
   */
  advance(points, degree, variance) {
    if (points.fits !== this.fits || variance !== this.variance)
      Object.assign(this, { fits: points.fits, variance, left: new Set(ALL) });
    const end = performance.now() + SLICE;
    for (const k of [degree - 1, ...this.left]) {
      if (k !== degree - 1 && performance.now() > end) break;
      if (this.left.delete(k)) this.#score(k, { ...points, variance });
    }
    return !this.left.size;
  }

  /** Whether the others are clearly less likely than at a lower degree. */
  get isOver() {
    const { rest } = this.scores;
    return Math.max(...rest.slice(0, this.degree - 1)) - rest[this.degree - 1] > CLEAR;
  }

  draw(degree, points) {
    this.degree = degree;
    const [known, rest] = [this.scores.fitted, this.scores.rest].map((all) => all.filter(Number.isFinite));
    if (known.length) {
      const top = Math.max(...known, ...rest);
      const low = Math.max(Math.min(...known, ...rest), Math.min(...known) - DEEPEST);
      const spare = Math.max(0, LEAST_SPAN - (top - low)) / 2;
      [this.plot.y.low, this.plot.y.high] = padded([low - spare, top + spare], 0.12);
    }
    const [fitted, others] = [this.scores.fitted, this.scores.rest].map((all) => all[degree - 1]);
    const said = Number.isFinite(others) ? `, of the others ${fixed(others, 2)}` : "";
    const label = `Mean log density by degree. At degree ${degree}: ${fixed(fitted, 2)} nats${said}.`;
    this.plot.svg.setAttribute("aria-label", label);
    const n = points.rest.x.length.toLocaleString("en");
    const isBelow = this.scores.rest.some((score) => score < this.plot.y.low);
    const below = isBelow ? " (▽ below the plot)" : "";
    this.key.textContent = rest.length ? ` and ◇ of the other ${n}, which were not fitted${below}` : "";
    widen(this.plot);
    this.plot.draw();
  }

  #paint() {
    const { plot } = this;
    const { top, bottom } = plot.inner;
    const r = 4 * plot.unit;
    const at = plot.px(this.degree - 1);
    const dot = (cx, cy) => svg("circle", { class: "score", cx, cy, r });
    plot.back.replaceChildren(svg("line", { class: "score-now", x1: at, x2: at, y1: top, y2: bottom }));
    plot.data.replaceChildren(
      ...this.#series(this.scores.rest, "score-rest-line", (cx, cy, isBelow) => {
        const down = `M${cx - r} ${cy - 2 * r}h${2 * r}l${-r} ${2 * r}z`;
        const diamond = `M${cx - r} ${cy}l${r} ${-r}l${r} ${r}l${-r} ${r}z`;
        return svg("path", { class: "score-rest", d: isBelow ? down : diamond });
      }),
      ...this.#series(this.scores.fitted, "score-line", dot),
    );
  }

  /** A line and its marks; what lies below the plot is marked at its edge. */
  #series(scores, look, mark) {
    const { plot } = this;
    const { low, high } = plot.y;
    const known = scores
      .map((score, k) => [k, Math.max(score, 2 * low - high)])
      .filter(([, score]) => Number.isFinite(score));
    const marks = known.map(([k, v]) => mark(plot.px(k), Math.min(plot.inner.bottom, plot.py(v)), v < low));
    return [plot.clipped(plot.line(known, { class: look })), ...marks];
  }
}
