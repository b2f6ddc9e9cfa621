// Pixels: what two models of the same images say of the unknown pixels, given those you set.
//
// Each pixel is on, off or unknown. Both models search their completions anew when that changes, a
// slice per frame, and show what is certain so far; an older search is dropped.

import { Random, newSeed } from "../arrays.js";
import { Picture, button, choice, el, fixed, mixed, panel, select, showFacts } from "../kit.js";
import { csv, picturesAsSvg, standalone } from "../saving.js";
import { maybe, oneOf, whole } from "../state.js";
import { Answer, shortPercent } from "./answer.js";
import { Cells } from "./cells.js";
import { CompletionList } from "./completions.js";
import { Sampling } from "./sampling.js";
import { Completions, Draws } from "./search.js";
import { sequenceModel } from "./sequence.js";
import { key, percent } from "./tree.js";

const SLICE = 6; // ms of search per frame and model
const SIDES = ["first", "second"];
const FLAT = 2.5; // times as wide as high: grids stand over each other
const WIDE = 0.05; // of the posterior missing from a list, above which draws say more
const DIFFERENT = 0.1; // between the models' probabilities of a pixel

export const room = {
  state: (data) => {
    const last = nModels(data) - 1;
    return {
      set: levels(data.start),
      brush: oneOf(["next", "1", "0", "-"]),
      first: whole(0, last, 0),
      second: whole(0, last, Math.min(1, last)),
      seed: maybe(whole(0, 999_999, 0)),
    };
  },
  build: (data, page) => new Pixels(data, page),
};

const nModels = ({ models, lstm_follows: follows }) => models.length + (follows ? 1 : 0);

/** A type: a level of each pixel, -1 where unknown, spelt "01-". */
function levels(first) {
  const isLevel = (v) => v === -1 || v === 0 || v === 1;
  return {
    first: Int8Array.from(first),
    hold: (value) => (value?.length === first.length && value.every(isLevel) ? value : undefined),
    write: key,
    read: (text) =>
      /^[01-]*$/.test(text) ? Int8Array.from(text, (c) => (c === "-" ? -1 : Number(c))) : null,
  };
}

class Pixels {
  constructor(data, page) {
    Object.assign(this, { data, page, m: data.m });
    this.models = data.models.map((sent) => sequenceModel(sent, data.m));
    this.sides = SIDES.slice(0, nModels(data)).map((name) => ({
      name,
      model: null,
      search: null,
      drawn: null,
      answer: new Answer(data, name),
    }));
    this.sampling = new Sampling(this);
    this.list = new CompletionList({
      data,
      sides: this.sides,
      take: (image) => this.#set(Int8Array.from(image)),
    });
    this.stage = [this.#buildStage()];
    this.controls = [this.#buildBrush(), this.list.node, ...this.sampling.nodes, this.#buildModels()];
    this.prompts = this.#prompts();
    if (data.lstm_follows) this.#awaitLstm();
  }

  // ---- building ----------------------------------------------------------------------------------

  #buildStage() {
    this.cells = new Cells(this.data, {
      next: (i) => this.#nextValue(this.page.state.set[i]),
      value: (i) => this.page.state.set[i],
      set: (i, value) => this.#set(this.page.state.set.with(i, value)),
    });
    this.sets = el("span");
    const [height, width] = this.data.shape;
    const layout = width > FLAT * height ? "flat" : `of-${this.sides.length}`;
    const legend = ["unknown", "set", "drawn"].map((kind) => el("span", { class: kind }, el("i"), kind));
    const stage = el(
      "div",
      { class: `fill-pixels ${layout}` },
      el(
        "figure",
        { class: "yours" },
        el("figcaption", {}, el("b", {}, "Your pixels"), " – ", this.sets),
        el("div", { class: "fit" }, this.cells.node),
        el("p", { class: "quiet-line legend" }, legend),
        el(
          "div",
          { class: "row" },
          this.sampling.button,
          button("Clear", () => this.#set(new Int8Array(this.m).fill(-1)), { title: "All pixels unknown" }),
        ),
        this.sides.length > 1
          ? el("p", { class: "quiet-line" }, "Both models draw with the same random numbers.")
          : null,
      ),
      this.sides.map(({ answer }) => answer.node),
    );
    stage.style.setProperty("--columns", width);
    stage.style.setProperty("--rows", height);
    return stage;
  }

  #buildBrush() {
    const [off, on] = this.data.words.length === 1 ? this.data.words[0] : ["first level", "second level"];
    this.brushes = { next: "next", 1: on, 0: off, "-": "unknown" };
    this.brush = choice({
      label: "A press:",
      options: ["next", "1", "0", "-"].map((brush) => [brush, this.brushes[brush]]),
      value: "next",
      onchange: (brush) => this.page.change({ brush }),
    });
    return panel(
      "Set pixels",
      {
        tools: [button("Begin an image", () => this.#set(this.#begun()))],
        hint: `Paint over several pixels, or use the arrow keys with 1, 0 and Delete. “Next” turns an unknown pixel ${on}, then ${off}, then unknown again. A number in an answer is the percentage with which that pixel is ${on}.`,
      },
      this.brush.node,
    );
  }

  #buildModels() {
    this.pickers = this.sides.map(({ name }, k) => {
      const picker = select({
        label: k ? "Second" : "First",
        options: Array.from({ length: nModels(this.data) }, (_, i) => [
          String(i),
          this.models[i]?.name ?? "LSTM",
        ]),
        value: String(k),
        onchange: (i) => this.page.change({ [name]: Number(i), seed: null }),
      });
      picker.node.hidden = nModels(this.data) < 2;
      return picker;
    });
    this.facts = this.sides.map(() => el("dl", { class: "facts" }));
    const parts = this.sides.map(({ name }, k) =>
      el("div", { class: `facts-of ${name}` }, this.pickers[k].node, this.facts[k]),
    );
    return panel("The models", {}, ...parts);
  }

  #prompts() {
    const [first, second] = this.sides;
    const isOne = () => Boolean(first.search?.isDone && first.search.rows[0]?.p > 0.99);
    const differ = () => {
      if (!first.model || !second.model) return false;
      const [a, b] = [first.bounds, second.bounds];
      if (!a || !b) return Boolean(a) !== Boolean(b); // impossible by one of them
      return a.some(({ low, high }, i) => low > b[i].high + DIFFERENT || high < b[i].low - DIFFERENT);
    };
    const isOfNothing = ({ set, seed }) => seed !== null && set.every((level) => level < 0);
    return [
      { text: "draw three images: how many differ?", done: () => first.images?.size >= 3 },
      { text: "set pixels until only one image is left", done: isOne },
      second
        ? { text: "set pixels on which the models differ by 10 %", done: differ }
        : { text: "clear all pixels, and draw a whole image", done: isOfNothing },
    ];
  }

  // ---- acting --------------------------------------------------------------------------------------

  #nextValue(value) {
    const { brush } = this.page.state;
    if (brush === "next") return { "-1": 1, 1: 0, 0: -1 }[value];
    return brush === "-" ? -1 : Number(brush);
  }

