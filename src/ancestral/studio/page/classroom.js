// Classroom: a graph redrawn as its parameters and pupils move, and the likelihood of the data.
//
// One state: a, b, the pupils' features, and the seed of the links. The same random number decides
// a pair whatever the state, so that links come and go one at a time.

import { newSeed, unpack, unpackMatrix, row } from "./arrays.js";
import { Pairs, drawFeatures, drawLinks, gradientAscent, logDensity } from "./graphs.js";
import {
  arrows,
  button,
  checkbox,
  choice,
  csv,
  el,
  fixed,
  follow,
  onScheme,
  panel,
  perFrame,
  select,
  showFacts,
  slider,
  standalone,
  svg,
} from "./kit.js";
import { Network, relax } from "./network.js";
import { Plot, contour, segmentsPath } from "./plot.js";

const GRID = 60; // of the contours, each way
// nats below the maximum: near it 1 to 6 standard errors
const DROPS = { wide: [30, 100, 300, 800, 2000, 5000], near: [0.5, 2, 4.5, 8, 12.5, 18] };
const PACE = 90; // ms per step of the ascent
const MOST_PUPILS = 60;

export function openClassroom(body, data, page) {
  const room = new Classroom(body, data, page);
  room.build();
  return room;
}

class Classroom {
  constructor(body, data, page) {
    Object.assign(this, { body, data, page, width: data.n_features });
    if (data.edges) {
      this.pairs = new Pairs(unpack(data.edges).data, unpack(data.gaps).data);
      this.binned = this.pairs.binned();
    }
    this.graphs = data.graphs.map(({ features, links }) => ({
      features: unpackMatrix(features),
      links: unpackMatrix(links),
    }));
    this.fits = [data.fit, ...data.models];
    const centre = [data.fit.a, data.fit.b].map(Math.round);
    this.reach = centre.map((c) => [c - 8, c + 8]);
    Object.assign(this, {
      a: data.fit.a,
      b: data.fit.b,
      n: 15,
      seed: 1,
      linkSeed: 1,
      pupil: 0,
      layout: "features",
      faint: false,
      graph: -1,
      path: [],
      zoom: "wide",
    });
    this.moved = new Map(); // pupil -> features, where they were changed by hand
    this.places = []; // of the layout by links
  }

  // ---- the class -----------------------------------------------------------------------------------

  get isData() {
    return this.graph >= 0;
  }

