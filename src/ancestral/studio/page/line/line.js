// Line: points to drag, the density of y given x that they make likely, and how likely.
//
// One state: the points, whether the variance depends on x, and, where the reader has moved it off
// the maximum, the line: its slope w and its height c at the mean of x.

import { unpack } from "../arrays.js";
import {
  arrows,
  button,
  choice,
  csv,
  el,
  fixed,
  follow,
  onScheme,
  panel,
  perFrame,
  showFacts,
  significant,
  standalone,
  svg,
} from "../kit.js";
import { Plot, contourLines, crossAt, padded } from "../plot.js";
import { Points } from "./points.js";
import {
  fitHeteroscedastic,
  fitLine,
  inference,
  information,
  logLikelihood,
  moments,
  standardErrors,
} from "./regression.js";

const GRID = 48;
const DROPS = [0.5, 2, 4.5, 8, 12.5]; // nats below the maximum: 1 to 5 standard errors
const REACH = 5.5; // of the likelihood plot, in standard errors

export function openLine(body, data, page) {
  const room = new Line(body, data, page);
  room.build();
  return room;
}

class Line {
  constructor(body, data, page) {
    Object.assign(this, { body, data, page });
    this.original = { x: Array.from(unpack(data.x).data), y: Array.from(unpack(data.y).data) };
    this.range = { x: padded(this.original.x), y: padded(this.original.y, 0.12) };
    this.kind = "constant";
    this.#reset();
  }

