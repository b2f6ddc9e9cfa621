// The log-likelihood of the data over a and b: its contours, and the climb along its gradient.

import { gradientAscent } from "./graphs.js";
import { arrows, button, choice, el, fixed, follow, panel, showFacts, svg } from "../kit.js";
import { Plot, contourLines, crossAt, refined } from "../plot.js";

const GRID = 60; // of the contours, each way
// nats below the maximum: near it 1 to 6 standard errors
const DROPS = { wide: [30, 100, 300, 800, 2000, 5000], near: [0.5, 2, 4.5, 8, 12.5, 18] };
const PACE = 90; // ms per step of the ascent
const UNSEEN = 1e-3; // nats

export class Ascent {
  constructor(room) {
    this.room = room;
    this.binned = room.pairs.binned();
    this.path = []; // of the climb, as far as it has come
    this.zoom = "wide";
    this.node = this.#build();
  }

  #build() {
    this.plot = new Plot({
      label: "Contours of the log-likelihood of the data over a and b. Arrow keys move the point.",
      x: { label: "a", low: 0, high: 1 },
      y: { label: "b", low: 0, high: 1 },
      ratio: 0.78,
      least: 260,
      focusable: true,
      paint: (plot) => this.#paintContours(plot),
    });
    const move = (event) => {
      const [a, b] = this.plot.at(event);
      this.room.setParameters({ a, b });
      return true;
    };
    follow(this.plot.svg, { start: move, move, end: () => this.room.page.done() });
    this.plot.svg.addEventListener("keydown", (event) => {
      const step = arrows(event);
      if (!step) return;
      const unit = (this.plot.x.high - this.plot.x.low) / 160;
      this.room.setParameters({ a: this.room.a + step[0] * unit, b: this.room.b + step[1] * unit });
      this.room.page.done();
    });
    this.climbButton = button("Climb", () => this.#climb(), { kind: "main" });
    this.zoomChoice = choice({
      label: "Range",
      options: [
        ["wide", "wide"],
        ["near", "near the maximum"],
      ],
      value: "wide",
      onchange: (v) => {
        this.zoom = v;
        this.room.draw();
      },
    });
    const { n_all, n_graphs } = this.room.data;
    const all = n_all > n_graphs ? `the first ${n_graphs} of ${n_all}` : `all ${n_graphs}`;
    this.facts = el("dl", { class: "facts" });
    return panel(
      "The data's log-likelihood",
      {
        tools: [this.climbButton],
        hint: `Of ${all} graphs, ${this.room.pairs.count.toLocaleString("en")} pairs. Drag the point; Climb follows the gradient from there.`,
      },
      this.zoomChoice.node,
      this.plot.node,
      this.facts,
    );
  }

  // ---- acting ----------------------------------------------------------------------------------------

  /** Follow the gradient from the present point; the picture takes every step. */
  #climb() {
    if (this.clock) {
      this.#stop();
      return;
    }
    const path = gradientAscent(this.room.pairs, [this.room.a, this.room.b]);
    this.path = [path[0]];
    this.climbButton.textContent = "Stop";
    const pace = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : PACE;
    const top = path[path.length - 1];
    const step = () => {
      // steps too small to be seen are taken at once
      const isSlow = pace && top.value - this.path[this.path.length - 1].value > UNSEEN;
      this.path = isSlow ? path.slice(0, this.path.length + 1) : path;
      const { a, b } = this.path[this.path.length - 1];
      Object.assign(this.room, { a, b });
      this.room.draw();
      if (this.path.length < path.length) return;
      this.#stop();
      this.room.page.done();
    };
    this.clock = setInterval(step, pace);
  }

  /** Leave the path, and the climb if one is under way. */
  reset() {
    this.#stop();
    this.path = [];
  }

  #stop() {
    clearInterval(this.clock);
    this.clock = null;
    this.climbButton.textContent = "Climb";
  }

  // ---- drawing ---------------------------------------------------------------------------------------

  draw() {
    this.#setRange();
    this.#paintPoint();
  }

  #setRange() {
    const fit = this.room.data.fit;
    const near = [fit.a, fit.b].map((c, k) => [
      c - 6 * fit.standard_errors[k],
      c + 6 * fit.standard_errors[k],
    ]);
    const [x, y] = this.zoom === "near" ? near : this.room.reach;
    if (this.range === this.zoom) return;
    this.range = this.zoom;
    [this.plot.x.low, this.plot.x.high] = x;
    [this.plot.y.low, this.plot.y.high] = y;
    this.grid = null;
    this.plot.draw();
  }

  /** The likelihood on a grid, once per range: computed on every third place of each axis. */
  #makeGrid() {
    const { x, y } = this.plot;
    const compute = (_, k) => {
      const a = x.low + ((k % GRID) / (GRID - 1)) * (x.high - x.low);
      const b = y.low + (Math.floor(k / GRID) / (GRID - 1)) * (y.high - y.low);
      return this.binned.logLikelihood(a, b);
    };
    this.grid ??= refined(Float64Array.from({ length: GRID * GRID }, compute), GRID);
  }

  #paintContours(plot) {
    this.#makeGrid();
    const best = this.room.data.log_likelihood;
    const drops = DROPS[this.zoom];
    const levels = drops.map((drop) => best - drop);
    const lines = contourLines(plot, this.grid, 3 * GRID - 2, levels, (k) => 1 - k / (drops.length + 2));
    const { a, b } = this.room.data.fit;
    plot.data.replaceChildren(plot.clipped(...lines), crossAt(plot, a, b));
    this.#paintPoint();
  }

  #paintPoint() {
    const { plot } = this;
    const value = this.room.pairs.logLikelihood(this.room.a, this.room.b);
    const steps = this.path.length ? { Steps: String(this.path.length - 1) } : {};
    showFacts(this.facts, {
      "Log-likelihood": `${fixed(value, 4)} nats`,
      "Below the maximum": `${fixed(this.room.data.log_likelihood - value, 4)} nats`,
      ...steps,
    });
    if (!plot.width) return;
    const parts = [];
    if (this.path.length > 1) {
      parts.push(
        plot.clipped(
          plot.line(
            this.path.map(({ a, b }) => [a, b]),
            { class: "ascent" },
          ),
          ...this.path.map(({ a, b }) =>
            svg("circle", { class: "ascent-dot", cx: plot.px(a), cy: plot.py(b), r: 2.5 * plot.unit }),
          ),
        ),
      );
    }
    parts.push(
      plot.clipped(
        svg("circle", { class: "now", cx: plot.px(this.room.a), cy: plot.py(this.room.b), r: 7 * plot.unit }),
      ),
    );
    plot.front.replaceChildren(...parts);
  }
}
