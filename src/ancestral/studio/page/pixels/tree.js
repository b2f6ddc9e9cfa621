// The prefix tree of a model's likeliest rows, and the path of a draw through it.
//
// Depth runs to the right, one column per variable; each row of the model ends in a leaf. A leaf
// that agrees with what is known is dark, with its posterior probability.

import { el, fixed, svg } from "../kit.js";

const ROOM = { left: 12, right: 92, top: 8, bottom: 34 };
const TICKS = 60; // px from one to the next, at least

export class PrefixTree {
  constructor({ m, shape }) {
    Object.assign(this, { m, columns: shape[1], rows: [] });
    this.svg = svg("svg", { class: "plot tree", role: "img" });
    this.node = el("div", { class: "plot-frame" }, this.svg);
    new ResizeObserver(() => this.draw()).observe(this.node);
  }

  setRows(rows) {
    this.rows = [...rows].sort((a, b) => (key(a) < key(b) ? -1 : 1)); // off, on, open: as words are
    this.edges = [];
    if (rows.length) this.#grow(0, rows.length, 0);
  }

  /** Gather edges under the rows [from, to), which agree before `depth`; return their height. */
  #grow(from, to, depth) {
    const { rows, edges } = this;
    let end = depth;
    while (end < this.m && rows[from][end] === rows[to - 1][end]) end++;
    let height = from;
    if (end < this.m) {
      let middle = from;
      while (rows[middle][end] === rows[from][end]) middle++;
      const parts = [
        [from, middle],
        [middle, to],
      ].map(([a, b]) => ({ from: a, to: b, depth: end, end: end + 1, y1: this.#grow(a, b, end + 1) }));
      height = (parts[0].y1 + parts[1].y1) / 2;
      edges.push(...parts.map((part) => ({ ...part, y0: height })));
    }
    if (end > depth || depth === 0) edges.push({ from, to, depth, end, y0: height, y1: height });
    return height;
  }

  /** @param weights each row's posterior probability, by its key; none where it disagrees with what is known.
   *  @param path the levels drawn so far, or null. */
  show({ weights, path }) {
    Object.assign(this, { weights, path });
    this.draw();
  }

  draw() {
    const width = this.node.clientWidth;
    if (!width || !this.rows.length || !this.weights) return;
    const unit = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
    const gap = Math.max(9, Math.min(20, 520 / this.rows.length)) * unit;
    const height = (ROOM.top + ROOM.bottom) * unit + gap * this.rows.length;
    const px = (depth) => unit * ROOM.left + (depth / this.m) * (width - (ROOM.left + ROOM.right) * unit);
    const py = (place) => ROOM.top * unit + gap * (place + 0.5);
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    const weightOf = this.rows.map((row) => this.weights.get(key(row)) ?? 0);
    const line = ({ depth, end, y0, y1 }, kind, thick) =>
      svg("path", {
        d: `M${px(depth)} ${py(y0)}L${px(end)} ${py(y1)}`,
        class: `branch ${kind}`,
        "stroke-width": unit * thick,
        "stroke-linecap": "round",
      });
    const parts = this.edges.map((edge) => {
      const weight = weightOf.slice(edge.from, edge.to).reduce((sum, w) => sum + w, 0);
      return weight > 0 ? line(edge, "possible", 1.2 + 3.5 * Math.sqrt(weight)) : line(edge, "", 1);
    });
    let tip = { depth: 0, y: this.edges.at(-1)?.y0 ?? 0 };
    for (const edge of this.path ? this.edges : []) {
      const row = this.rows[edge.from];
      let end = 0;
      while (end < Math.min(edge.end, this.path.length) && row[end] === this.path[end]) end++;
      if (end <= edge.depth) continue;
      const y1 = edge.y0 + ((edge.y1 - edge.y0) * (end - edge.depth)) / (edge.end - edge.depth);
      parts.push(line({ ...edge, end, y1 }, "drawn", 3));
      if (end > tip.depth) tip = { depth: end, y: y1 };
    }
    if (this.path?.length) {
      const kind = tip.depth < this.path.length ? "tip off" : "tip"; // a ring where it left the tree
      parts.push(svg("circle", { class: kind, cx: px(tip.depth), cy: py(tip.y), r: 5.5 * unit }));
    }
    const text = (x, y, words, more) => svg("text", { x, y, ...more }, words);
    const middle = { "text-anchor": "middle" };
    this.rows.forEach((row, place) => {
      const side = Math.min(0.86 * gap, 17 * unit);
      const x = px(this.m) + 7 * unit;
      parts.push(this.#leaf(row, x, py(place) - side / 2, side, weightOf[place] > 0));
      if (weightOf[place] > 0)
        parts.push(
          text(x + side + 7 * unit, py(place) + 4 * unit, percent(weightOf[place]), { class: "name" }),
        );
    });
    const step = this.columns * Math.ceil(TICKS / ((px(this.m) - px(0)) * (this.columns / this.m)));
    for (let i = 0; i <= this.m; i += step) parts.push(text(px(i), height - 16 * unit, String(i), middle));
    parts.push(
      text((px(0) + px(this.m)) / 2, height - 2 * unit, "pixels drawn", { class: "name", ...middle }),
    );
    this.svg.replaceChildren(...parts);
    const n = weightOf.filter((w) => w > 0).length;
    const said = `Prefix tree of ${this.rows.length} images; ${n} agree with what is set.`;
    this.svg.setAttribute("aria-label", said);
  }

  #leaf(row, x, y, side, isPossible) {
    const cell = side / Math.max(this.columns, this.m / this.columns);
    const square = (on, i) =>
      on === 1
        ? `M${x + (i % this.columns) * cell} ${y + Math.floor(i / this.columns) * cell}h${cell}v${cell}h${-cell}z`
        : "";
    return svg("path", { class: isPossible ? "leaf possible" : "leaf", d: Array.from(row, square).join("") });
  }
}

export const key = (row) => Array.from(row, (v) => (v < 0 ? "-" : v)).join("");

export function percent(p) {
  if (p > 0.9995) return "100 %";
  if (p >= 0.0995) return `${fixed(100 * p, 0)} %`;
  if (p >= 0.001) return `${fixed(100 * p, 1)} %`;
  return p > 0 ? "< 0.1 %" : "0 %";
}
