// Choosing d: the eigenvalues, and what held-out faces say. And the plane of the first two latents.

import { arrows, button, el, fixed, follow, panel, showFacts, slider, svg } from "../kit.js";
import { Plot } from "../plot.js";

export const REACH = 3; // of latents, in prior standard deviations
const VIEW = 1.1 * REACH; // of the plane
export const clamp = (v) => Math.min(REACH, Math.max(-REACH, v));

export class Spectrum {
  constructor(room) {
    this.room = room;
    this.node = this.#build();
  }

  #build() {
    this.dSlider = slider({
      label: "d",
      name: "Number of latents d",
      min: 1,
      max: this.room.model.most,
      step: 1,
      digits: 0,
      value: this.room.model.d,
      oninput: (d) => this.room.setD(d),
      onchange: () => this.room.page.done(),
    });
    this.plot = new Plot({
      label: "Eigenvalues of the covariance, the first d in colour, with the noise variance",
      x: { label: "Eigenvalue, the largest first", low: 0.5, high: 10, whole: true },
      y: { label: "Variance", low: 1e-3, high: 1, log: true },
      ratio: 0.42,
      least: 190,
      paint: (plot) => this.#paintSpectrum(plot),
    });
    follow(this.plot.svg, {
      start: (event) => this.#pickD(event),
      move: (event) => this.#pickD(event),
      end: () => this.room.page.done(),
    });
    const heldout = this.room.data.heldout;
    this.dFacts = el("dl", { class: "facts" });
    const parts = [this.dSlider.node, this.plot.node];
    const tools = [];
    if (heldout) {
      const best = 1 + heldout.score.indexOf(Math.max(...heldout.score));
      tools.push(
        button(`Best held out: ${best}`, () =>
          this.room.act(() => this.room.setD(Math.min(best, this.room.model.most))),
        ),
      );
      this.score = new Plot({
        label: "Mean log density of held-out faces by number of latents",
        x: { label: "d", low: 0.5, high: 10, whole: true },
        y: { label: "nats per new face", low: 0, high: 1 },
        ratio: 0.3,
        least: 150,
        paint: (plot) => this.#paintScore(plot),
      });
      follow(this.score.svg, {
        start: (e) => this.#pickD(e, this.score),
        move: (e) => this.#pickD(e, this.score),
        end: () => this.room.page.done(),
      });
      parts.push(this.score.node);
    }
    return panel(
      "How many latents?",
      { span: 6, tools, hint: "Click in a plot, or move d. The variances left over average to σ²." },
      ...parts,
      this.dFacts,
    );
  }

  /** The largest d that may be chosen. */
  set most(d) {
    this.dSlider.input.max = d;
  }

  #pickD(event, plot = this.plot) {
    const d = Math.round(plot.at(event)[0]);
    this.room.setD(Math.min(this.room.model.most, Math.max(1, d)));
    return true;
  }

  #paintSpectrum(plot) {
    const { eigenvalues, d, noise } = this.room.model;
    const marks = Array.from(eigenvalues, (value, k) => {
      const at = plot.px(k + 1);
      const chosen = k < d ? "chosen" : "rest";
      const stem = svg("line", {
        class: `stem ${chosen}`,
        x1: at,
        x2: at,
        y1: plot.py(value),
        y2: plot.inner.bottom,
      });
      return [
        stem,
        svg("circle", {
          class: `dot ${chosen}`,
          cx: at,
          cy: plot.py(value),
          r: plot.unit * (eigenvalues.length > 40 ? 2.2 : 3.2),
        }),
      ];
    });
    const y = plot.py(noise);
    const level = svg("line", { class: "level", x1: plot.inner.left, x2: plot.inner.right, y1: y, y2: y });
    const name = svg(
      "text",
      { class: "name halo", x: plot.inner.right, y: y - 6, "text-anchor": "end" },
      `σ² = ${fixed(noise, 4)}`,
    );
    const at = plot.px(d + 0.5);
    const handle = svg("line", {
      class: "handle",
      x1: at,
      x2: at,
      y1: plot.inner.top,
      y2: plot.inner.bottom,
    });
    plot.data.replaceChildren(...marks.flat(), level, handle, name);
  }

  #paintScore(plot) {
    const { d, score } = this.room.data.heldout;
    const points = d.map((k, i) => [k, score[i]]);
    const marks = [plot.clipped(plot.line(points, { class: "curve" }))];
    const now = score[this.room.model.d - 1];
    const best = Math.max(...score);
    marks.push(
      svg("circle", {
        class: "best",
        cx: plot.px(1 + score.indexOf(best)),
        cy: plot.py(best),
        r: 5 * plot.unit,
      }),
    );
    if (now >= plot.y.low)
      marks.push(
        svg("circle", { class: "now", cx: plot.px(this.room.model.d), cy: plot.py(now), r: 4.5 * plot.unit }),
      );
    plot.data.replaceChildren(...marks);
  }

  draw() {
    this.dSlider.set(this.room.model.d);
    const { eigenvalues, noise, most } = this.room.model;
    const lowest = Math.min(noise, eigenvalues[eigenvalues.length - 1]);
    Object.assign(this.plot.x, { high: most + 1 });
    Object.assign(this.plot.y, { low: 0.7 * lowest, high: 1.5 * eigenvalues[0] });
    this.plot.draw();
    if (this.score) {
      const { score } = this.room.data.heldout;
      const best = Math.max(...score);
      const fall = Math.max(best - score[0], 1); // far below the best, how far does not matter
      const low = Math.max(Math.min(...score), best - 2.5 * fall) - 0.1 * fall;
      Object.assign(this.score.x, { high: most + 1 });
      Object.assign(this.score.y, { low, high: best + 0.25 * fall });
      this.score.draw();
    }
    showFacts(this.dFacts, {
      "σ²": fixed(noise, 5),
      Parameters: this.room.model.parameters.toLocaleString("en"),
    });
  }
}

