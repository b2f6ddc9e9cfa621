// The log-likelihood of the data over a and b: filled contours, the climb, and its gain by step.

import { arrows, colour, el, fixed, follow, mixed, remembered, showFacts, svg } from "../kit.js";
import { Plot, crossAt, refined } from "../plot.js";
import { labelled, shaded } from "./shade.js";

const GRID = 40; // places of the likelihood each way; cubics fill in two between each two
const SHARES = [0.001, 0.005, 0.02, 0.07, 0.2, 0.5]; // of the largest drop, for contours far away
const NEAR = [0.5, 2, 4.5, 8, 12.5, 18]; // nats below the maximum: 1 to 6 standard errors

export class Climb {
  /** @param onmove (a, b): the point was moved. */
  constructor(data, sums, onmove) {
    Object.assign(this, { data, sums });
    this.best = data.fits[0];
    this.plot = new Plot({
      label: "Contours of the log-likelihood of the data over a and b. Arrow keys move the point.",
      x: { label: unitOf("a", data.unit), low: 0, high: 1 },
      y: { label: "b", low: 0, high: 1 },
      fills: true,
      focusable: true,
      margin: { top: 8, right: 10 },
      paint: () => this.shown && this.#paint(),
    });
    const move = (event) => (onmove(...this.plot.at(event)), true);
    follow(this.plot.svg, { start: move, move });
    this.plot.svg.addEventListener("keydown", (event) => {
      const step = arrows(event);
      if (!step) return;
      const unit = (this.plot.x.high - this.plot.x.low) / 160;
      onmove(this.shown.a + step[0] * unit, this.shown.b + step[1] * unit);
    });
    this.gain = new Plot({
      label: "The log-likelihood by step of the climb",
      x: { label: "step", low: 0, high: 1, whole: true },
      y: { low: 0, high: 1 },
      fills: true,
      margin: { top: 8, right: 12 },
      paint: () => this.shown && this.#paintGain(),
    });
    this.legend = el("figcaption", { class: "legend" });
    this.facts = el("dl", { class: "facts" });
    this.grid = remembered((near) => this.#makeGrid(near));
  }

  /** Show the point (a, b), the path that led to it as far as it has come, and the other one. */
  show(shown) {
    const { near } = shown;
    const isSame = this.shown?.near === near && this.theme === colour("paper");
    [this.shown, this.theme] = [shown, colour("paper")];
    if (isSame) this.#paintFront();
    else {
      [this.plot.x.low, this.plot.x.high] = near ? this.#around("a", 0) : this.data.reach.a;
      [this.plot.y.low, this.plot.y.high] = near ? this.#around("b", 1) : this.data.reach.b;
      this.plot.draw();
    }
    this.#drawGain();
    const drop = this.data.log_likelihood - shown.value;
    const { path, steps, within } = shown;
    showFacts(this.facts, {
      "Below the maximum": `${fixed(drop, drop < 10 ? 3 : 1)} nats`,
      ...(path.length > 1 && { Step: `${path.length - 1} of ${steps}` }),
      ...(within > 0 && within < path.length && { "Within 1 nat": `from step ${within}` }),
    });
    this.#drawLegend();
  }

  /** Which line is which: the one not asked for is faint, to compare. */
  #drawLegend() {
    const { kind, path } = this.shown;
    const line = (name) => el("b", { class: name }, `― ${CALLED[name]}`);
    const lines = path.length > 1 ? [line(kind), line(OTHER[kind])] : [];
    this.legend.replaceChildren("log p: ", ...lines, " - - maximum");
  }

