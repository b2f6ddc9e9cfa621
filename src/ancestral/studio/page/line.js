// Line: points to drag, the density of y given x that they make likely, and how likely.
//
// One state: the points, whether the variance depends on x, and, where the reader has moved it off
// the maximum, the line: its slope w and its height c at the mean of x.

import { unpack } from "./arrays.js";
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
} from "./kit.js";
import { Plot, contour, padded, segmentsPath } from "./plot.js";
import { fitHeteroscedastic, fitLine, logLikelihood, moments } from "./regression.js";

const GRID = 48;
const DROPS = [0.5, 2, 4.5, 8, 12.5]; // nats below the maximum: 1 to 5 standard errors
const REACH = 5.5; // of the likelihood plot, in standard errors
const NEAR = 12; // px from a point that still take it
const TOUCH = 22; // the same under a finger
const STEP = 0.18; // sigmas between the bands of the density's shade
const BANDS = Array.from({ length: 18 }, (_, k) => STEP * (18 - k)); // outermost first

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
    this.tool = "move";
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
    this.errors = this.#standardErrors();
  }

  /** Standard errors of slope and height at the mean of x, from the weights 1 / sigma^2(x). */
  #standardErrors() {
    const sums = [0, 0, 0];
    for (const x of this.x) {
      const weight = Math.exp(-(this.best.v[0] + this.best.v[1] * x));
      const u = x - this.xBar;
      sums[0] += weight;
      sums[1] += weight * u;
      sums[2] += weight * u * u;
    }
    const determinant = sums[0] * sums[2] - sums[1] ** 2;
    return {
      w: Math.sqrt(sums[0] / determinant),
      c: Math.sqrt(sums[2] / determinant),
      covariance: -sums[1] / determinant, // 0 when the variance is constant
    };
  }

  /** The log-likelihood around the maximum is an exact paraboloid in (w, c): its grid, in units. */
  #surface() {
    const sums = [0, 0, 0];
    for (const x of this.x) {
      const weight = Math.exp(-(this.best.v[0] + this.best.v[1] * x));
      const u = x - this.xBar;
      sums[0] += weight;
      sums[1] += weight * u;
      sums[2] += weight * u * u;
    }
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
    this.plot = new Plot({
      label: "",
      x: { label: this.data.x_name, low: this.range.x[0], high: this.range.x[1] },
      y: { label: this.data.y_name, low: this.range.y[0], high: this.range.y[1] },
      ratio: 0.72,
      least: 300,
      focusable: true,
      paint: () => this.#paintPoints(),
    });
    follow(this.plot.svg, {
      start: (event) => this.#press(event),
      move: (event) => this.#moveChosen(this.plot.at(event)),
      end: () => this.page.done(),
    });
    this.plot.svg.addEventListener("keydown", (event) => this.#key(event));
    this.toolChoice = choice({
      label: "A press",
      options: [
        ["move", "moves or adds"],
        ["remove", "removes"],
      ],
      value: "move",
      onchange: (v) => (this.tool = v),
    });
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
      "Shade: the density of y. Dashes: 95 % of the y; thin lines: 95 % for the mean. Keys: N and P choose a point, arrows move it, Delete removes it, A adds one.";
    return panel(
      "Points",
      { tools, hint },
      el("div", { class: "row" }, this.kindChoice.node, this.toolChoice.node),
      this.plot.node,
      this.note, // below the plot: what comes and goes must not move it
    );
  }

  #buildFit() {
    this.facts = el("dl", { class: "facts tall" });
    const several =
      this.data.n_all > this.original.x.length
        ? `${this.original.x.length} of ${this.data.n_all.toLocaleString("en")} points, drawn at random, are shown and fitted.`
        : null;
    return panel("The fit", { hint: several }, this.facts);
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

  /** The point under a press, if one is near. */
  #nearest(event) {
    const box = this.plot.svg.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let [found, least] = [-1, (event.pointerType === "touch" ? TOUCH : NEAR) * this.plot.unit];
    this.x.forEach((x, i) => {
      const distance = Math.hypot(this.plot.px(x) - px, this.plot.py(this.y[i]) - py);
      if (distance < least) [found, least] = [i, distance];
    });
    return found;
  }

  #press(event) {
    const found = this.#nearest(event);
    if (this.tool === "remove") {
      if (found >= 0) this.#remove(found);
      this.held = false;
      return found >= 0;
    }
    this.held = true;
    if (found >= 0) this.chosen = found;
    else this.#add(...this.plot.at(event));
    this.refresh();
    return true;
  }

  #add(x, y) {
    this.x.push(within(x, this.range.x));
    this.y.push(within(y, this.range.y));
    this.chosen = this.x.length - 1;
    this.#edited();
  }

  #remove(i) {
    this.x.splice(i, 1);
    this.y.splice(i, 1);
    this.chosen = -1;
    this.#edited();
  }

  #moveChosen([x, y]) {
    if (!this.held || this.chosen < 0) return;
    this.x[this.chosen] = within(x, this.range.x);
    this.y[this.chosen] = within(y, this.range.y);
    this.#edited();
  }

  #edited() {
    this.isEdited = true;
    this.manual = null;
    this.refresh();
    this.page.moved();
  }

  #key(event) {
    const { key } = event;
    const step = arrows(event);
    const lower = key.toLowerCase();
    if (step && this.chosen >= 0) {
      this.held = true;
      const unit = (range) => (range[1] - range[0]) / 200;
      this.#moveChosen([
        this.x[this.chosen] + step[0] * unit(this.range.x),
        this.y[this.chosen] + step[1] * unit(this.range.y),
      ]);
    } else if ((lower === "n" || lower === "p") && this.x.length && !event.ctrlKey && !event.metaKey) {
      const order = this.x.map((_, i) => i).sort((i, j) => this.x[i] - this.x[j]);
      const at = order.indexOf(this.chosen) + (lower === "n" ? 1 : -1);
      this.chosen = order[(at + order.length) % order.length];
      this.refresh();
      return;
    } else if ((key === "Delete" || key === "Backspace") && this.chosen >= 0) this.#remove(this.chosen);
    else if (lower === "a" && !event.ctrlKey && !event.metaKey)
      this.#add((this.range.x[0] + this.range.x[1]) / 2, (this.range.y[0] + this.range.y[1]) / 2);
    else return;
    event.preventDefault();
    this.page.done();
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
    this.plot.svg.setAttribute("aria-label", this.#describe());
    this.#paintPoints();
    this.likelihood.draw();
  }

  #whyNot() {
    const least = this.kind === "constant" ? 3 : 5;
    if (this.x.length < least)
      return `A line with ${this.kind === "constant" ? "one variance" : "a variance that depends on x"} wants ${least} points or more: press in the plot to add some.`;
    return "These points have no finite maximum of the likelihood: they lie on a line, or above one another, or the variance shrinks to nothing. Move one.";
  }

  #describe() {
    const line = this.line ? `y = ${significant(this.line.w)} x + ${significant(this.line.b)}` : "no line";
    const chosen =
      this.chosen >= 0
        ? ` Chosen: x ${significant(this.x[this.chosen])}, y ${significant(this.y[this.chosen])}.`
        : "";
    return `${this.x.length} points and the fitted line, ${line}.${chosen} N and P choose a point, arrows move it, Delete removes it, A adds one.`;
  }

  #drawFacts() {
    const facts = { Points: String(this.x.length) };
    if (this.line) {
      const { w, b, v } = this.line;
      const value = this.manual ? logLikelihood(this.x, this.y, this.line) : this.best.logLikelihood;
      facts["slope w"] = `${significant(w, 4)} ± ${significant(this.errors.w, 2)}`;
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

  #paintPoints() {
    const { plot } = this;
    if (!plot.width) return;
    plot.back.replaceChildren(...(this.line ? [plot.clipped(...this.#density(), ...this.#lines())] : []));
    const dots = plot.data;
    while (dots.children.length > this.x.length) dots.lastChild.remove();
    while (dots.children.length < this.x.length) dots.append(svg("circle", { class: "datum" }));
    const radius = (this.x.length > 150 ? 3.2 : 5) * plot.unit;
    this.x.forEach((x, i) => {
      const dot = dots.children[i];
      dot.setAttribute("cx", plot.px(x));
      dot.setAttribute("cy", plot.py(this.y[i]));
      dot.setAttribute("r", i === this.chosen ? radius + 3 * plot.unit : radius);
      dot.setAttribute("class", i === this.chosen ? "datum chosen" : "datum");
    });
  }

  #along() {
    const [low, high] = this.range.x;
    const n = this.kind === "constant" ? 24 : 36;
    return Array.from({ length: n + 1 }, (_, k) => low + (k / n) * (high - low));
  }

  /** Nested bands whose opacities add up to the normal density. */
  #density() {
    const { w, b, v } = this.line;
    const xs = this.#along();
    const sigma = xs.map((x) => Math.exp(0.5 * (v[0] + v[1] * x)));
    const phi = (t) => Math.exp(-0.5 * t * t);
    const bands = BANDS.map((k) => {
      const edge = (sign) => xs.map((x, i) => [x, w * x + b + sign * k * sigma[i]]);
      const share = phi(k - STEP / 2) - phi(k + STEP / 2);
      return this.plot.band(edge(-1), edge(1), { class: "shade", "fill-opacity": (0.62 * share).toFixed(4) });
    });
    return this.kind === "constant" ? bands : [this.#thinned(bands, xs, sigma)];
  }

  /** Where sigma is larger the density is lower: a mask fades the bands by sigma_min / sigma(x). */
  #thinned(bands, xs, sigma) {
    const { left, right, top, bottom } = this.plot.inner;
    const least = Math.min(...sigma);
    const stops = xs.map((_, i) =>
      svg("stop", {
        offset: i / (xs.length - 1),
        "stop-color": "#fff",
        "stop-opacity": (least / sigma[i]).toFixed(4),
      }),
    );
    const box = { x: left, y: top, width: right - left, height: bottom - top };
    return svg(
      "g",
      { mask: "url(#line-fade)" },
      svg(
        "linearGradient",
        { id: "line-fade-by", gradientUnits: "userSpaceOnUse", x1: left, x2: right, y1: 0, y2: 0 },
        stops,
      ),
      svg(
        "mask",
        { id: "line-fade", maskUnits: "userSpaceOnUse", ...box },
        svg("rect", { ...box, fill: "url(#line-fade-by)" }),
      ),
      ...bands,
    );
  }

  #lines() {
    const { plot, line, best } = this;
    const xs = this.#along();
    const at = (f) => xs.map((x) => [x, f(x)]);
    const mean = (x) => line.w * x + line.b;
    const sd = (x) => Math.exp(0.5 * (line.v[0] + line.v[1] * x));
    const parts = [-1, 1].map((sign) =>
      plot.line(
        at((x) => mean(x) + sign * 1.96 * sd(x)),
        { class: "interval" },
      ),
    );
    if (!this.manual && this.errors) {
      const { w, c, covariance } = this.errors;
      const error = (u) => Math.sqrt(c * c + 2 * covariance * u + w * w * u * u);
      for (const sign of [-1, 1])
        parts.push(
          plot.line(
            at((x) => mean(x) + sign * 1.96 * error(x - this.xBar)),
            { class: "confidence" },
          ),
        );
    }
    if (this.manual)
      parts.push(
        plot.line(
          at((x) => best.w * x + best.b),
          { class: "best-line" },
        ),
      );
    for (const saved of this.data.models)
      parts.push(
        plot.line(
          at((x) => saved.w * x + saved.b),
          { class: "saved-line" },
        ),
      );
    parts.push(plot.line(at(mean), { class: "fitted" }));
    return parts;
  }

  #paintLikelihood() {
    const plot = this.likelihood;
    if (!this.best) {
      plot.data.replaceChildren();
      plot.front.replaceChildren();
      return;
    }
    const surface = this.#surface();
    const to =
      ({ low, high }) =>
      (k) =>
        low + (k / (GRID - 1)) * (high - low);
    const lines = DROPS.map((drop, k) =>
      svg("path", {
        class: "contour",
        fill: "none",
        opacity: 1 - 0.14 * k,
        d: segmentsPath(plot, contour(surface, GRID, GRID, -drop), to(plot.x), to(plot.y)),
      }),
    );
    const [x, y] = [plot.px(this.best.w), plot.py(this.best.b + this.best.w * this.xBar)];
    const arm = 7 * plot.unit;
    plot.data.replaceChildren(
      ...lines,
      svg("path", { class: "cross-best", d: `M${x - arm} ${y}h${2 * arm}M${x} ${y - arm}v${2 * arm}` }),
    );
    const { w, b } = this.line;
    plot.front.replaceChildren(
      svg("circle", { class: "now", cx: plot.px(w), cy: plot.py(b + w * this.xBar), r: 7 * plot.unit }),
    );
  }

  // ---- the address, and files --------------------------------------------------------------------------

  state() {
    const q = new URLSearchParams({ variance: this.kind });
    if (this.isEdited)
      q.set(
        "points",
        this.x.map((x, i) => `${Number(x.toPrecision(6))},${Number(this.y[i].toPrecision(6))}`).join(";"),
      );
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
      { name: "Line", svg: () => standalone(this.plot.svg) },
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

const within = (v, [low, high]) => Math.min(high, Math.max(low, v));
