// The log-likelihood over the curve's slope and height at the mean of x, all else held.

import { arrows, button, fold, follow, svg } from "../kit.js";
import { Plot, contourLines, crossAt } from "../plot.js";
import { standardErrors } from "./curves.js";
import { widen } from "./points.js";

const GRID = 48;
const DROPS = [0.5, 2, 4.5, 8, 12.5]; // nats below the maximum: 1 to 5 standard errors
const REACH = 5.5; // of the plot, in standard errors

export class Likelihood {
  /** `act` is called with a slope and a height, or with null for those of the maximum. */
  constructor(act) {
    this.act = act;
    this.plot = new Plot({
      label:
        "Contours of the log-likelihood over slope and height. Arrow keys move the line off the maximum.",
      x: { label: "slope w at the mean of x", low: 0, high: 1 },
      y: { label: "height c at the mean of x", low: 0, high: 1 },
      ratio: 0.62,
      least: 220,
      focusable: true,
      paint: () => this.#paint(),
    });
    const set = (event) => {
      if (this.best) this.#set(...this.plot.at(event));
      return Boolean(this.best);
    };
    follow(this.plot.svg, { start: set, move: set });
    this.plot.svg.addEventListener("keydown", (event) => {
      const step = this.best && arrows(event);
      if (!step) return;
      const [c, w] = this.curve.powers;
      this.#set(w + 0.1 * step[0] * this.errors.w, c + 0.1 * step[1] * this.errors.c);
    });
    this.back = button("To the maximum", () => act(null));
    const hint = "Contours at 1 to 5 standard errors; the other parameters stay fixed. Drag the point: the curve follows.";
    this.node = fold("Log-likelihood", { open: true, hint }, this.plot.node, this.back);
  }

  #set(w, c) {
    const within = (v, { low, high }) => Math.min(high, Math.max(low, v));
    this.act([within(w, this.plot.x), within(c, this.plot.y)]);
  }

  draw({ best, curve }) {
    Object.assign(this, { best, curve });
    this.back.disabled = curve === best;
    if (best) {
      this.errors = standardErrors(best);
      const [c, w] = best.powers;
      const span = (middle, error) => ({ low: middle - REACH * error, high: middle + REACH * error });
      Object.assign(this.plot.x, span(w, this.errors.w));
      Object.assign(this.plot.y, span(c, this.errors.c));
    }
    widen(this.plot);
    this.plot.draw();
  }

  /** Around the maximum an exact paraboloid in slope and height: its grid, in units. */
  #surface({ information: [p, q, r] }) {
    const at = (k) => REACH * ((2 * k) / (GRID - 1) - 1);
    return Float64Array.from({ length: GRID * GRID }, (_, k) => {
      const [dw, dc] = [this.errors.w * at(k % GRID), this.errors.c * at(Math.floor(k / GRID))];
      return -0.5 * (p * dc * dc + 2 * q * dc * dw + r * dw * dw);
    });
  }

  #paint() {
    const { plot, best, curve } = this;
    if (!best) return void [plot.data, plot.front].forEach((layer) => layer.replaceChildren());
    const levels = DROPS.map((drop) => -drop);
    const [c, w] = best.powers;
    plot.data.replaceChildren(
      ...contourLines(plot, this.#surface(best), GRID, levels, (k) => 1 - 0.14 * k),
      crossAt(plot, w, c),
    );
    const at = { cx: plot.px(curve.powers[1]), cy: plot.py(curve.powers[0]), r: 7 * plot.unit };
    plot.front.replaceChildren(svg("circle", { class: "now handle", ...at }));
  }
}
