// The plot of the points: presses, drags and keys change them, over the density of y given x.
//
// The room holds the points, which of them is chosen, and the line that they make likely.

import { arrows, choice, follow, significant, svg } from "../kit.js";
import { Plot } from "../plot.js";
import { NORMAL_POINT } from "./regression.js";

const NEAR = 12; // px from a point that still take it
const TOUCH = 22; // the same under a finger
const STEP = 0.18; // sigmas between the bands of the density's shade
const BANDS = Array.from({ length: 18 }, (_, k) => STEP * (18 - k)); // outermost first

export class Points {
  constructor(room) {
    this.room = room;
    this.tool = "move";
    this.node = this.#build();
  }

  #build() {
    const { data, range } = this.room;
    this.plot = new Plot({
      label: "",
      x: { label: data.x_name, low: range.x[0], high: range.x[1] },
      y: { label: data.y_name, low: range.y[0], high: range.y[1] },
      ratio: 0.72,
      least: 300,
      focusable: true,
      paint: () => this.#paint(),
    });
    follow(this.plot.svg, {
      start: (event) => this.#press(event),
      move: (event) => this.#moveChosen(this.plot.at(event)),
      end: () => this.room.page.done(),
    });
    this.plot.svg.addEventListener("keydown", (event) => this.#key(event));
    this.choice = choice({
      label: "A press",
      options: [
        ["move", "moves or adds"],
        ["remove", "removes"],
      ],
      value: "move",
      onchange: (v) => (this.tool = v),
    });
    return this.plot.node;
  }

  // ---- acting ----------------------------------------------------------------------------------------

  /** The point under a press, if one is near. */
  #nearest(event) {
    const box = this.plot.svg.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let [found, least] = [-1, (event.pointerType === "touch" ? TOUCH : NEAR) * this.plot.unit];
    this.room.x.forEach((x, i) => {
      const distance = Math.hypot(this.plot.px(x) - px, this.plot.py(this.room.y[i]) - py);
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
    if (found >= 0) this.room.chosen = found;
    else this.#add(...this.plot.at(event));
    this.room.refresh();
    return true;
  }

  #add(x, y) {
    this.room.x.push(within(x, this.room.range.x));
    this.room.y.push(within(y, this.room.range.y));
    this.room.chosen = this.room.x.length - 1;
    this.room.edited();
  }

