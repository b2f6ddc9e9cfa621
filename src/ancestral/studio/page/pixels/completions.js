// The list of what the image can be: its likeliest completions, and how much is not listed.

import { Picture, colour, el, panel } from "../kit.js";
import { logDensity } from "./sequence.js";
import { key, percent } from "./tree.js";

const N_SHOWN = 12; // completions listed,
const LEAST = 0.001; // of a posterior: what no model finds as probable is counted, not listed

export class CompletionList {
  /** @param take what to do with the image that is pressed. */
  constructor({ data, sides, take }) {
    Object.assign(this, { data, sides, take });
    this.list = el("div", { class: "completions" });
    this.certificate = el("p", { class: "hint" });
    this.node = panel(
      "What it can be",
      {
        hint: "The most probable images with these pixels, and their probability under each model. Press one to take it.",
      },
      this.list,
      this.certificate,
    );
  }

  draw(set) {
    const live = this.sides.filter((side) => side.model);
    const merged = new Map();
    for (const { search } of live)
      for (const { levels } of search.rows.slice(0, N_SHOWN)) merged.set(key(levels), levels);
    const all = [...merged.values()]
      .map((levels) => ({ levels, p: this.sides.map((side) => posterior(side, levels)) }))
      .map((entry) => ({ ...entry, most: Math.max(...entry.p) }))
      .sort((a, b) => b.most - a.most);
    const entries = all.filter(({ most }) => most >= LEAST || all[0].most < LEAST).slice(0, N_SHOWN);
    // reuse what is there: replacing nodes under the pointer would lose presses
    while (this.list.children.length > entries.length) this.list.lastChild.remove();
    while (this.list.children.length < entries.length) this.list.append(this.#completion());
    entries.forEach((entry, i) => this.#fill(this.list.children[i], entry, set));
    this.certificate.textContent = live
      .filter(({ search }) => !search.isImpossible)
      .map((side) => {
        const { model, search } = side;
        const listed = entries.map(({ p }) => p[this.sides.indexOf(side)]).filter((p) => p > 0);
        const rest = Math.max(0, 1 - listed.reduce((sum, p) => sum + p, 0));
        if (search.rest === 0 && rest < 1e-9) return `${model.name}: no other image is possible.`;
        const n = Math.max(0, search.rows.length - listed.length);
        const found = n ? ` (${n.toLocaleString("en")} found)` : "";
        return `${model.name}: all other images together have at most ${percent(rest)}${found}.`;
      })
      .join(" ");
  }

  #completion() {
    const picture = new Picture(this.data.shape, "", { role: "presentation", "aria-label": null });
    const bars = this.sides.map(({ name }) => el("span", { class: `bar ${name}` }, el("i"), el("b")));
    const node = el(
      "button",
      { type: "button", class: "completion" },
      picture.canvas,
      el("span", { class: "bars" }, bars),
    );
    node.addEventListener("click", () => this.take(node.levels));
    return Object.assign(node, { picture, bars });
  }

  #fill(node, { levels, p }, set) {
    const [paper, ink, quiet] = ["paper", "ink", "line"].map(colour);
    node.levels = levels;
    node.disabled = set.every((level, i) => level === levels[i]);
    node.picture.paint(levels, (v) => (v < 0 ? quiet : v ? ink : paper));
    const words = [];
    node.bars.forEach((bar, k) => {
      const { model } = this.sides[k];
      bar.hidden = !model;
      bar.firstChild.style.setProperty("--share", p[k]);
      bar.lastChild.textContent = percent(p[k]);
      if (model) words.push(`${model.name} ${percent(p[k])}`);
    });
    const name = this.data.names[key(levels)] ?? "image";
    node.title = name;
    node.setAttribute("aria-label", `${name}: ${words.join(", ")}`);
  }
}

/** The posterior probability of an image, at the least.
 *
 * Where pixels of it are open, whatever they are, the image stands for many: then it is known only
 * of the model that listed it so.
 */
function posterior({ model, search }, levels) {
  if (!model || search.isImpossible) return 0;
  if (levels.includes(-1)) return search.rows.find((row) => row.levels === levels)?.p ?? 0;
  return Math.exp(logDensity(model, levels) - search.logEvidence.high);
}