  #around(key, k) {
    const reach = 6 * this.best.standard_errors[k];
    return [this.best[key] - reach, this.best[key] + reach];
  }

  #makeGrid() {
    const { x, y } = this.plot;
    const along = ({ low, high }, k) => low + (k / (GRID - 1)) * (high - low);
    const compute = (_, k) =>
      this.sums.logLikelihood(along(x, k % GRID), along(y, Math.floor(k / GRID))) - this.data.log_likelihood;
    const values = refined(Float64Array.from({ length: GRID * GRID }, compute), GRID);
    const lowest = values.reduce((held, value) => Math.min(held, value), 0);
    const drops = this.shown.near ? NEAR : SHARES.map((share) => Number((-share * lowest).toPrecision(1)));
    return { values, drops: [...new Set(drops)] };
  }

  #paint() {
    const { plot } = this;
    const { values, drops } = this.grid(this.shown.near);
    const size = 3 * GRID - 2;
    const [from, to] = [colour("first"), colour("paper")];
    const shade = (value) => drops.filter((drop) => value < -drop).length / drops.length;
    const levels = drops.map((drop) => ({ level: -drop, text: `−${told(drop)}` }));
    const apart = ([x, y], others) =>
      Math.min(400, ...others.map(([u, v]) => Math.hypot(x - u, y - v))) + 0.2 * (x + y);
    const { lines, names } = labelled(plot, values, size, levels, apart);
    this.names = names;
    plot.back.replaceChildren(shaded(plot, values, size, (v) => mixed(from, to, 0.45 + 0.5 * shade(v))));
    plot.data.replaceChildren(...lines, plot.clipped(crossAt(plot, this.best.a, this.best.b)));
    this.#paintFront();
  }

  #path(path, kind) {
    const { plot } = this;
    const dots = path
      .slice(0, 40)
      .map(({ a, b }) => svg("circle", { class: kind, cx: plot.px(a), cy: plot.py(b), r: 2.5 * plot.unit }));
    const points = path.map(({ a, b }) => [a, b]);
    return [plot.line(points, { class: `ascent ${kind}` }), ...dots];
  }

  #paintFront() {
    const { plot } = this;
    if (!plot.width) return;
    const { a, b, path, other, kind } = this.shown;
    const isMoving = path.length > 1;
    const at = { cx: plot.px(a), cy: plot.py(b) };
    plot.front.replaceChildren(
      plot.clipped(
        ...(isMoving ? [...this.#path(other, `${OTHER[kind]} faint`), ...this.#path(path, kind)] : []),
        ...this.names, // over the paths
        svg("circle", { class: "now", ...at, r: 7 * plot.unit }),
        svg("circle", { class: "hit handle", ...at, r: 18 * plot.unit }),
      ),
    );
  }

  #drawGain() {
    const { path, other, steps, value } = this.shown;
    const high = this.data.log_likelihood;
    const low = Math.min(value, high - 1, ...[...path, ...other].map((step) => step.value));
    this.gain.x.high = Math.max(steps, 10);
    [this.gain.y.low, this.gain.y.high] = [low - 0.05 * (high - low), high + 0.05 * (high - low)];
    this.gain.draw();
  }

  #paintGain() {
    const { gain } = this;
    const { path, other, kind, value } = this.shown;
    const line = (steps, name) =>
      gain.line(
        steps.map(({ value }, k) => [k, value]),
        { class: `ascent ${name}` },
      );
    const best = this.data.log_likelihood;
    const ends = [
      [gain.x.low, best],
      [gain.x.high, best],
    ];
    gain.data.replaceChildren(
      gain.clipped(
        gain.line(ends, { class: "level" }),
        ...(path.length > 1 ? [line(other, `${OTHER[kind]} faint`), line(path, kind)] : []),
      ),
      svg("circle", {
        class: "now",
        cx: gain.px(Math.max(0, path.length - 1)),
        cy: gain.py(value),
        r: 5 * gain.unit,
      }),
    );
  }
}

const told = (drop) => drop.toLocaleString("en", drop < 1e5 ? {} : { notation: "compact" });

const CALLED = { plain: "Climb", search: "Line search" };
const OTHER = { plain: "search", search: "plain" };

/** The name of a number that is told in units of a power of ten. */
export const unitOf = (name, power) =>
  power
    ? `${name}, in 10${String(power).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)])}`
    : name;
