// The parts in numbers: a table, and the sum that they make.

import { el, fixed, significant } from "../kit.js";
import { direction, eigenvalues } from "./em.js";

export class Numbers {
  constructor() {
    this.table = el("table", { class: "mixture-table" });
    this.equation = el("div", { class: "mixture-sum" });
  }

  draw(parts, scale, { x, y, scaled }) {
    const unit = scaled ? ", in SD" : "";
    const head = ["", "weight", x, y, `σ${unit}`, `|W|${unit}`].map((text) =>
      el("th", { scope: "col", title: text }, text),
    );
    const rows = parts.map((part, c) => [
      badge(c),
      fixed(part[0], 3),
      significant(part[1] * scale[0], 4),
      significant(part[2] * scale[1], 4),
      significant(Math.sqrt(eigenvalues(...part.slice(3))[1]), 3),
      significant(Math.hypot(...direction(part)), 3),
    ]);
    const line = (cells) =>
      el(
        "tr",
        {},
        cells.map((cell) => el("td", {}, cell)),
      );
    this.table.replaceChildren(el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows.map(line)));
    const terms = parts.flatMap((part, c) => [
      `${c ? " + " : "p(x) = "}${fixed(part[0], 2)} N(x; `,
      badge(c),
      ")",
    ]);
    this.equation.replaceChildren(...terms);
  }
}

const badge = (c) => el("b", { class: `part-badge part-${c + 1}` }, String(c + 1));