  #remove(i) {
    this.room.x.splice(i, 1);
    this.room.y.splice(i, 1);
    this.room.chosen = -1;
    this.room.edited();
  }

  #moveChosen([x, y]) {
    const { chosen, range } = this.room;
    if (!this.held || chosen < 0) return;
    this.room.x[chosen] = within(x, range.x);
    this.room.y[chosen] = within(y, range.y);
    this.room.edited();
  }

  #key(event) {
    const { key } = event;
    const { x, y, range, chosen } = this.room;
    const step = arrows(event);
    const lower = key.toLowerCase();
    if (step && chosen >= 0) {
      this.held = true;
      const unit = ([low, high]) => (high - low) / 200;
      this.#moveChosen([x[chosen] + step[0] * unit(range.x), y[chosen] + step[1] * unit(range.y)]);
    } else if ((lower === "n" || lower === "p") && x.length && !event.ctrlKey && !event.metaKey) {
      const order = x.map((_, i) => i).sort((i, j) => x[i] - x[j]);
      const at = order.indexOf(chosen) + (lower === "n" ? 1 : -1);
      this.room.chosen = order[(at + order.length) % order.length];
      this.room.refresh();
      return;
    } else if ((key === "Delete" || key === "Backspace") && chosen >= 0) this.#remove(chosen);
    else if (lower === "a" && !event.ctrlKey && !event.metaKey)
      this.#add((range.x[0] + range.x[1]) / 2, (range.y[0] + range.y[1]) / 2);
    else return;
    event.preventDefault();
    this.room.page.done();
  }

  // ---- drawing ---------------------------------------------------------------------------------------

  draw() {
    this.plot.svg.setAttribute("aria-label", this.#describe());
    this.#paint();
  }

  #describe() {
    const { x, y, line, chosen } = this.room;
    const fitted = line ? `y = ${significant(line.w)} x + ${significant(line.b)}` : "no line";
    const held = chosen >= 0 ? ` Chosen: x ${significant(x[chosen])}, y ${significant(y[chosen])}.` : "";
    return `${x.length} points and the fitted line, ${fitted}.${held} N and P choose a point, arrows move it, Delete removes it, A adds one.`;
  }

  #paint() {
    const { plot } = this;
    const { x, y, line, chosen } = this.room;
    if (!plot.width) return;
    plot.back.replaceChildren(...(line ? [plot.clipped(...this.#density(), ...this.#lines())] : []));
    const dots = plot.data;
    while (dots.children.length > x.length) dots.lastChild.remove();
    while (dots.children.length < x.length) dots.append(svg("circle", {}));
    const radius = (x.length > 150 ? 3.2 : 5) * plot.unit;
    x.forEach((v, i) => {
      const isChosen = i === chosen;
      const r = isChosen ? radius + 3 * plot.unit : radius;
      const look = { cx: plot.px(v), cy: plot.py(y[i]), r, class: isChosen ? "datum chosen" : "datum" };
      change(dots.children[i], look);
    });
  }

  #along() {
    const [low, high] = this.room.range.x;
    const n = this.room.kind === "constant" ? 24 : 36;
    return Array.from({ length: n + 1 }, (_, k) => low + (k / n) * (high - low));
  }

  /** Nested bands whose opacities add up to the normal density. */
  #density() {
    const { w, b, v } = this.room.line;
    const xs = this.#along();
    const sigma = xs.map((x) => Math.exp(0.5 * (v[0] + v[1] * x)));
    const phi = (t) => Math.exp(-0.5 * t * t);
    const bands = BANDS.map((k) => {
      const edge = (sign) => xs.map((x, i) => [x, w * x + b + sign * k * sigma[i]]);
      const share = phi(k - STEP / 2) - phi(k + STEP / 2);
      return this.plot.band(edge(-1), edge(1), { class: "shade", "fill-opacity": (0.62 * share).toFixed(4) });
    });
    return this.room.kind === "constant" ? bands : [this.#thinned(bands, xs, sigma)];
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
    const { plot } = this;
    const { line, best, manual, inference, xBar, data } = this.room;
    const xs = this.#along();
    const at = (f) => xs.map((x) => [x, f(x)]);
    const mean = (x) => line.w * x + line.b;
    const sd = (x) => Math.exp(0.5 * (line.v[0] + line.v[1] * x));
    const parts = [-1, 1].map((sign) =>
      plot.line(
        at((x) => mean(x) + sign * NORMAL_POINT * sd(x)),
        { class: "interval" },
      ),
    );
    if (!manual && inference) {
      const { w, c, covariance, point } = inference;
      const error = (u) => Math.sqrt(c * c + 2 * covariance * u + w * w * u * u);
      for (const sign of [-1, 1])
        parts.push(
          plot.line(
            at((x) => mean(x) + sign * point * error(x - xBar)),
            { class: "confidence" },
          ),
        );
    }
    if (manual)
      parts.push(
        plot.line(
          at((x) => best.w * x + best.b),
          { class: "best-line" },
        ),
      );
    for (const saved of data.models)
      parts.push(
        plot.line(
          at((x) => saved.w * x + saved.b),
          { class: "saved-line" },
        ),
      );
    parts.push(plot.line(at(mean), { class: "fitted" }));
    return parts;
  }
}

const within = (v, [low, high]) => Math.min(high, Math.max(low, v));

/** Set those attributes of a dot that differ from what it was last given. */
function change(dot, look) {
  for (const name in look) if (dot.look?.[name] !== look[name]) dot.setAttribute(name, look[name]);
  dot.look = look;
}
