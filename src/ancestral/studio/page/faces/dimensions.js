// Choosing d: the eigenvalues, and what held-out faces say. And the plane of the first two latents.

import { arrows, button, el, fixed, follow, panel, remembered, showFacts, slider, svg } from "../kit.js";
import { Plot } from "../plot.js";
import { REACH } from "./latents.js";

const VIEW = 1.1 * REACH; // of the plane
const clamp = (v) => Math.min(REACH, Math.max(-REACH, v));

export class Spectrum {
  constructor({ most, act }) {
    Object.assign(this, { act, heldout: null });
    this.d = slider({
      label: "d",
      name: "Number of latents d",
      min: 1,
      max: most,
      step: 1,
      digits: 0,
      oninput: (d) => act({ d }),
    });
    this.plot = this.#plot({
      label: "Eigenvalues of the covariance, the first d in colour, with the noise variance",
      x: { label: "Eigenvalue, the largest first", low: 0.5, high: 10, whole: true },
      y: { label: "Variance", low: 1e-3, high: 1, log: true },
      ratio: 0.5,
      least: 190,
      paint: (plot) => this.#paintSpectrum(plot),
    });
    this.score = this.#plot({
      label: "Mean log density of held-out faces by number of latents",
      x: { label: "d", low: 0.5, high: 10, whole: true },
      y: { label: "Nats per face", low: 0, high: 1 },
      ratio: 0.4,
      least: 150,
      paint: (plot) => this.#paintScore(plot),
    });
    this.best = button("", () => act({ d: Math.min(this.shown.sent.most, this.#best) }));
    this.facts = el("dl", { class: "facts" });
    this.node = panel(
      "How many latents?",
      { tools: [this.best], hint: "Move d, or press in a plot. σ² is the mean of the variances that are left out." },
      this.d.node,
      this.plot.node,
      this.score.node,
      this.facts,
    );
    this.redraw = remembered(() => this.#redraw());
  }

  #plot(options) {
    const plot = new Plot(options);
    const pick = (event) => this.act({ d: Math.round(plot.at(event)[0]) });
    follow(plot.svg, { start: pick, move: pick });
    return plot;
  }

  get #best() {
    const { score } = this.heldout;
    return 1 + score.indexOf(Math.max(...score));
  }

  draw(shown) {
    this.shown = shown;
    this.d.input.max = shown.sent.most;
    this.d.set(shown.model.d);
    this.redraw(shown.model, this.heldout);
  }

  #redraw() {
    const { model } = this.shown;
    const { eigenvalues, noise } = model;
    const high = eigenvalues.length + 1;
    Object.assign(this.plot.x, { high });
    Object.assign(this.plot.y, {
      low: 0.7 * Math.min(noise, eigenvalues[eigenvalues.length - 1]),
      high: 1.5 * eigenvalues[0],
    });
    this.plot.draw();
    this.score.node.hidden = this.best.hidden = !this.heldout;
    if (this.heldout) {
      const { score } = this.heldout;
      const best = Math.max(...score);
      const fall = Math.max(best - score[0], 1); // far below the best, how far does not matter
      const low = Math.max(Math.min(...score), best - 2.5 * fall) - 0.1 * fall;
      Object.assign(this.score.x, { high });
      Object.assign(this.score.y, { low, high: best + 0.25 * fall });
      this.score.draw();
      this.best.textContent = `Best for new faces: ${this.#best}`;
    }
    showFacts(this.facts, { "σ²": fixed(noise, 5), Parameters: model.parameters.toLocaleString("en") });
  }

  #paintSpectrum(plot) {
    if (!this.shown) return;
    const { eigenvalues, d, noise } = this.shown.model;
    const r = plot.unit * (eigenvalues.length > 40 ? 2.2 : 3.2);
    const marks = Array.from(eigenvalues, (value, k) => {
      const [x, y] = [plot.px(k + 1), plot.py(value)];
      const chosen = k < d ? "chosen" : "rest";
      return [
        svg("line", { class: `stem ${chosen}`, x1: x, x2: x, y1: y, y2: plot.inner.bottom }),
        svg("circle", { class: `dot ${chosen}`, cx: x, cy: y, r }),
      ];
    });
    const { left, right, top, bottom } = plot.inner;
    const [x, y] = [plot.px(d + 0.5), plot.py(noise)];
    plot.data.replaceChildren(
      ...marks.flat(),
      svg("line", { class: "level", x1: left, x2: right, y1: y, y2: y }),
      svg("line", { class: "handle", x1: x, x2: x, y1: top, y2: bottom }),
      svg(
        "text",
        { class: "name halo", x: right, y: y - 6, "text-anchor": "end" },
        `σ² = ${fixed(noise, 4)}`,
      ),
    );
  }

  #paintScore(plot) {
    if (!this.heldout) return;
    const { d, score } = this.heldout;
    const at = this.shown.model.d;
    const circle = (name, k, r) =>
      svg("circle", { class: name, cx: plot.px(k), cy: plot.py(score[k - 1]), r: r * plot.unit });
    const curve = plot.line(
      d.map((k, i) => [k, score[i]]),
      { class: "curve" },
    );
    plot.data.replaceChildren(plot.clipped(curve), circle("best", this.#best, 5));
    if (score[at - 1] >= plot.y.low) plot.data.append(circle("now", at, 4.5));
  }
}

