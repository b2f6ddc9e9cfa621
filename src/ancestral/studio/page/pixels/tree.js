// The prefix tree of a model's likeliest rows, and the path of a draw through it.
//
// Depth runs to the right, one column per variable; each row of the model ends in a leaf. A leaf
// that agrees with what is known is dark, with its posterior probability.

import { el, fixed, svg } from "../kit.js";

const ROOM = { left: 12, right: 92, top: 8, bottom: 34 };

export class PrefixTree {
  /** @param rows arrays of levels; they are sorted as words are. */
  constructor(m, width) {
    Object.assign(this, { m, columns: width, rows: [] });
    this.svg = svg("svg", { class: "plot tree", role: "img", "aria-label": "Prefix tree" });
    this.node = el("div", { class: "plot-frame" }, this.svg);
    this.size = 0;
    new ResizeObserver(() => this.#fit()).observe(this.node);
  }

  setRows(rows) {
    this.rows = [...rows].sort(compareRows);
    this.#build();
  }

  #fit() {
    const width = this.node.clientWidth;
    if (!width || width === this.size) return;
    this.size = width;
    this.#build();
  }

  #build() {
    if (!this.size || !this.rows.length) return;
    this.unit = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
    const { unit } = this;
    const gap = Math.max(9, Math.min(20, 520 / this.rows.length)) * unit;
    this.height = (ROOM.top + ROOM.bottom) * unit + gap * this.rows.length;
    this.gap = gap;
    this.svg.setAttribute("width", this.size);
    this.svg.setAttribute("height", this.height);
    this.edges = [];
    this.#grow(0, this.rows.length, 0);
    this.shown?.();
  }

  px(depth) {
    return ROOM.left * this.unit + (depth / this.m) * (this.size - (ROOM.left + ROOM.right) * this.unit);
  }

  py(place) {
    return ROOM.top * this.unit + this.gap * (place + 0.5);
  }

  /** Gather edges under the rows [from, to), which agree before `depth`; return their height. */
  #grow(from, to, depth) {
    let end = depth;
    while (end < this.m && this.rows[from][end] === this.rows[to - 1][end]) end++;
    let height = from;
    if (end < this.m) {
      let middle = from;
      while (this.rows[middle][end] === this.rows[from][end]) middle++;
      const parts = [
        [from, middle],
        [middle, to],
      ].map(([a, b]) => ({ a, b, at: this.#grow(a, b, end + 1) }));
      height = (parts[0].at + parts[1].at) / 2;
      for (const { a, b, at } of parts)
        this.edges.push({ from: a, to: b, depth: end, end: end + 1, y0: height, y1: at });
    }
    if (end > depth || depth === 0) this.edges.push({ from, to, depth, end, y0: height, y1: height });
    return height;
  }

  /** @param weights each row's posterior probability, null where it disagrees with what is known.
   *  @param path { levels, length } of a draw under way, or null. */
  show({ weights, path, level }) {
    this.shown = () => this.show({ weights, path, level });
    if (!this.size || !this.rows.length) return;
    const { unit } = this;
    const parts = [];
    for (let i = this.columns; i < this.m; i += this.columns)
      parts.push(
        svg("line", {
          class: "grid",
          x1: this.px(i),
          x2: this.px(i),
          y1: ROOM.top * unit,
          y2: this.height - ROOM.bottom * unit,
        }),
      );
    for (const edge of this.edges) {
      let weight = 0;
      for (let r = edge.from; r < edge.to; r++) weight += weights.get(key(this.rows[r])) ?? 0;
      parts.push(
        this.#edge(
          edge,
          weight > 0
            ? { class: "branch possible", "stroke-width": unit * (1.2 + 3.5 * Math.sqrt(weight)) }
            : { class: "branch", "stroke-width": unit },
        ),
      );
    }
    if (path) parts.push(...this.#path(path));
    this.rows.forEach((row, place) => parts.push(...this.#leaf(row, place, weights.get(key(row)))));
    for (let i = 0; i <= this.m; i += this.columns)
      parts.push(
        svg("text", { x: this.px(i), y: this.height - 16 * unit, "text-anchor": "middle" }, String(i)),
      );
    parts.push(
      svg(
        "text",
        {
          class: "name",
          x: (this.px(0) + this.px(this.m)) / 2,
          y: this.height - 2 * unit,
          "text-anchor": "middle",
        },
        "Pixels drawn",
      ),
    );
    this.svg.replaceChildren(...parts);
    const n = [...weights.values()].filter((w) => w > 0).length;
    this.svg.setAttribute(
      "aria-label",
      `Prefix tree of ${this.rows.length} images; ${n} agree with what is known. ${level ?? ""}`,
    );
  }

  #edge({ depth, end, y0, y1 }, attributes) {
    const d = `M${this.px(depth)} ${this.py(y0)}L${this.px(end)} ${this.py(y1)}`;
    return svg("path", { d, fill: "none", "stroke-linecap": "round", ...attributes });
  }

  /** Follow a draw as far as it has come; where it leaves the tree, it ends in a ring. */
  #path({ levels, length }) {
    let [from, to] = [0, this.rows.length];
    let depth = 0;
    while (depth < length && to > from) {
      const inside = (r) => this.rows[r][depth] === levels[depth];
      let [a, b] = [from, to];
      while (a < b && !inside(a)) a++;
      while (b > a && !inside(b - 1)) b--;
      if (a === b) break;
      [from, to] = [a, b];
      depth++;
    }
    const parts = this.edges
      .filter((e) => e.from <= from && e.to >= to && e.depth < depth)
      .map((e) =>
        this.#edge(
          {
            ...e,
            end: Math.min(e.end, depth),
            y1: e.end > depth ? e.y0 + ((e.y1 - e.y0) * (depth - e.depth)) / (e.end - e.depth) : e.y1,
          },
          { class: "branch drawn", "stroke-width": 3 * this.unit },
        ),
      );
    const last = this.edges.find(
      (e) =>
        e.from <= from &&
        e.to >= to &&
        e.depth <= depth &&
        e.end >= depth &&
        (e.depth < depth || depth === 0),
    );
    const at = last
      ? depth === last.depth
        ? last.y0
        : last.y0 + ((last.y1 - last.y0) * (depth - last.depth)) / (last.end - last.depth)
      : 0;
    const isOff = depth < length;
    parts.push(
      svg("circle", { class: isOff ? "off" : "at", cx: this.px(depth), cy: this.py(at), r: 5.5 * this.unit }),
    );
    return parts;
  }

  #leaf(row, place, weight) {
    const { unit } = this;
    const side = Math.min(0.86 * this.gap, 17 * unit);
    const [x, y] = [this.px(this.m) + 7 * unit, this.py(place) - side / 2];
    const columns = this.columns;
    const cell = side / Math.max(columns, this.m / columns);
    let d = "";
    row.forEach((on, i) => {
      if (on === 1)
        d += `M${x + (i % columns) * cell} ${y + Math.floor(i / columns) * cell}h${cell}v${cell}h${-cell}z`;
    });
    const image = svg("path", { class: weight > 0 ? "leaf possible" : "leaf", d });
    if (!(weight > 0)) return [image];
    return [
      image,
      svg("text", { class: "name", x: x + side + 7 * unit, y: this.py(place) + 4 * unit }, percent(weight)),
    ];
  }
}

export const key = (row) => Array.from(row, (v) => (v < 0 ? "-" : v)).join("");

export function percent(p) {
  if (p > 0.9995) return "100 %";
  if (p >= 0.0995) return `${fixed(100 * p, 0)} %`;
  if (p >= 0.001) return `${fixed(100 * p, 1)} %`;
  return p > 0 ? "< 0.1 %" : "0 %";
}

function compareRows(a, b) {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}
