// Pixels: what two models of the same images say of the unknown pixels, given those you set.
//
// One state: each pixel is on, off or unknown. Both models search their completions anew when it
// changes, a slice per frame, and show what is certain so far; an older search is dropped.

import { Random, newSeed } from "../arrays.js";
import {
  Picture,
  button,
  choice,
  csv,
  el,
  fixed,
  mixed,
  onScheme,
  panel,
  picturesAsSvg,
  select,
  showFacts,
  standalone,
  svg,
} from "../kit.js";
import { Cells } from "./cells.js";
import { CompletionList } from "./completions.js";
import { Sampling } from "./sampling.js";
import { Completions, sequenceModel } from "./sequence.js";
import { key, percent } from "./tree.js";

const FIRST_SLICE = 6; // ms of search before the first picture, per model
const SLICE = 6; // ms of search per frame after that
const SIDES = ["first", "second"];

export function openPixels(body, data, page) {
  const room = new Pixels(body, data, page);
  room.build();
  return room;
}

class Pixels {
  constructor(body, data, page) {
    Object.assign(this, { body, data, page, m: data.m, shape: data.shape });
    this.models = data.models.map((sent) => sequenceModel(sent, data.m));
    this.known = new Int8Array(this.m).fill(-1);
    this.brush = "next";
    const names = data.lstm_follows || this.models.length > 1 ? SIDES : SIDES.slice(0, 1);
    this.sides = names.map((name, k) => ({
      name,
      model: this.models[Math.min(k, this.models.length - 1)],
      search: null,
      drawn: null,
    }));
    if (data.lstm_follows) this.sides[1].model = null; // until it has been trained
  }

  build() {
    const panels = this.sides.map((side) => this.#buildSide(side));
    this.list = new CompletionList(this, SIDES);
    this.sampling = new Sampling(this);
    this.body.append(
      el(
        "div",
        { class: "grid pixels" },
        this.#buildControls(),
        ...panels,
        this.list.node,
        this.sampling.node,
      ),
    );
    onScheme(() => this.draw());
    this.#startHalfDrawn();
    this.sampling.growTree();
    this.search();
    if (this.data.lstm_follows) this.#awaitLstm();
  }

  // ---- building ----------------------------------------------------------------------------------

  #buildControls() {
    const brush = choice({
      label: "A click sets",
      options: [
        ["next", "each in turn"],
        ["1", "on"],
        ["0", "off"],
        ["-", "unknown"],
      ],
      value: "next",
      onchange: (v) => (this.brush = v),
    });
    const clear = button("All unknown", () => this.act(() => this.known.fill(-1)));
    const half = button("Half-drawn image", () => this.act(() => this.#startHalfDrawn(newSeed())));
    return el(
      "div",
      { class: "row controls" },
      brush.node,
      el("span", { class: "row" }, half, clear),
      el(
        "p",
        { class: "hint" },
        "Framed pixels are set, dotted ones drawn; a number is the percentage with which an unknown pixel is on.",
      ),
    );
  }

  #buildSide(side) {
    side.cells = new Cells(this.shape, `Pixels, ${side.name} model`, {
      next: (i) => this.#nextValue(this.known[i]),
      value: (i) => this.known[i],
      set: (i, value) => this.#set(i, value),
      done: () => this.page.done(),
    });
    side.facts = el("dl", { class: "facts" });
    side.note = el("p", { class: "hint" });
    side.choice = el("span");
    const part = panel(
      side.name === "first" ? "One model" : "Another",
      { span: this.sides.length > 1 ? 6 : 12, tools: [side.choice] },
      side.note,
      side.cells.node,
      side.facts,
    );
    part.classList.add(side.name);
    side.title = part.querySelector("h3");
    this.#fillChoice(side);
    return part;
  }

  #fillChoice(side) {
    if (this.models.length < 3) return;
    const options = this.models.map((model, i) => [String(i), model.name]);
    const control = select({
      label: "Model",
      options,
      value: String(this.models.indexOf(side.model)),
      onchange: (i) =>
        this.act(() => {
          side.model = this.models[Number(i)];
          this.sampling.growTree();
        }),
    });
    side.choice.replaceChildren(control.node);
    side.control = control;
  }