  #reset() {
    this.x = [...this.original.x];
    this.y = [...this.original.y];
    this.isEdited = false;
    this.chosen = -1;
    this.manual = null;
  }

  // ---- the fit ---------------------------------------------------------------------------------------

  #fit() {
    const { x, y } = this;
    const best = this.kind === "constant" ? fitLine(x, y) : fitHeteroscedastic(x, y);
    this.best =
      best && Number.isFinite(best.logLikelihood) && best.v.every((v) => Math.abs(v) < 1e4) ? best : null;
    if (!this.best) {
      this.manual = null;
      this.line = null;
      return;
    }
    this.xBar = moments(x, y).xBar;
    this.line = this.manual
      ? { w: this.manual.w, b: this.manual.c - this.manual.w * this.xBar, v: best.v }
      : best;
    this.information = information(x, this.xBar, best.v);
    this.errors = standardErrors(this.information);
    this.inference = inference(this.errors, this.kind === "constant" ? x.length - 2 : Infinity);
  }

  /** The log-likelihood around the maximum is an exact paraboloid in (w, c): its grid, in units. */
  #surface() {
    const sums = this.information;
    return Float64Array.from({ length: GRID * GRID }, (_, k) => {
      const dw = this.errors.w * REACH * ((2 * (k % GRID)) / (GRID - 1) - 1);
      const dc = this.errors.c * REACH * ((2 * Math.floor(k / GRID)) / (GRID - 1) - 1);
      return -0.5 * (sums[0] * dc * dc + 2 * sums[1] * dc * dw + sums[2] * dw * dw);
    });
  }

  // ---- building --------------------------------------------------------------------------------------

  build() {
    this.refresh = perFrame(() => this.draw());
    const left = el("div", { class: "stack span-7" }, this.#buildPoints());
    const right = el("div", { class: "stack span-5" }, this.#buildFit(), this.#buildLikelihood());
    this.body.append(el("div", { class: "grid line" }, left, right));
    onScheme(() => this.draw());
    this.draw();
  }

  #buildPoints() {
    this.points = new Points(this);
    this.kindChoice = choice({
      label: "Variance",
      options: [
        ["constant", "constant"],
        ["x", "depends on x"],
      ],
      value: "constant",
      onchange: (v) =>
        this.#act(() => {
          this.kind = v;
          this.manual = null;
        }),
    });
    const tools = [
      button("Clear", () =>
        this.#act(() => {
          Object.assign(this, { x: [], y: [], isEdited: true, chosen: -1, manual: null });
        }),
      ),
      button("As in the data", () => this.#act(() => this.#reset())),
    ];
    this.note = el("p", { class: "hint", role: "status" });
    const hint =
      "Shade: the density of y; between the dashes lie 95 % of it. Thin lines: 95 % confidence for the mean. Keys: N and P choose a point, arrows move it, Delete removes it, A adds one.";
    return panel(
      "Points",
      { tools, hint },
      el("div", { class: "row" }, this.kindChoice.node, this.points.choice.node),
      this.points.node,
      this.note, // below the plot: what comes and goes must not move it
    );
  }

  #buildFit() {
    this.facts = el("dl", { class: "facts tall" });
    const several =
      this.data.n_all > this.original.x.length
        ? `${this.original.x.length} of ${this.data.n_all.toLocaleString("en")} points, drawn at random, are shown and fitted.`
        : "";
    return panel("The fit", { hint: `±: one standard error. ${several}` }, this.facts);
  }

  #buildLikelihood() {
    this.likelihood = new Plot({
      label:
        "Contours of the log-likelihood over slope and height. Arrow keys move the line off the maximum.",
      x: { label: "slope w", low: 0, high: 1 },
      y: { label: "height at the mean of x", low: 0, high: 1 },
      ratio: 0.72,
      least: 240,
      focusable: true,
      margin: { left: 66 },
      paint: () => this.#paintLikelihood(),
    });
    const set = (event) => {
      if (!this.best) return false;
      const [w, c] = this.likelihood.at(event);
      this.#setLine(w, c);
      return true;
    };
    follow(this.likelihood.svg, { start: set, move: set, end: () => this.page.done() });
    this.likelihood.svg.addEventListener("keydown", (event) => {
      const step = this.best && arrows(event);
      if (!step) return;
      const { w, b } = this.line;
      this.#setLine(w + 0.1 * step[0] * this.errors.w, b + w * this.xBar + 0.1 * step[1] * this.errors.c);
      this.page.done();
    });
    this.bestButton = button("To the maximum", () => this.#act(() => (this.manual = null)));
    return panel(
      "The log-likelihood",
      {
        tools: [this.bestButton],
        hint: "Contours at 1 to 5 standard errors, the variance held at its estimate. Drag the point: the line follows.",
      },
      this.likelihood.node,
    );
  }

  // ---- acting ----------------------------------------------------------------------------------------

  #act(change) {
    change();
    this.draw();
    this.page.done();
  }

  #setLine(w, c) {
    const { errors, best } = this;
    const centre = best.b + best.w * this.xBar;
    const limit = (v, middle, error) => Math.min(middle + REACH * error, Math.max(middle - REACH * error, v));
    this.manual = { w: limit(w, best.w, errors.w), c: limit(c, centre, errors.c) };
    this.refresh();
    this.page.moved();
  }

  /** The points are no longer those of the data: any line set by hand is dropped. */
  edited() {
    this.isEdited = true;
    this.manual = null;
    this.refresh();
    this.page.moved();
  }

  // ---- drawing ---------------------------------------------------------------------------------------

  draw() {
    this.#fit();
    this.note.textContent = this.best ? "" : this.#whyNot();
    this.bestButton.disabled = !this.manual;
    this.#drawFacts();
    if (this.best) {
      const centre = this.best.b + this.best.w * this.xBar;
      Object.assign(this.likelihood.x, {
        low: this.best.w - REACH * this.errors.w,
        high: this.best.w + REACH * this.errors.w,
      });
      Object.assign(this.likelihood.y, {
        low: centre - REACH * this.errors.c,
        high: centre + REACH * this.errors.c,
      });
    }
    this.points.draw();
    this.likelihood.draw();
  }

  #whyNot() {
    const least = this.kind === "constant" ? 3 : 5;
    if (this.x.length < least)
      return `A line with ${this.kind === "constant" ? "one variance" : "a variance that depends on x"} wants ${least} points or more: press in the plot to add some.`;
    return "These points have no finite maximum of the likelihood: they lie on a line, or above one another, or the variance shrinks to nothing. Move one.";
  }

  #drawFacts() {
    const facts = { Points: String(this.x.length) };
    if (this.line) {
      const { w, b, v } = this.line;
      const value = this.manual ? logLikelihood(this.x, this.y, this.line) : this.best.logLikelihood;
      facts["slope w"] = `${significant(w, 4)} ± ${significant(this.inference.w, 2)}`;
      facts["intercept b"] = significant(b, 4);
      if (this.kind === "constant") facts["σ"] = significant(Math.sqrt(this.best.variance), 4);
      else Object.assign(facts, { "v₀": significant(v[0], 4), "v₁": significant(v[1], 3) });
      facts["log-likelihood"] = `${fixed(value, 3)} nats`;
      if (this.manual) facts["below the maximum"] = fixed(this.best.logLikelihood - value, 3);
      for (const saved of this.data.models)
        facts[`${saved.name}, log-likelihood`] = `${fixed(logLikelihood(this.x, this.y, saved), 3)} nats`;
    }
    showFacts(this.facts, facts);
  }

  #paintLikelihood() {
    const plot = this.likelihood;
    if (!this.best) {
      plot.data.replaceChildren();
      plot.front.replaceChildren();
      return;
    }
    const surface = this.#surface();
    const levels = DROPS.map((drop) => -drop);
    plot.data.replaceChildren(
      ...contourLines(plot, surface, GRID, levels, (k) => 1 - 0.14 * k),
      crossAt(plot, this.best.w, this.best.b + this.best.w * this.xBar),
    );
    const { w, b } = this.line;
    plot.front.replaceChildren(
      svg("circle", { class: "now", cx: plot.px(w), cy: plot.py(b + w * this.xBar), r: 7 * plot.unit }),
    );
  }

  // ---- the address, and files --------------------------------------------------------------------------

  state() {
    const q = new URLSearchParams({ variance: this.kind });
    if (this.isEdited) {
      const [short, tall] = [this.range.x, this.range.y].map(rounder);
      q.set("points", this.x.map((x, i) => `${short(x)},${tall(this.y[i])}`).join(";"));
    }
    if (this.manual)
      q.set("line", [this.manual.w, this.manual.c].map((v) => Number(v.toPrecision(6))).join(","));
    return q.toString().replaceAll("%2C", ",").replaceAll("%3B", ";");
  }

  restore(q) {
    this.kind = q.get("variance") === "x" ? "x" : "constant";
    this.kindChoice.set(this.kind);
    this.#reset();
    if (q.has("points")) {
      const points = q
        .get("points")
        .split(";")
        .map((p) => p.split(",").map(Number))
        .filter((p) => p.length === 2 && p.every(Number.isFinite));
      Object.assign(this, { x: points.map(([x]) => x), y: points.map(([, y]) => y), isEdited: true });
    }
    this.draw();
    const line = (q.get("line") ?? "").split(",").map(Number);
    if (line.length === 2 && line.every(Number.isFinite) && this.best) {
      this.#setLine(...line);
      this.draw();
    }
  }

  pictures() {
    return [
      { name: "Line", svg: () => standalone(this.points.plot.svg) },
      { name: "Likelihood", svg: () => standalone(this.likelihood.svg) },
    ];
  }

  tables() {
    const rows = () =>
      this.x.map((x, i) => {
        if (!this.line) return [x, this.y[i]];
        const { w, b, v } = this.line;
        return [
          x,
          this.y[i],
          w * x + b,
          Math.exp(0.5 * (v[0] + v[1] * x)),
          logLikelihood([x], [this.y[i]], this.line),
        ];
      });
    const columns = () => ["x", "y", ...(this.line ? ["mean", "standard_deviation", "log_density"] : [])];
    return [{ name: "Points", csv: () => csv(columns(), rows()) }];
  }
}

/** Return a function that rounds to what a range of the plot can show, and no further. */
function rounder([low, high]) {
  const digits = Math.min(20, Math.max(0, 5 - Math.floor(Math.log10(high - low))));
  return (v) => Number(v.toFixed(digits));
}