export class Plane {
  constructor({ act }) {
    this.act = act;
    this.plot = new Plot({
      label: "The first two latents: each dot is a face of the data. Arrow keys move the chosen point.",
      x: { label: "z₁", low: -VIEW, high: VIEW },
      y: { label: "z₂", low: -VIEW, high: VIEW },
      ratio: 0.8,
      isEqual: true,
      least: 260,
      focusable: true,
      paint: (plot) => this.#paint(plot),
    });
    const set = (event) => this.#move(this.plot.at(event));
    follow(this.plot.svg, { start: set, move: set });
    this.plot.svg.addEventListener("keydown", (event) => {
      const step = arrows(event);
      if (step) this.#move([0, 1].map((k) => this.shown.now[k] + 0.05 * step[k]));
    });
    const line = () => svg("line", { class: "cross" });
    this.point = { across: line(), along: line(), now: svg("circle", { class: "now handle" }) };
    this.plot.front.append(...Object.values(this.point));
    this.node = panel(
      "The first two latents",
      {
        tools: [button("Use d = 2", () => act({ d: 2 }))],
        hint: "Each dot is a face of the data. Press or drag anywhere: the face there is drawn.",
      },
      this.plot.node,
    );
    this.redraw = remembered(() => this.plot.draw());
  }

  #move([z1, z2]) {
    if (this.shown.model.d < 2) return false;
    return this.act({ z: this.shown.now.with(0, clamp(z1)).with(1, clamp(z2)) });
  }

  draw(shown) {
    this.shown = shown;
    this.redraw(shown.model);
    this.#drawPoint();
  }

  #paint(plot) {
    if (!this.shown) return;
    const { model, sent } = this.shown;
    this.#drawPoint();
    if (model.d < 2) {
      const middle = { class: "name", x: plot.px(0), y: plot.py(0), "text-anchor": "middle" };
      plot.data.replaceChildren(svg("text", middle, "With d = 1 there is only one latent."));
      return;
    }
    const to = [0, 1].map((k) => model.scales[k] / model.eigenvalues[k]);
    const dots = Array.from({ length: sent.plane.rows }, (_, i) =>
      svg("circle", {
        class: "point",
        cx: plot.px(to[0] * sent.plane.data[2 * i]),
        cy: plot.py(to[1] * sent.plane.data[2 * i + 1]),
        r: 3 * plot.unit,
      }),
    );
    const [cx, cy] = [plot.px(0), plot.py(0)];
    const rings = [1, 2].map((r) =>
      svg("ellipse", { class: "ring", cx, cy, rx: plot.px(r) - cx, ry: cy - plot.py(r) }),
    );
    plot.data.replaceChildren(plot.clipped(...rings, ...dots));
  }

  #drawPoint() {
    const { plot, shown } = this;
    plot.front.toggleAttribute("hidden", shown.model.d < 2);
    if (!plot.width || shown.model.d < 2) return;
    const [x, y] = [plot.px(clamp(shown.now[0])), plot.py(clamp(shown.now[1]))];
    const set = (node, values) => Object.entries(values).forEach(([name, v]) => node.setAttribute(name, v));
    const arm = 12 * plot.unit;
    set(this.point.across, { x1: x - arm, x2: x + arm, y1: y, y2: y });
    set(this.point.along, { x1: x, x2: x, y1: y - arm, y2: y + arm });
    set(this.point.now, { cx: x, cy: y, r: 6 * plot.unit });
  }
}
