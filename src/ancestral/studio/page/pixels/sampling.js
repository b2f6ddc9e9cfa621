// A draw, pixel by pixel: how it comes to be shown, the probabilities it went by, and the tree of
// images that it goes through.

import { Random, newSeed } from "../arrays.js";
import { button, el, fold, panel, svg } from "../kit.js";
import { Plot } from "../plot.js";
import { Completions, EXACT } from "./search.js";
import { PrefixTree, key } from "./tree.js";

const N_LEAVES = 40;
const PACE = 150; // ms a pixel of a draw takes to come,
const LONGEST = 3000; // or ms the whole draw takes, where that is less
const isStill = matchMedia("(prefers-reduced-motion: reduce)");

export class Sampling {
  constructor({ data, sides, page }) {
    Object.assign(this, { data, sides, page, m: data.m });
    this.length = 0; // pixels of the draw that are shown
    this.since = null; // when a draw under way began
    this.seed = null; // that of the draw shown
    this.button = button("Draw", () => this.#start(), { kind: "main" });
    this.steps = new Plot({
      label: "Probability that each pixel is on, given those drawn before it, under each model",
      x: { label: "pixel drawn", low: 0.3, high: this.m + 0.7, whole: true },
      y: { label: "p(on)", low: 0, high: 1 },
      ratio: 0.42,
      least: 150,
      paint: () => this.#paintSteps(),
    });
    this.tree = new PrefixTree(data);
    this.treeFold = fold(
      "The images as a tree",
      {},
      (this.treeTitle = el("p", { class: "hint" })),
      this.tree.node,
    );
    this.treeFold.addEventListener("toggle", () => page.draw());
    this.nodes = [
      panel(
        "The draw, pixel by pixel",
        {
          tools: [button("One pixel", () => this.#step())],
          hint: "Each pixel is drawn given those before it and those you set. The models get the same random numbers. A filled dot means that the pixel is on.",
        },
        this.steps.node,
      ),
      this.treeFold,
    ];
  }

  // ---- acting ------------------------------------------------------------------------------------

  #start() {
    if (this.since !== null) return this.stop();
    this.#begin(isStill.matches ? this.m : 0);
    if (!isStill.matches) this.since = performance.now();
  }

  #step() {
    this.stop();
    if (this.seed !== null && this.length < this.m) this.length++;
    else this.#begin(1);
    this.page.draw();
  }

  #begin(length) {
    this.length = length;
    this.seed = newSeed();
    this.page.change({ seed: this.seed });
  }

  stop() {
    this.since = null;
    this.page.draw();
  }

  // ---- showing -----------------------------------------------------------------------------------

  /** Bring the draw to where it is now; return whether it goes on. */
  advance() {
    const { seed } = this.page.state;
    if (seed !== this.seed) Object.assign(this, { seed, since: null, length: seed === null ? 0 : this.m });
    for (const side of this.sides) this.#drawSide(side, seed);
    if (this.since !== null) {
      const now = performance.now();
      if (!this.sides.some((side) => side.drawn)) this.since = now; // until it is known what to draw from
      const share = (now - this.since) / Math.min(LONGEST, PACE * this.m);
      this.length = Math.min(this.m, Math.max(this.length, Math.ceil(share * this.m)));
      if (this.length === this.m) this.since = null;
    }
    this.button.textContent = this.since !== null ? "Stop" : seed !== null ? "Draw again" : "Draw";
    return this.since !== null;
  }

  /** Draw all of an image from its seed, once what the draw goes by is certain. */
  #drawSide(side, seed) {
    const { search } = side;
    if (side.drawnBy !== search) Object.assign(side, { drawnBy: search, drawnFrom: null, images: new Map() });
    if (seed === side.drawnFrom && side.drawn) return;
    Object.assign(side, { drawn: null, drawnFrom: seed });
    if (seed === null || !search || search.isImpossible || !(search.isDone || search.doubt <= EXACT)) return;
    side.drawn = search.draw(new Random(seed));
    const image = new Int8Array(this.m);
    for (const { i, level } of side.drawn) image[i] = level;
    side.images.set(seed, key(image));
  }

  /** How many images a model drew of what is set, and how many of them differ. */
  countOf({ images, drawn }) {
    if (!drawn || this.length < this.m) return "";
    return ` ${images.size}\u00a0drawn, ${new Set(images.values()).size}\u00a0different.`;
  }

  /** The level of each pixel that is drawn so far: undefined for others. */
  drawnOf({ drawn }) {
    return new Map((drawn ?? []).slice(0, this.length).map(({ i, level }) => [i, level]));
  }

  draw() {
    if (this.treeFold.open) this.#drawTree();
    this.steps.draw();
  }

  /** Show the tree of the first model's likeliest images, as far as half a second of search finds them. */
  #drawTree() {
    const [{ model, search, drawn }] = this.sides;
    if (!model) return;
    if (this.grown !== model) {
      this.grown = model;
      const all = new Completions(model, new Int8Array(this.m).fill(-1), { tolerance: 1e-2 });
      all.run(500);
      this.tree.setRows(all.rows.slice(0, N_LEAVES).map(({ levels }) => levels));
      const n = all.rows.length;
      const which =
        n <= N_LEAVES && !all.rest ? `All ${n} images` : `The ${Math.min(n, N_LEAVES)} likeliest images`;
      this.treeTitle.textContent = `${which}, ${model.name}: each path is one image, from its first pixel to its last.`;
    }
    const weights = new Map(search.rows.map(({ levels, p }) => [key(levels), p]));
    const isInOrder = drawn?.every(({ i }, k) => i === k); // a mixture's member has an order of its own
    const path = isInOrder && drawn.slice(0, this.length).map(({ level }) => level);
    this.tree.show({ weights, path });
  }

  #paintSteps() {
    const plot = this.steps;
    const gap = plot.px(2) - plot.px(1);
    const [radius, width] = [Math.min(4 * plot.unit, 0.3 * gap), Math.min(2.5 * plot.unit, 0.2 * gap)];
    const marks = [];
    this.sides.forEach((side, k) => {
      (side.drawn ?? []).slice(0, this.length).forEach(({ p, level }, i) => {
        const [x, y] = [plot.px(i + 1 + (k ? 0.17 : -0.17)), plot.py(p)];
        const isOn = level ? "filled" : "hollow";
        marks.push(
          svg("line", {
            class: `step ${side.name}`,
            x1: x,
            x2: x,
            y1: plot.py(0),
            y2: y,
            "stroke-width": width,
          }),
          svg("circle", { class: `dot ${side.name} ${isOn}`, cx: x, cy: y, r: Math.max(1, radius) }),
        );
      });
    });
    if (!marks.length)
      marks.push(
        svg("text", { x: plot.px(this.m / 2), y: plot.py(0.5), "text-anchor": "middle" }, "Press Draw"),
      );
    plot.data.replaceChildren(...marks);
  }
}
