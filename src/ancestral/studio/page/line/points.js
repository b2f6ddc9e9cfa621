// The plot of the points: presses, drags and keys change them, over the density of y given x.
//
// `scene` is what to draw: { x, y } with the points' keys, the curve, others beside it; `act` is
// called with a point's key and its new place, null to remove it.

import { arrows, follow, significant, svg } from "../kit.js";
import { Plot, ticks } from "../plot.js";
import { NORMAL_POINT, deviation } from "./curves.js";

const NEAR = 14; // px from a point that still take it; a finger's handle reaches further
const PLACES = 240; // along x at which curves are drawn
const STEP = 0.18; // sigmas between the bands of the density's shade
const BANDS = Array.from({ length: 18 }, (_, k) => STEP * (18 - k)); // outermost first

export class Points {
  constructor({ act, choose }) {
    Object.assign(this, { act, choose, chosen: null, scene: null });
    const none = { label: "", low: 0, high: 1 };
    this.plot = new Plot({
      label: "",
      x: { ...none },
      y: { ...none },
      fills: true,
      focusable: true,
      paint: () => this.#paint(),
    });
    this.node = this.plot.node;
    follow(this.plot.svg, {
      start: (event) => this.#press(event),
      move: (event) => this.#put(this.chosen, this.plot.at(event)),
    });
    this.plot.svg.addEventListener("keydown", (event) => this.#key(event));
  }

  // ---- acting ----------------------------------------------------------------------------------------

  #press(event) {
    const box = this.plot.svg.getBoundingClientRect();
    const at = [event.clientX - box.left, event.clientY - box.top];
    const { x, y, keys } = this.scene;
    let [found, least] = [null, (event.pointerType === "touch" ? 2 : 1) * NEAR * this.plot.unit];
    x.forEach((v, i) => {
      const distance = Math.hypot(this.plot.px(v) - at[0], this.plot.py(y[i]) - at[1]);
      if (distance < least) [found, least] = [keys[i], distance];
    });
    this.choose(found ?? this.scene.fresh);
    if (found === null) this.#put(this.chosen, this.plot.at(event));
    return true;
  }

