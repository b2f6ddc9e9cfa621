// Where the cards of columns lie: a grid in which those that hang together lie next to each other.

import { Random } from "../arrays.js";

const MOST = 12; // cards, beyond which none is found at a glance
const LEAST = [128, 60]; // px of a card that is read, and what is pleasant
const USUAL = [170, 105];
export const BESIDE = 12; // px between cards
const ABOVE = [14, 22]; // above each, where its hidden state lies, on a low stage and a tall one
const LOW = 420;

/** Return how many of n cards fit into a stage, and their grid. */
export function gridFor(n, width, height, unit) {
  const gap = [BESIDE * unit, ABOVE[Number(height > LOW * unit)] * unit];
  for (let shown = Math.min(n, MOST); ; shown--) {
    let best = null;
    for (let cols = 1; cols <= shown; cols++) {
      const rows = Math.ceil(shown / cols);
      const w = (width - (cols - 1) * gap[0]) / cols;
      const h = height / rows - gap[1];
      const isRead = w >= LEAST[0] * unit && h >= LEAST[1] * unit;
      const size = Math.min(w / USUAL[0], h / USUAL[1]);
      if ((isRead || shown === 1) && size > (best?.size ?? 0)) best = { shown, cols, rows, w, h, gap, size };
    }
    if (best || shown === 1) return best ?? { shown, cols: 1, rows: 1, w: width, h: height - gap[1], gap };
  }
}

/** Return the links between some columns of a tree: [child, parent, whether others lie between]. */
export function linksOf(parent, shown) {
  const links = [];
  let top = null;
  for (const i of shown) {
    let at = parent[i];
    while (at >= 0 && !shown.includes(at)) at = parent[at];
    if (at >= 0) links.push([i, at, at !== parent[i]]);
    else if (top === null) top = i;
    else links.push([i, top, true]);
  }
  return links;
}

/** Return the cell of each node: links are as short as swaps of two cells make them. */
export function cellsOf(nodes, links, cols, rows) {
  const random = new Random(1);
  const pairs = links.map(([i, j]) => [nodes.indexOf(i), nodes.indexOf(j)]);
  const cost = (cells) =>
    pairs.reduce((sum, [a, b]) => {
      const [p, q] = [cells[a], cells[b]];
      return sum + ((p % cols) - (q % cols)) ** 2 + (Math.floor(p / cols) - Math.floor(q / cols)) ** 2;
    }, 0);
  let best = null;
  for (let start = 0; start < 30; start++) {
    const cells = Array.from({ length: cols * rows }, (_, k) => k); // beyond the nodes: empty ones
    if (start)
      for (let k = cells.length - 1; k > 0; k--) swap(cells, k, Math.floor(random.uniform() * (k + 1)));
    let now = cost(cells);
    for (let before = Infinity; now < before;) {
      before = now;
      for (let a = 0; a < nodes.length; a++)
        for (let b = a + 1; b < cells.length; b++) {
          swap(cells, a, b);
          const next = cost(cells);
          if (next < now) now = next;
          else swap(cells, a, b);
        }
    }
    if (!best || now < best.cost) best = { cost: now, cells };
  }
  return best.cells.slice(0, nodes.length);
}

function swap(list, a, b) {
  [list[a], list[b]] = [list[b], list[a]];
}
