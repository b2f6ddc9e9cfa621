// Classroom: a graph redrawn as its parameters and pupils move, and the likelihood of the data.
//
// One state: a, b, the pupils' features, and the seed of the links. The same random number decides
// a pair whatever the state, so that links come and go one at a time.

import { Ascent } from "./ascent.js";
import { newSeed, unpack, unpackMatrix, row } from "../arrays.js";
import { Pairs, drawFeatures, drawLinks } from "./graphs.js";
import {
  button,
  checkbox,
  choice,
  csv,
  el,
  fixed,
  onScheme,
  panel,
  perFrame,
  select,
  slider,
  standalone,
} from "../kit.js";
import { Pupils } from "./pupils.js";

const MOST_PUPILS = 60;

export function openClassroom(body, data, page) {
  const room = new Classroom(body, data, page);
  room.build();
  return room;
}

class Classroom {
  constructor(body, data, page) {
    Object.assign(this, { body, data, page, width: data.n_features });
    this.pairs = data.edges ? new Pairs(unpack(data.edges).data, unpack(data.gaps).data) : null;
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
    });
    this.moved = new Map(); // pupil -> features, where they were changed by hand
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
    this.pupils = new Pupils(this);
    this.ascent = this.pairs ? new Ascent(this) : null; // a saved model alone has no data
    const left = el("div", { class: "stack span-7" }, this.#buildClass());
    const right = el("div", { class: "stack span-5" }, this.#buildParameters(), this.ascent?.node);
    this.body.append(el("div", { class: "grid classroom" }, left, right));
    onScheme(() => this.draw());
    this.draw();
  }

  #buildClass() {
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
    this.hint = el("p", { class: "hint" });
    return panel(
      "A class",
      { tools: this.classButtons },
      this.hint,
      el("div", { class: "row" }, this.sourceChoice.node, this.layoutChoice.node, this.faintChoice.node),
      this.pupils.nodes,
    );
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
        oninput: (v) => this.setParameters({ [key]: v }),
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
          this.ascent?.reset();
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

  // ---- acting ----------------------------------------------------------------------------------------

  #act(change) {
    change();
    this.draw();
    this.page.done();
  }

  setParameters(given) {
    this.ascent?.reset();
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
    this.pupils.startAnew();
    this.sourceChoice.set(String(i));
  }

  // ---- drawing ---------------------------------------------------------------------------------------

  draw() {
    this.#makeFeatures();
    this.#makeLinks();
    this.aSlider.set(this.a);
    this.bSlider.set(this.b);
    this.nSlider.set(this.features.length);
    this.classButtons.forEach((b) => (b.disabled = this.isData));
    this.hint.textContent = this.#hintText();
    this.pupils.draw();
    this.ascent?.draw();
  }

  #hintText() {
    if (this.layout === "links")
      return "Friends pull one another near. A drag moves a pupil’s dot, not its features.";
    return this.width >= 2
      ? "Drag a pupil: across for x₁, up for x₂; the colour is x₃ (blue below 0, orange above)."
      : "Drag a pupil across to change its feature.";
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
    this.ascent?.reset();
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
    this.pupils.startAnew();
    this.draw();
  }

  pictures() {
    return [
      { name: "Class", svg: () => standalone(this.pupils.network.svg) },
      ...(this.ascent ? [{ name: "Likelihood", svg: () => standalone(this.ascent.plot.svg) }] : []),
    ];
  }

  tables() {
    const path = this.ascent?.path ?? [];
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
      ...(path.length < 2
        ? []
        : [
            {
              name: "Ascent",
              csv: () =>
                csv(
                  ["step", "a", "b", "log_likelihood"],
                  path.map(({ a, b, value }, k) => [k, a, b, value]),
                ),
            },
          ]),
    ];
  }
}

const short = (v) => String(Number(v.toFixed(5)));