  #put(key, [x, y]) {
    this.act(key, [within(x, this.plot.x), within(y, this.plot.y)]);
  }

  #key(event) {
    const { x, y, keys, fresh } = this.scene;
    const lower = event.key.toLowerCase();
    const isPlain = !event.ctrlKey && !event.metaKey;
    const at = keys.indexOf(this.chosen);
    const step = arrows(event);
    const unit = ({ low, high }) => (high - low) / 200;
    if (step && at >= 0)
      this.#put(this.chosen, [x[at] + step[0] * unit(this.plot.x), y[at] + step[1] * unit(this.plot.y)]);
    else if ((lower === "n" || lower === "p") && keys.length && isPlain) {
      const order = keys.map((_, i) => i).sort((i, j) => x[i] - x[j]);
      const next = order.indexOf(at) + (lower === "n" ? 1 : -1);
      this.choose(keys[order[(next + order.length) % order.length]]);
    } else if ((event.key === "Delete" || event.key === "Backspace") && at >= 0) this.act(this.chosen, null);
    else if (lower === "a" && isPlain) {
      this.choose(fresh);
      this.#put(
        fresh,
        [this.plot.x, this.plot.y].map(({ low, high }) => (low + high) / 2),
      );
    } else return;
    event.preventDefault();
  }

  // ---- drawing ---------------------------------------------------------------------------------------

  draw(scene) {
    this.scene = scene;
    if (!scene.keys.includes(this.chosen)) this.chosen = null;
    Object.assign(this.plot.x, scene.axes[0]);
    Object.assign(this.plot.y, scene.axes[1]);
    this.plot.svg.setAttribute("aria-label", this.#describe());
    widen(this.plot);
    this.plot.draw();
  }

  #describe() {
    const { x, y, keys, said } = this.scene;
    const at = keys.indexOf(this.chosen);
    const held = at >= 0 ? ` Chosen: x ${significant(x[at])}, y ${significant(y[at])}.` : "";
    return `${x.length} points and the fitted curve, ${said}.${held} N and P choose a point, arrows move it, Delete removes it, A adds one.`;
  }

  #paint() {
    if (!this.scene) return;
    const { plot } = this;
    const { x, y, keys, curve, rest, showsRest, squares } = this.scene;
    const back = curve ? [...this.#density(curve), ...this.#lines()] : this.#others();
    if (squares && curve) back.push(this.#squares());
    if (showsRest) back.push(this.#dots(rest.x, rest.y, { class: "rest", "stroke-width": 4 * plot.unit }));
    plot.back.replaceChildren(plot.clipped(...back));
    const size = (x.length > 1000 ? 4 : x.length > 100 ? 6.5 : 11) * plot.unit;
    const at = keys.indexOf(this.chosen);
    plot.data.replaceChildren(
      this.#dots(x, y, { class: "edge", "stroke-width": size + 2 * plot.unit }),
      this.#dots(x, y, { class: "datum", "stroke-width": size }),
      ...(at < 0
        ? []
        : [svg("circle", { class: "chosen", cx: plot.px(x[at]), cy: plot.py(y[at]), r: 8 * plot.unit })]),
      svg("path", { class: "grip handle", d: x.map((v, i) => this.#grip(v, y[i])).join("") }),
    );
  }

  /** All points as one path, so that thousands cost no more than one: each a stroke's round end. */
  #dots(x, y, look) {
    const d = Array.from(
      x,
      (v, i) => `M${this.plot.px(v).toFixed(1)} ${this.plot.py(y[i]).toFixed(1)}h0`,
    ).join("");
    return svg("path", { ...look, d, fill: "none", "stroke-linecap": "round" });
  }

  /** A square about a point, by which a finger holds it. */
  #grip(x, y) {
    const r = NEAR * this.plot.unit;
    return `M${(this.plot.px(x) - r).toFixed(1)} ${(this.plot.py(y) - r).toFixed(1)}h${2 * r}v${2 * r}h${-2 * r}z`;
  }

  #along() {
    const { low, high } = this.plot.x;
    return Array.from({ length: PLACES + 1 }, (_, k) => low + (k / PLACES) * (high - low));
  }

  /** Nested bands whose opacities add up to the normal density, fainter where sigma is larger. */
  #density(curve) {
    const xs = this.#along();
    const [means, sigmas] = [xs.map(curve.mean), xs.map((x) => deviation(curve, x))];
    const phi = (t) => Math.exp(-0.5 * t * t);
    const bands = BANDS.map((k) => {
      const edge = (sign) => xs.map((x, i) => [x, means[i] + sign * k * sigmas[i]]);
      const share = phi(k - STEP / 2) - phi(k + STEP / 2);
      return this.plot.band(edge(-1), edge(1), { class: "shade", "fill-opacity": (0.62 * share).toFixed(4) });
    });
    const { left, right, top, bottom } = this.plot.inner;
    const least = Math.min(...sigmas);
    const stops = sigmas.map((sigma, i) =>
      svg("stop", { offset: i / PLACES, "stop-color": "#fff", "stop-opacity": (least / sigma).toFixed(4) }),
    );
    const box = { x: left, y: top, width: right - left, height: bottom - top };
    const span = { gradientUnits: "userSpaceOnUse", x1: left, x2: right, y1: 0, y2: 0 };
    return [
      svg("linearGradient", { id: "line-fade-by", ...span }, stops),
      svg(
        "mask",
        { id: "line-fade", maskUnits: "userSpaceOnUse", ...box },
        svg("rect", { ...box, fill: "url(#line-fade-by)" }),
      ),
      svg("g", { mask: "url(#line-fade)" }, bands),
    ];
  }

  #lines() {
    const { curve, best } = this.scene;
    const line = (f, look) =>
      this.plot.line(
        this.#along().map((x) => [x, f(x)]),
        { class: look },
      );
    const both = (width, look) => [-1, 1].map((sign) => line((x) => curve.mean(x) + sign * width(x), look));
    return [
      ...both(curve.reach, "interval"),
      ...(curve === best ? both(curve.error, "confidence") : [line(best.mean, "best-line")]),
      ...this.#others(),
      line(curve.mean, "fitted"),
    ];
  }

  /** Curves beside the fit: the mean, and thinly where 95 % of y lie. */
  #others() {
    const xs = this.#along();
    return this.scene.others.flatMap((other, k) =>
      [0, -1, 1].map((sign) =>
        this.plot.line(
          xs.map((x) => [x, other.mean(x) + sign * NORMAL_POINT * deviation(other, x)]),
          sign ? { class: "saved-band" } : { class: "saved-line", "stroke-dasharray": dashes(k) },
        ),
      ),
    );
  }

  /** On each residual a square, on the side that is further from the plot's edge. */
  #squares() {
    const { plot } = this;
    const { x, y, curve } = this.scene;
    const middle = (plot.inner.left + plot.inner.right) / 2;
    const d = x.map((v, i) => {
      const [px, py] = [plot.px(v), plot.py(y[i])];
      const side = plot.py(curve.mean(v)) - py;
      const across = px < middle ? Math.abs(side) : -Math.abs(side);
      return `M${px.toFixed(1)} ${py.toFixed(1)}v${side.toFixed(1)}h${across.toFixed(1)}v${(-side).toFixed(1)}z`;
    });
    return svg("path", { class: "squares", d: d.join("") });
  }
}

const within = (v, { low, high }) => Math.min(high, Math.max(low, v));

/** Tell the lines of the k-th and other curves apart. */
export const dashes = (k) => [null, "14 5", "7 3 2 3", "4 3"][k % 4];

/** Give the numbers beside a plot's y axis the room that the longest takes. */
export function widen(plot) {
  plot.margin.left = 34 + 7.2 * Math.max(...ticks(plot.y, 8).map(({ text }) => text.length));
}