  #set(set) {
    this.page.change({ set, seed: null });
  }

  /** As much of the beginning of an image of the first model, up to half, as three images share. */
  #begun() {
    const model = this.sides[0].model ?? this.models[0];
    const set = new Int8Array(this.m).fill(-1);
    const image = new Completions(model, set).draw(new Random(newSeed()));
    for (const { i, level } of image) if (i < this.m >> 1) set[i] = level;
    for (let end = this.m >> 1; end > 0; end--) {
      const search = new Completions(model, set);
      search.run(SLICE);
      if (!search.isDone || search.rows.length > 2) break;
      set[end - 1] = -1;
    }
    return set;
  }

  async #awaitLstm() {
    const sent = await this.page.load("lstm").catch((error) => ({ problem: error.message }));
    if (sent.problem) this.problem = sent.problem;
    else this.models.push(sequenceModel(sent, this.m));
    this.page.draw();
  }

  leave() {
    this.sampling.stop();
  }

  // ---- showing -------------------------------------------------------------------------------------

  draw() {
    const { set, brush } = this.page.state;
    this.brush.set(brush);
    this.sets.textContent = brush === "next" ? "press to set" : `press: ${this.brushes[brush]}`;
    for (const [k, side] of this.sides.entries())
      this.#search(side, this.models[this.page.state[side.name]], k);
    const isDrawing = this.sampling.advance();
    for (const [k, side] of this.sides.entries()) this.#show(side, k);
    this.cells.show(set, (i) => this.#wordsOf(i));
    this.list.draw(set);
    this.sampling.draw();
    if (isDrawing || this.isSearching) this.page.draw();
  }

  #search(side, model = null, k) {
    const { set } = this.page.state;
    this.pickers[k].set(String(this.page.state[side.name]));
    if (side.model !== model || side.asked !== set)
      Object.assign(side, { model, asked: set, search: model && new Completions(model, set), draws: null });
    if (!model) return;
    side.search.run(SLICE);
    if (side.search.isDone && side.search.rest > WIDE) (side.draws ??= new Draws(model, set)).run(SLICE);
    side.bounds = side.search.isImpossible
      ? null
      : side.draws?.isDone && side.draws.canAnswer
        ? side.draws.marginals()
        : side.search.marginals();
  }

  get isSearching() {
    const isOpen = ({ search, draws }) => search && !(search.isDone && (draws?.isDone ?? true));
    return this.sides.some(isOpen);
  }

  #show(side, k) {
    const { model, search, bounds, draws } = side;
    if (!model) {
      const note = this.problem ?? "An LSTM is being trained on these images: a few seconds …";
      side.answer.show({ title: "LSTM", note, about: null });
      return;
    }
    const drawn = this.sampling.drawnOf(side);
    side.answer.show({
      title: model.name,
      note: noteOf(search, draws) + this.sampling.countOf(side),
      isDraw: drawn.size > 0,
      about: (i) => ({
        known: this.page.state.set[i],
        drawn: drawn.get(i) ?? null,
        bounds: bounds?.[i] ?? null,
      }),
    });
    showFacts(this.facts[k], factsOf(model, search));
  }

  /** All that is said of a pixel, for those who don't see it. */
  #wordsOf(i) {
    const { columns, shape, words } = this.data;
    const place = columns[i] ?? `Row ${Math.floor(i / shape[1]) + 1}, column ${(i % shape[1]) + 1}`;
    const level = this.page.state.set[i];
    if (level >= 0) return `${place}: ${(words[i] ?? words[0])[level]}`;
    const said = this.sides
      .filter(({ model, bounds }) => model && bounds)
      .map(({ model, bounds }) => `${model.name} ${shortPercent(bounds[i])} %`);
    return `${place}: unknown${said.length ? `, ${(words[i] ?? words[0])[1]} with ${said.join(", ")}` : ""}`;
  }

  // ---- files ---------------------------------------------------------------------------------------

  get live() {
    return this.sides.filter(({ model }) => model);
  }

  pictures() {
    const grids = () => this.live.map((side) => ({ canvas: this.#grid(side), caption: side.model.name }));
    const found = [
      { name: "Answers", svg: () => picturesAsSvg(grids()) },
      { name: "Draw", svg: () => standalone(this.sampling.steps.svg) },
    ];
    if (this.sampling.treeFold.open)
      found.push({ name: "Tree", svg: () => standalone(this.sampling.tree.svg) });
    return found;
  }

  #grid({ bounds }) {
    const picture = new Picture(this.data.shape, "");
    const shade = ({ low, high }) => mixed([255, 255, 255], [31, 35, 40], (low + high) / 2);
    picture.paint(bounds ?? new Array(this.m).fill({ low: 0, high: 1 }), shade);
    return picture.canvas;
  }

  tables() {
    const pixels = () =>
      csv(
        [
          "row",
          "column",
          "set",
          ...this.live.flatMap(({ model }) => [`${model.name} low`, `${model.name} high`]),
        ],
        Array.from(this.page.state.set, (v, i) => [
          Math.floor(i / this.data.shape[1]),
          i % this.data.shape[1],
          v < 0 ? "" : v,
          ...this.live.flatMap(({ bounds }) => (bounds ? [bounds[i].low, bounds[i].high] : ["", ""])),
        ]),
      );
    const images = () =>
      csv(
        ["model", "image", "log_p", "posterior"],
        this.live.flatMap(({ model, search }) =>
          search.rows.map(({ levels, logP, p }) => [model.name, key(levels), logP, p]),
        ),
      );
    return [
      { name: "Pixels", csv: pixels },
      { name: "Completions", csv: images },
    ];
  }
}

/** How certain an answer is, in one line. */
function noteOf(search, draws) {
  if (search.isImpossible) return "No image has these pixels: their probability is 0.";
  const n = search.rows.length;
  if (search.rest === 0)
    return n === 1 ? "One image possible." : `${n.toLocaleString("en")} images possible.`;
  if (search.isCertified) return "Exact to 0.1 %.";
  if (draws?.canAnswer) return draws.isDone ? `Counted in ${draws.most} draws.` : "Counting draws …";
  const open = `at most ${percent(search.rest)} is missing`;
  return search.isDone ? `Too many images to list: ${open}.` : `Searching: ${open}.`;
}

function factsOf(model, search) {
  const { low, high } = search.logEvidence;
  const known = high - low > 0.005 ? `${fixed(low, 2)} to ${fixed(high, 2)}` : fixed((low + high) / 2, 2);
  const facts = { "log p of the set pixels": search.isImpossible ? "−∞" : `${known} nats` };
  if (model.entropy) facts.Entropy = `${fixed(model.entropy, 2)} nats`;
  if (model.excess !== undefined) facts["Worse than Tables by"] = `${fixed(model.excess, 4)} nats an image`;
  if (model.parameters) facts.Parameters = model.parameters.toLocaleString("en");
  if (model.members.length > 1) facts.Orders = model.members.length;
  return facts;
}
