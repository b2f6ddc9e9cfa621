// Drawing an image as both models do it, pixel by pixel, and the tree of images it goes through.

import { Random, newSeed } from "../arrays.js";
import { button, el, panel, svg } from "../kit.js";
import { Plot } from "../plot.js";
import { drawGiven, drawRow } from "./sequence.js";
import { PrefixTree, key } from "./tree.js";

const N_LEAVES = 40;
const PACE = 150; // ms per pixel of a draw

export class Sampling {
  constructor(room) {
    this.room = room;
    this.seed = 1;
    this.length = 0; // pixels of the draw shown
    this.node = this.#build();
  }

  get isWhole() {
    return this.length === this.room.m;
  }

  #build() {
    this.drawButton = button("Draw", () => this.#start(), { kind: "main" });
    this.stepButton = button("One pixel", () => this.#step());
    this.steps = new Plot({
      label: "Probability that each pixel is on, given those drawn before it, under both models",
      x: { label: "Pixel i", low: 0.3, high: this.room.m + 0.7, whole: true },
      y: { label: "p(xᵢ = 1 | x₁ … xᵢ₋₁)", low: 0, high: 1 },
      ratio: 0.2,
      least: 170,
      paint: () => this.#paintSteps(),
    });
    this.tree = new PrefixTree(this.room.m, this.room.shape[1]);
    this.treeTitle = el("h4", {}, "");
    this.drawNote = el(
      "p",
      { class: "hint" },
      "Pixel by pixel, each given those before it and the pixels you set. Both models get the same random numbers; filled dots are pixels drawn on, hollow ones off.",
    );
    return panel(
      "Ancestral draw",
      { tools: [this.drawButton, this.stepButton] },
      this.drawNote,
      this.steps.node,
      this.treeTitle,
      this.tree.node,
    );
  }

  // ---- acting ------------------------------------------------------------------------------------

  /** Drop the draw: the pixels it was given, or the models, are others now. */
  forget() {
    clearInterval(this.clock);
    this.clock = null;
    this.length = 0;
    for (const side of this.room.sides) side.drawn = null;
    this.drawButton.textContent = "Draw";
  }

  /** Draw the whole image at once from the seed; it is shown as far as `length`. */
  prepare() {
    const nothingKnown = this.room.known.every((v) => v < 0);
    for (const side of this.room.sides) {
      side.drawn = null;
      if (!side.model || (!nothingKnown && !side.search.found.length)) continue;
      const random = new Random(this.seed);
      side.drawn = nothingKnown ? drawRow(side.model, random) : drawGiven(side.search, random);
    }
  }

  #start() {
    if (this.clock) {
      clearInterval(this.clock);
      this.clock = null;
      this.drawButton.textContent = "Draw";
      return;
    }
    this.seed = newSeed();
    this.length = 0;
    this.prepare();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.length = this.room.m;
      this.room.draw();
      this.room.page.done();
      return;
    }
    this.drawButton.textContent = "Stop";
    this.clock = setInterval(() => this.#step(), PACE);
  }

  #step() {
    if (!this.room.sides.some((side) => side.drawn)) {
      this.seed = newSeed();
      this.prepare();
    } else if (this.length === this.room.m) {
      this.seed = newSeed();
      this.prepare();
      this.length = 0;
    }
    this.length = Math.min(this.room.m, this.length + 1);
    if (this.length === this.room.m) {
      clearInterval(this.clock);
      this.clock = null;
      this.drawButton.textContent = "Draw again";
      this.room.page.done();
    }
    this.room.draw();
  }

  /** Show all of the draw of one seed. */
  show(seed) {
    this.seed = seed;
    this.prepare();
    this.length = this.room.m;
    this.room.draw();
  }

  // ---- showing -----------------------------------------------------------------------------------

  draw() {
    this.#drawTree();
    this.steps.draw();
  }

  /** Make the tree of the first model's likeliest images. */
  growTree() {
    const { model } = this.room.sides[0];
    this.tree.setRows(
      this.room
        .everything(model)
        .slice(0, N_LEAVES)
        .map(({ levels }) => levels),
    );
    const n = this.room.everything(model).length;
    const isAll = n <= N_LEAVES && model.kind === "tables"; // a network rules nothing out
    const which = isAll ? `All ${n} images` : `The ${Math.min(n, N_LEAVES)} likeliest images`;
    this.treeTitle.textContent = `${which}, ${model.name}: each path is one`;
  }

  #drawTree() {
    const [side] = this.room.sides;
    const weights = new Map();
    if (!side.search.isImpossible) for (const { levels, p } of side.search.rows) weights.set(key(levels), p);
    const path = side.drawn ? { levels: side.drawn.map((s) => s.level), length: this.length } : null;
    this.tree.show({ weights, path });
  }

  #paintSteps() {
    const plot = this.steps;
    const gap = plot.px(2) - plot.px(1);
    const [radius, width] = [Math.min(4 * plot.unit, 0.3 * gap), Math.min(2.5 * plot.unit, 0.2 * gap)];
    const marks = [];
    this.room.sides.forEach((side, k) => {
      (side.drawn ?? []).slice(0, this.length).forEach(({ p, level }, i) => {
        const at = plot.px(i + 1 + (k ? 0.17 : -0.17));
        const y = plot.py(p);
        marks.push(
          svg("line", {
            class: `stem-${side.name}`,
            x1: at,
            x2: at,
            y1: plot.py(0),
            y2: y,
            "stroke-width": width,
          }),
        );
        marks.push(
          svg("circle", {
            class: `dot-${side.name} ${level ? "filled" : "hollow"}`,
            cx: at,
            cy: y,
            r: radius,
          }),
        );
      });
    });
    if (!this.length)
      marks.push(
        svg("text", { x: plot.px(this.room.m / 2), y: plot.py(0.5), "text-anchor": "middle" }, "Press Draw"),
      );
    plot.data.replaceChildren(...marks);
  }
}