export class Plane {
  constructor(room) {
    this.room = room;
    this.node = this.#build();
  }

  #build() {
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
    const set = (event) => {
      if (this.room.model.d < 2) return false;
      const [z1, z2] = this.plot.at(event);
      this.room.moveTo([clamp(z1), clamp(z2)]);
      return true;
    };
    follow(this.plot.svg, { start: set, move: set, end: () => this.room.page.done() });
    this.plot.svg.addEventListener("keydown", (event) => {
      const step = this.room.model.d >= 2 && arrows(event);
      if (!step) return;
      const [z1, z2] = this.room.latents;
      this.room.moveTo([clamp(z1 + 0.05 * step[0]), clamp(z2 + 0.05 * step[1])]);
      this.room.page.done();
    });
    const two = button("Use d = 2", () => this.room.act(() => this.room.setD(2)));
    return panel(
      "The first two latents",
      {
        span: 6,
        tools: [two],
        hint: "Each dot is a face of the data. Click or drag anywhere: the face there is drawn above.",
      },
      this.plot.node,
    );
  }

  #paint(plot) {
    const { model } = this.room;
    if (model.d < 2) {
      plot.data.replaceChildren(
        svg(
          "text",
          { class: "name", x: plot.px(0), y: plot.py(0), "text-anchor": "middle" },
          "With d = 1 there is only one latent.",
        ),
      );
      plot.front.replaceChildren();
      return;
    }
    const to = [0, 1].map((k) => model.scales[k] / model.eigenvalues[k]);
    const dots = Array.from({ length: model.plane.rows }, (_, i) =>
      svg("circle", {
        class: "point",
        cx: plot.px(to[0] * model.plane.data[2 * i]),
        cy: plot.py(to[1] * model.plane.data[2 * i + 1]),
        r: 3 * plot.unit,
      }),
    );
    const rings = [1, 2].map((r) =>
      svg("ellipse", {
        class: "ring",
        cx: plot.px(0),
        cy: plot.py(0),
        rx: plot.px(r) - plot.px(0),
        ry: plot.py(0) - plot.py(r),
      }),
    );
    plot.data.replaceChildren(plot.clipped(...rings, ...dots));
    this.drawPoint();
  }

  drawPoint() {
    const plot = this.plot;
    if (!plot.width || this.room.model.d < 2) return;
    const [x, y] = [plot.px(clamp(this.room.latents[0])), plot.py(clamp(this.room.latents[1]))];
    const arm = 12 * plot.unit;
    plot.front.replaceChildren(
      svg("line", { class: "cross", x1: x - arm, x2: x + arm, y1: y, y2: y }),
      svg("line", { class: "cross", x1: x, x2: x, y1: y - arm, y2: y + arm }),
      svg("circle", { class: "now", cx: x, cy: y, r: 6 * plot.unit }),
    );
  }

  draw() {
    this.plot.draw();
  }
}
