// The list of what the image can be: its likeliest completions, and how much is not listed.

import { Picture, colour, el, panel } from "../kit.js";
import { logDensity } from "./sequence.js";
import { key, percent } from "./tree.js";

const N_SHOWN = 18; // completions listed

export class CompletionList {
  /** @param names what the sides are called: each image has a bar for each. */
  constructor(room, names) {
    Object.assign(this, { room, names });
    this.node = this.#build();
  }

  #build() {
    this.list = el("div", { class: "completions" });
    this.certificate = el("p", { class: "hint" });
    return panel(
      "What it can be",
      {
        hint: "The likeliest images with these pixels, and each model's posterior probability. Click one to take it.",
      },
      this.list,
      this.certificate,
    );
  }

  draw() {
    const merged = new Map();
    this.room.sides.forEach((side, k) => {
      for (const { levels, p } of (side.model && side.search.rows.slice(0, N_SHOWN)) || []) {
        const id = key(levels);
        if (!merged.has(id)) merged.set(id, { levels, p: [0, 0], isListed: [false, false] });
        const entry = merged.get(id);
        entry.p[k] = p;
        entry.isListed[k] = true;
      }
    });
    const entries = [...merged.values()]
      .sort((a, b) => Math.max(...b.p) - Math.max(...a.p))
      .slice(0, N_SHOWN);
    for (const entry of entries)
      this.room.sides.forEach((side, k) => {
        if (!entry.isListed[k]) entry.p[k] = posterior(side, entry.levels);
      });
    // reuse what is there: replacing nodes under the pointer would lose clicks
    while (this.list.children.length > entries.length) this.list.lastChild.remove();
    while (this.list.children.length < entries.length) this.list.append(this.#completion());
    entries.forEach((entry, i) => this.#fillCompletion(this.list.children[i], entry));
    this.certificate.textContent = this.#certificateText(entries);
  }

  #completion() {
    const picture = new Picture(this.room.shape, "", { role: "presentation", "aria-label": null });
    const bars = this.names.map((name) => el("span", { class: `bar ${name}` }, el("i"), el("b")));
    const node = el(
      "button",
      { type: "button", class: "completion" },
      picture.canvas,
      el("span", { class: "bars" }, bars),
    );
    node.addEventListener("click", () =>
      this.room.act(() => (this.room.known = Int8Array.from(node.levels))),
    );
    return Object.assign(node, { picture, bars });
  }

  #fillCompletion(node, { levels, p }) {
    const [paper, ink, quiet] = [colour("paper"), colour("ink"), colour("line")];
    node.levels = levels;
    node.picture.paint(levels, (v) => (v < 0 ? quiet : v ? ink : paper));
    node.bars.forEach((bar, k) => {
      bar.hidden = !this.room.sides[k]?.model;
      bar.firstChild.style.setProperty("--share", p[k]);
      bar.lastChild.textContent = percent(p[k]);
    });
    const name = this.room.data.names[key(levels)] ?? "image";
    node.title = name;
    const words = this.room.sides.filter((s) => s.model).map((s, k) => `${s.model.name} ${percent(p[k])}`);
    node.setAttribute("aria-label", `${name}: ${words.join(", ")}`);
  }

  /** Say how much is not on the list. */
  #certificateText(entries) {
    const parts = this.room.sides.flatMap((side, k) => {
      if (!side.model || side.search.isImpossible) return [];
      const listed = entries.reduce((sum, { p }) => sum + p[k], 0);
      const unlisted = Math.max(0, 1 - listed);
      if (side.search.rest === 0 && unlisted < 1e-9) return [`${side.model.name}: nothing else is possible.`];
      return [`${side.model.name}: everything else together has at most ${percent(unlisted)}.`];
    });
    return parts.join(" ");
  }
}

/** The posterior probability, at the least, of an image that stands on the other model's list.
 *
 * Where pixels of it are open, whatever they are, the image stands for many: then 0 is the least.
 */
function posterior({ model, search }, levels) {
  if (!model || search.isImpossible || levels.includes(-1)) return 0;
  return Math.exp(logDensity(model, levels) - search.logEvidence.high);
}