  /** The pupils' features: drawn or of the data, then as moved by hand. */
  #makeFeatures() {
    const base = this.isData
      ? Array.from({ length: this.graphs[this.graph].features.rows }, (_, i) =>
          Array.from(row(this.graphs[this.graph].features, i)),
        )
      : drawFeatures(this.seed, this.n, this.width);
    this.features = base.map((x, i) => this.moved.get(i) ?? x);
    this.pupil = Math.min(this.pupil, this.features.length - 1);
  }

  #makeLinks() {
    this.links = drawLinks(this.features, this.a, this.b, this.linkSeed);
    if (!this.isData) return;
    const linked = new Set();
    const pairs = this.graphs[this.graph].links;
    for (let k = 0; k < pairs.rows; k++) linked.add(pairs.data[2 * k] * 1000 + pairs.data[2 * k + 1]);
    for (const link of this.links) link.linked = linked.has(link.i * 1000 + link.j);
  }

  // ---- building --------------------------------------------------------------------------------------

  build() {
    this.refresh = perFrame(() => this.draw());
    const left = el("div", { class: "stack span-7" }, this.#buildClass());
    const right = el(
      "div",
      { class: "stack span-5" },
      this.#buildParameters(),
      this.pairs ? this.#buildLikelihood() : null,
    );
    this.body.append(el("div", { class: "grid classroom" }, left, right));
    onScheme(() => this.draw());
    this.#makeFeatures();
    this.#makeFeatureSliders();
    this.draw();
  }

  #buildClass() {
    this.network = new Network({
      onchoose: (i) => this.#choose(i),
      onmove: (i, place, isDone) => this.#drag(i, place, isDone),
      onkey: (event) => this.#key(event),
    });
    const options = [
      ["-1", "A class drawn from the model"],
      ...this.graphs.map((_, i) => [String(i), `Graph ${i + 1} of the data`]),
    ];
    this.sourceChoice = select({
      label: "Show",
      options,
      value: "-1",
      onchange: (i) => this.#act(() => this.#chooseGraph(Number(i))),
    });
    this.layoutChoice = choice({
      label: "Place by",
      options: [
        ["features", "features"],
        ["links", "links"],
      ],
      value: "features",
      onchange: (v) => this.#act(() => (this.layout = v)),
    });
    this.faintChoice = checkbox({
      label: "Probabilities, not links",
      onchange: (v) => this.#act(() => (this.faint = v)),
    });
    this.classButtons = [
      button("New pupils", () =>
        this.#act(() => {
          this.seed = newSeed();
          this.moved.clear();
        }),
      ),
      button("New links", () => this.#act(() => (this.linkSeed = newSeed()))),
    ];
    this.facts = el("dl", { class: "facts" });
    this.pupilChoice = select({
      label: "Pupil",
      options: [],
      value: "0",
      onchange: (i) => this.#choose(Number(i)),
    });
    this.featureBox = el("div", { class: "sliders" });
    const hint =
      this.width >= 2
        ? "Drag a pupil: across for x₁, up for x₂; the colour is x₃ (blue below 0, orange above)."
        : "Drag a pupil across to change its feature.";
    return panel(
      "A class",
      { tools: this.classButtons, hint },
      el("div", { class: "row" }, this.sourceChoice.node, this.layoutChoice.node, this.faintChoice.node),
      this.network.node,
      this.facts,
      el("div", { class: "pupil-box" }, this.pupilChoice.node, this.featureBox),
    );
  }

  #makeFeatureSliders() {
    this.featureSliders = Array.from({ length: this.width }, (_, k) =>
      slider({
        label: `x${"₁₂₃₄₅₆₇₈₉"[k] ?? k + 1}`,
        name: `Feature ${k + 1} of the chosen pupil`,
        min: -1,
        max: 1,
        step: 0.01,
        oninput: (v) => {
          const x = [...this.features[this.pupil]];
          x[k] = v;
          this.#setFeatures(this.pupil, x);
        },
        onchange: () => this.page.done(),
      }),
    );
    this.featureBox.replaceChildren(...this.featureSliders.map((s) => s.node));
  }

  #buildParameters() {
    const make = (label, name, [min, max], key) =>
      slider({
        label,
        name,
        min,
        max,
        step: 0.01,
        value: this[key],
        oninput: (v) => this.#setParameters({ [key]: v }),
        onchange: () => this.page.done(),
      });
    this.aSlider = make("a", "a, the weight of likeness", this.reach[0], "a");
    this.bSlider = make("b", "b, the readiness to link", this.reach[1], "b");
    this.nSlider = slider({
      label: "n",
      name: "Number of pupils",
      min: 2,
      max: MOST_PUPILS,
      step: 1,
      digits: 0,
      value: this.n,
      oninput: (v) => {
        this.n = v;
        this.#chooseGraph(-1);
        this.refresh();
        this.page.moved();
      },
      onchange: () => this.page.done(),
    });
    const tools = this.fits.map((fit, i) =>
      button(i ? fit.name : "To the maximum", () =>
        this.#act(() => {
          this.path = [];
          this.#stop();
          this.a = fit.a;
          this.b = fit.b;
        }),
      ),
    );
    this.bestNote = el(
      "p",
      { class: "hint" },
      `${this.fits[0].name}: a = ${fixed(this.fits[0].a, 3)} ± ${fixed(this.fits[0].standard_errors[0], 3)}, b = ${fixed(this.fits[0].b, 3)} ± ${fixed(this.fits[0].standard_errors[1], 3)}`,
    );
    return panel(
      "What rules the class",
      { tools },
      this.bestNote,
      el("div", { class: "sliders" }, this.aSlider.node, this.bSlider.node, this.nSlider.node),
    );
  }

  #buildLikelihood() {
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
      this.#setParameters({ a, b });
      return true;
    };
    follow(this.plot.svg, { start: move, move, end: () => this.page.done() });
    this.plot.svg.addEventListener("keydown", (event) => {
      const step = arrows(event);
      if (!step) return;
      const unit = (this.plot.x.high - this.plot.x.low) / 160;
      this.#setParameters({ a: this.a + step[0] * unit, b: this.b + step[1] * unit });
      this.page.done();
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
        this.draw();
      },
    });
    const all =
      this.data.n_all > this.data.n_graphs
        ? `the first ${this.data.n_graphs} of ${this.data.n_all}`
        : `all ${this.data.n_graphs}`;
    this.likelihoodFacts = el("dl", { class: "facts" });
    return panel(
      "The data's log-likelihood",
      {
        tools: [this.climbButton],
        hint: `Of ${all} graphs, ${this.pairs.count.toLocaleString("en")} pairs. Drag the point; Climb follows the gradient from there.`,
      },
      this.zoomChoice.node,
      this.plot.node,
      this.likelihoodFacts,
    );
  }

  // ---- acting ----------------------------------------------------------------------------------------

  #act(change) {
    change();
    this.draw();
    this.page.done();
  }

  #setParameters(given) {
    this.#stop();
    this.path = [];
    const within = (v, [low, high]) => Math.min(high, Math.max(low, v));
    if ("a" in given) this.a = within(given.a, this.reach[0]);
    if ("b" in given) this.b = within(given.b, this.reach[1]);
    this.refresh();
    this.page.moved();
  }

  #chooseGraph(i) {
    if (i === this.graph) return;
    this.graph = i;
    this.moved.clear();
    this.places = [];
    this.sourceChoice.set(String(i));
  }

  #choose(i) {
    this.pupil = i;
    this.refresh();
    this.page.moved();
  }

  #setFeatures(i, x) {
    this.moved.set(i, x);
    this.refresh();
    this.page.moved();
  }

  #drag(i, [u, v], isDone) {
    if (this.layout === "links") {
      this.places[i] = [u, v];
      this.held = isDone ? null : i;
      this.refresh();
      return;
    }
    const x = [...this.features[i]];
    x[0] = u;
    if (this.width > 1) x[1] = v;
    this.#setFeatures(i, x);
    if (isDone) this.page.done();
  }

  #key(event) {
    const step = arrows(event);
    if (!step) return;
    const x = [...this.features[this.pupil]];
    x[0] = clamp(x[0] + 0.02 * step[0]);
    if (this.width > 1) x[1] = clamp(x[1] + 0.02 * step[1]);
    this.#setFeatures(this.pupil, x);
    this.page.done();
  }

  /** Follow the gradient from the present point; the picture takes every step. */
  #climb() {
    if (this.clock) {
      this.#stop();
      return;
    }
    const path = gradientAscent(this.pairs, [this.a, this.b]);
    this.path = [path[0]];
    this.climbButton.textContent = "Stop";
    const pace = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : PACE;
    const step = () => {
      const next = pace ? path[this.path.length] : path[path.length - 1];
      if (!next || this.path.length >= path.length) {
        this.#stop();
        this.page.done();
        return;
      }
      this.path = pace ? path.slice(0, this.path.length + 1) : path;
      [this.a, this.b] = [next.a, next.b];
      this.draw();
    };
    this.clock = setInterval(step, pace);
  }

  #stop() {
    clearInterval(this.clock);
    this.clock = null;
    if (this.pairs) this.climbButton.textContent = "Climb";
  }

  // ---- drawing ---------------------------------------------------------------------------------------

  draw() {
    this.#makeFeatures();
    this.#makeLinks();
    this.aSlider.set(this.a);
    this.bSlider.set(this.b);
    this.nSlider.set(this.features.length);
    this.#drawClass();
    this.#drawFacts();
    this.#drawPupil();
    if (!this.pairs) return;
    this.#setRange();
    this.#paintPoint();
  }

  #drawClass() {
    const byLinks = this.layout === "links";
    if (byLinks) this.#settle();
    const places = byLinks
      ? this.places
      : this.features.map((x, i) => [
          clamp(x[0]),
          this.width > 1 ? clamp(x[1]) : 1.6 * (((i * 0.618) % 1) - 0.5),
        ]);
    const shades = this.features.map((x) => clamp(x[Math.min(2, this.width - 1)]));
    this.network.show({
      places,
      shades,
      links: this.links,
      chosen: this.pupil,
      faint: this.faint,
      names: byLinks ? null : ["x₁", this.width > 1 ? "x₂" : ""],
    });
    const n = this.links.filter((l) => l.linked).length;
    this.network.svg.setAttribute(
      "aria-label",
      `A class of ${places.length} pupils with ${n} links. Arrow keys move the chosen pupil.`,
    );
  }

  /** Start from the features, then let links pull: a little now, the rest over the next frames. */
  #settle() {
    while (this.places.length < this.features.length) {
      const x = this.features[this.places.length];
      this.places.push([0.7 * clamp(x[0]), 0.7 * clamp(x[1] ?? Math.sin(this.places.length))]);
    }
    this.places.length = this.features.length;
    const signature = this.links.map((l) => (l.linked ? 1 : 0)).join("");
    if (signature !== this.signature) this.rounds = 160;
    this.signature = signature;
    if (this.rounds > 0 || this.held !== null) {
      relax(this.places, this.links, this.held, 3);
      this.rounds -= 3;
      this.refresh();
    }
  }

  #drawFacts() {
    const links = this.links.filter((link) => link.linked).length;
    const expected = this.links.reduce((sum, { p }) => sum + p, 0);
    showFacts(this.facts, {
      Links: `${links} of ${this.links.length}`,
      Expected: fixed(expected, 1),
      "log p(E | X)": `${fixed(logDensity(this.links, this.a, this.b), 2)} nats`,
    });
    this.classButtons.forEach((b) => (b.disabled = this.isData));
  }

  #drawPupil() {
    const { input } = this.pupilChoice;
    if (input.options.length !== this.features.length)
      input.replaceChildren(...this.features.map((_, i) => el("option", { value: i }, String(i + 1))));
    this.pupilChoice.set(String(this.pupil));
    this.featureSliders.forEach((control, k) => control.set(this.features[this.pupil][k]));
  }

  #setRange() {
    const fit = this.data.fit;
    const near = [fit.a, fit.b].map((c, k) => [
      c - 6 * fit.standard_errors[k],
      c + 6 * fit.standard_errors[k],
    ]);
    const [x, y] = this.zoom === "near" ? near : this.reach;
    const key = `${this.zoom}`;
    if (this.range === key) return;
    this.range = key;
    [this.plot.x.low, this.plot.x.high] = x;
    [this.plot.y.low, this.plot.y.high] = y;
    this.grid = null;
    this.plot.draw();
  }

  /** The likelihood on a grid, once per range. */
  #makeGrid() {
    const { x, y } = this.plot;
    this.grid ??= Float64Array.from({ length: GRID * GRID }, (_, k) => {
      const a = x.low + ((k % GRID) / (GRID - 1)) * (x.high - x.low);
      const b = y.low + (Math.floor(k / GRID) / (GRID - 1)) * (y.high - y.low);
      return this.binned.logLikelihood(a, b);
    });
  }

  #paintContours(plot) {
    this.#makeGrid();
    const best = this.data.log_likelihood;
    const toX = (c) => plot.x.low + (c / (GRID - 1)) * (plot.x.high - plot.x.low);
    const toY = (r) => plot.y.low + (r / (GRID - 1)) * (plot.y.high - plot.y.low);
    const drops = DROPS[this.zoom];
    const lines = drops.map((drop, k) =>
      svg("path", {
        class: "contour",
        fill: "none",
        opacity: 1 - k / (drops.length + 2),
        d: segmentsPath(plot, contour(this.grid, GRID, GRID, best - drop), toX, toY),
      }),
    );
    const { a, b } = this.data.fit;
    const [x, y] = [plot.px(a), plot.py(b)];
    const arm = 7 * plot.unit;
    const cross = svg("path", {
      class: "cross-best",
      d: `M${x - arm} ${y}h${2 * arm}M${x} ${y - arm}v${2 * arm}`,
    });
    plot.data.replaceChildren(plot.clipped(...lines), cross);
    this.#paintPoint();
  }

  #paintPoint() {
    const { plot } = this;
    const value = this.pairs.logLikelihood(this.a, this.b);
    const steps = this.path.length ? { Steps: String(this.path.length - 1) } : {};
    showFacts(this.likelihoodFacts, {
      "l(a, b)": `${fixed(value, 4)} nats`,
      "Below the maximum": fixed(this.data.log_likelihood - value, 4),
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
        svg("circle", { class: "now", cx: plot.px(this.a), cy: plot.py(this.b), r: 7 * plot.unit }),
      ),
    );
    plot.front.replaceChildren(...parts);
  }

  // ---- the address, and files --------------------------------------------------------------------------

  state() {
    const q = new URLSearchParams({ a: short(this.a), b: short(this.b) });
    if (this.isData) q.set("graph", this.graph + 1);
    else {
      q.set("n", this.n);
      q.set("pupils", this.seed);
      q.set("links", this.linkSeed);
    }
    if (this.moved.size)
      q.set(
        "moved",
        [...this.moved].map(([i, x]) => `${i + 1}:${x.map((v) => Number(v.toFixed(3))).join(",")}`).join(";"),
      );
    if (this.layout !== "features") q.set("by", this.layout);
    if (this.faint) q.set("faint", 1);
    return q.toString().replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%3B", ";");
  }

  restore(q) {
    this.#stop();
    this.path = [];
    const number = (name, fallback) =>
      q.has(name) && Number.isFinite(Number(q.get(name))) ? Number(q.get(name)) : fallback;
    const within = (v, [low, high]) => Math.min(high, Math.max(low, v));
    this.a = within(number("a", this.a), this.reach[0]);
    this.b = within(number("b", this.b), this.reach[1]);
    this.n = Math.round(within(number("n", this.n), [2, MOST_PUPILS]));
    this.seed = number("pupils", this.seed);
    this.linkSeed = number("links", this.linkSeed);
    const graph = number("graph", 0) - 1;
    this.graph = this.graphs[graph] ? graph : -1;
    this.sourceChoice.set(String(this.graph));
    this.moved = new Map();
    for (const part of (q.get("moved") ?? "").split(";")) {
      const [i, x] = part.split(":");
      const values = (x ?? "").split(",").map(Number);
      if (values.length === this.width && values.every(Number.isFinite))
        this.moved.set(Number(i) - 1, values);
    }
    this.layout = q.get("by") === "links" ? "links" : "features";
    this.layoutChoice.set(this.layout);
    this.faint = q.has("faint");
    this.faintChoice.set(this.faint);
    this.places = [];
    this.draw();
  }

  pictures() {
    return [
      { name: "Class", svg: () => standalone(this.network.svg) },
      ...(this.pairs ? [{ name: "Likelihood", svg: () => standalone(this.plot.svg) }] : []),
    ];
  }

  tables() {
    const names = Array.from({ length: this.width }, (_, k) => `x${k + 1}`);
    return [
      {
        name: "Pupils",
        csv: () =>
          csv(
            ["pupil", ...names],
            this.features.map((x, i) => [i + 1, ...x]),
          ),
      },
      {
        name: "Pairs",
        csv: () =>
          csv(
            ["i", "j", "inner_product", "p", "linked"],
            this.links.map(({ i, j, s, p, linked }) => [i + 1, j + 1, s, p, linked ? 1 : 0]),
          ),
      },
      ...(this.path.length < 2
        ? []
        : [
            {
              name: "Ascent",
              csv: () =>
                csv(
                  ["step", "a", "b", "log_likelihood"],
                  this.path.map(({ a, b, value }, k) => [k, a, b, value]),
                ),
            },
          ]),
    ];
  }
}

const clamp = (v) => Math.min(1, Math.max(-1, v));
const short = (v) => String(Number(v.toFixed(5)));