  #nextValue(value) {
    if (this.brush === "next") return { "-1": 1, 1: 0, 0: -1 }[value];
    return this.brush === "-" ? -1 : Number(this.brush);
  }

  #set(i, value) {
    this.known[i] = value;
    this.sampling.forget();
    this.search();
    this.page.moved();
  }

  // ---- models ------------------------------------------------------------------------------------

  async #awaitLstm() {
    const side = this.sides[1];
    const sent = await this.page.load("lstm").catch((error) => ({ problem: error.message }));
    if (sent.problem) {
      side.problem = sent.problem;
      this.draw();
      return;
    }
    const model = Object.assign(sequenceModel(sent, this.m), { loss: sent.loss, floor: sent.floor });
    this.models.push(model);
    side.model ??= model;
    for (const each of this.sides) this.#fillChoice(each);
    if (this.pendingRight) this.#chooseModels(this.pendingRight);
    this.search();
    if (this.sampling.isWhole) this.sampling.prepare();
    this.draw();
  }

  #chooseModels(q) {
    SIDES.forEach((name, k) => {
      const model = this.models[Number(q.get(name) ?? k)];
      if (!model || !this.sides[k]) return;
      this.sides[k].model = model;
      this.sides[k].control?.set(String(this.models.indexOf(model)));
    });
  }

  /** Know the top half of an image whose other half is open. */
  #startHalfDrawn(seed = 3) {
    this.known.fill(-1);
    const rows = this.everything(this.sides[0].model);
    const half = Math.ceil(this.shape[0] / 2) * this.shape[1] - this.shape[1];
    const groups = new Map();
    for (const { levels } of rows) {
      const top = key(levels.subarray(0, half));
      groups.set(top, [...(groups.get(top) ?? []), levels]);
    }
    const open = [...groups.values()].filter((group) => group.length > 2);
    const chosen = open.length ? open : [...groups.values()];
    const [first] = chosen[Math.floor(new Random(seed).uniform() * chosen.length)];
    for (let i = 0; i < half; i++) this.known[i] = first[i];
  }

  /** The rows of a model with nothing known, as far as half a second of search finds them. */
  everything(model) {
    this.whole ??= new Map();
    if (!this.whole.has(model)) {
      const search = new Completions(model, new Int8Array(this.m).fill(-1), { tolerance: 1e-2, most: 4000 });
      search.run(500);
      this.whole.set(model, search.rows.slice(0, 2000));
    }
    return this.whole.get(model);
  }

  // ---- searching ---------------------------------------------------------------------------------

  /** Ask both models anew; what was asked before is dropped. */
  search() {
    const turn = (this.turn = {});
    for (const side of this.sides) {
      if (!side.model) continue;
      side.search = new Completions(side.model, this.known);
      side.search.run(FIRST_SLICE);
    }
    this.draw();
    const on = () => {
      const open = this.sides.filter((side) => side.search && !side.search.isDone);
      if (turn !== this.turn || !open.length) return;
      for (const side of open) side.search.run(SLICE);
      this.draw();
      requestAnimationFrame(on);
    };
    requestAnimationFrame(on);
  }

  // ---- showing -------------------------------------------------------------------------------------

  draw() {
    for (const side of this.sides) this.#drawSide(side);
    this.list.draw();
    this.sampling.draw();
  }

  #drawSide(side) {
    const { model, search } = side;
    side.cells.node.hidden = !model;
    side.title.textContent = model?.name ?? "LSTM";
    side.facts.replaceChildren();
    if (!model) {
      side.note.textContent = side.problem ?? "An LSTM is being trained on these images: a few seconds …";
      return;
    }
    const marginals = search.isImpossible ? null : search.marginals();
    side.cells.show((i) => ({
      known: this.known[i],
      drawn: side.drawn && i < this.sampling.length ? side.drawn[i].level : null,
      bounds: marginals?.[i] ?? null,
    }));
    side.note.textContent = this.#noteOf(side);
    showFacts(side.facts, this.#factsOf(side));
  }

  #noteOf({ model, search }) {
    if (search.isImpossible)
      return "No image of this model has these pixels: their probability is 0. Make one unknown again.";
    const rest = search.rest;
    if (rest === 0) return "Exact: every image that is possible is listed.";
    return search.isDone && rest <= search.tolerance
      ? "Certified: what is not listed changes no percentage by more than 0.1."
      : `Searching: at most ${percent(rest)} of the posterior is still missing (${search.steps} steps).`;
  }

  #factsOf({ model, search }) {
    const { low, high } = search.logEvidence;
    const facts = {};
    const spread = fixed(high, 3) !== fixed(low, 3) ? ` to ${fixed(high, 3)}` : "";
    facts["log p(set pixels)"] = search.isImpossible ? "−∞" : `${fixed(low, 3)}${spread} nats`;
    if (model.entropy) facts.Entropy = `${fixed(model.entropy, 4)} nats`;
    if (model.loss) facts["Loss − floor"] = `${fixed(model.loss - model.floor, 4)} nats`;
    facts.Parameters = model.parameters.toLocaleString("en");
    return facts;
  }

  // ---- acting, the address, files --------------------------------------------------------------------

  act(change) {
    change();
    this.sampling.forget();
    this.search();
    this.page.done();
  }

  state() {
    const q = new URLSearchParams({ set: key(this.known) });
    if (this.models.length > 2)
      this.sides.forEach((side, k) => side.model && q.set(SIDES[k], this.models.indexOf(side.model)));
    if (this.sampling.isWhole) q.set("seed", this.sampling.seed);
    return q.toString();
  }

  restore(q) {
    const set = q.get("set") ?? "";
    if (set.length === this.m && /^[01-]*$/.test(set))
      this.known = Int8Array.from(set, (c) => (c === "-" ? -1 : Number(c)));
    this.pendingRight = q;
    this.#chooseModels(q);
    this.sampling.forget();
    this.search();
    if (q.has("seed")) this.sampling.show(Number(q.get("seed")) || 1);
  }

  pictures() {
    const grids = () =>
      this.sides
        .filter((s) => s.model)
        .map((side) => ({ canvas: this.#gridPicture(side), caption: side.model.name }));
    return [
      { name: "Posterior", svg: () => picturesAsSvg(grids()) },
      { name: "Prefix tree", svg: () => standalone(this.sampling.tree.svg) },
      { name: "Draw", svg: () => standalone(this.sampling.steps.svg) },
    ];
  }

  #gridPicture(side) {
    const picture = new Picture(this.shape, "");
    const marginals = side.search.marginals();
    picture.paint(marginals, ({ low, high }) => mixed([255, 255, 255], [31, 35, 40], (low + high) / 2));
    return picture.canvas;
  }

  tables() {
    const live = () => this.sides.filter((s) => s.model);
    const pixels = () =>
      csv(
        [
          "row",
          "column",
          "set",
          ...live().flatMap(({ model }) => [`${model.name} low`, `${model.name} high`]),
        ],
        Array.from(this.known, (v, i) => [
          Math.floor(i / this.shape[1]),
          i % this.shape[1],
          v < 0 ? "" : v,
          ...live().flatMap((s) => {
            const { low, high } = s.search.marginals()[i];
            return [low, high];
          }),
        ]),
      );
    const images = () =>
      csv(
        ["model", "image", "log_p", "posterior"],
        live().flatMap(({ model, search }) =>
          search.rows.map(({ levels, logP, p }) => [model.name, key(levels), logP, p]),
        ),
      );
    return [
      { name: "Pixels", csv: pixels },
      { name: "Completions", csv: images },
    ];
  }
}
