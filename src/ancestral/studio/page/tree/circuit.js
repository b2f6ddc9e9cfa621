// A hidden tree of states over the columns of a table, as Python fitted it: exact answers.
//
//   up:    b_i(z) = p(x_i | z) prod over children c of m_c(z),   m_i(z') = sum_z T_i[z', z] b_i(z)
//   down:  o_i(z) = sum_z' a_i(z') T_i[z', z],   p(z_i | what is known) ~ o_i(z) b_i(z)
//
// A row has one number a column, NaN where nothing is known: the code of a level, a count, or a
// number in the column's own unit. What is unknown drops out. Several trees are mixed by what each
// says of what is known. Values of a continuous column count with a density, those that are atoms
// with a probability.

import { logAdd, logSumExp, unpack } from "../arrays.js";

const HALF_LOG_2PI = 0.5 * Math.log(2 * Math.PI);
const POINTS = 121; // of a curve

/** The mixture of trees. */
export class Trees {
  constructor({ columns, weights, members, tail }) {
    this.columns = columns;
    this.logWeights = weights.map(Math.log);
    this.members = members.map((member) => new Tree(member, columns, tail));
    this.grids = columns.map(gridOf);
  }

  /** Return what is so given a row: log p of it, weights of the trees, p(z_i | it) by tree and column. */
  given(row) {
    const sweeps = this.members.map((tree) => tree.sweep(row));
    const logs = sweeps.map(({ logP }, m) => this.logWeights[m] + logP);
    const logP = logSumExp(logs);
    const weights = logs.map((v) => (logP === -Infinity ? 0 : Math.exp(v - logP)));
    return { row, logP, weights, sweeps, curves: [] };
  }

  /** Return log p of what is known of a row, in nats. */
  logDensity(row) {
    return logSumExp(this.members.map((tree, m) => this.logWeights[m] + tree.up(row).logP));
  }

  /** Sum over trees and states: of each tree, weight times p(z_i | known) times what `of` gives by state. */
  #mixed(i, { weights, sweeps }, size, of) {
    const found = new Float64Array(size);
    this.members.forEach((tree, m) => {
      if (!weights[m]) return;
      const states = sweeps[m].states[i];
      const values = of(tree);
      for (let z = 0; z < tree.k; z++)
        for (let j = 0, share = weights[m] * states[z]; j < size; j++)
          found[j] += share * values[z * size + j];
    });
    return found;
  }

  /** Return the probabilities of a column's levels, or of its atoms and of all other numbers. */
  masses(i, answer) {
    const size = this.members[0].choices[i].length / this.members[0].k;
    return this.#mixed(i, answer, size, (tree) => tree.choices[i]);
  }

  /** Return mean and standard deviation of a column of numbers. */
  moments(i, answer) {
    const parts = this.members.map((tree, m) => [
      tree.moments[i],
      answer.sweeps[m].states[i],
      answer.weights[m],
    ]);
    let mean = 0;
    for (const [{ mean: by }, states, weight] of parts)
      for (let z = 0; z < by.length; z++) mean += weight && weight * states[z] * by[z];
    let variance = 0;
    for (const [{ mean: by, sd }, states, weight] of parts)
      for (let z = 0; z < by.length; z++)
        variance += weight && weight * states[z] * (sd[z] ** 2 + (by[z] - mean) ** 2);
    return { mean, sd: Math.sqrt(variance) };
  }

  /** Return the density over a column's grid: per unit of its scale, or p of each count. */
  curve(i, answer) {
    const size = this.grids[i].x.length;
    return (answer.curves[i] ??= this.#mixed(i, answer, size, (tree) => tree.curves(i, this.grids[i])));
  }

  /** Return how far a column's distribution moved, in nats: the sum of p log(p / before). */
  change(i, now, before) {
    const { grids, columns } = this;
    let total = 0;
    const add = (p, q, n, step) => {
      for (let j = 0; j < n; j++) if (p[j] > 0) total += step * p[j] * Math.log(p[j] / q[j]);
    };
    const n = hasLevels(columns[i]) ? columns[i].levels.length : columns[i].atoms.length;
    if (n) add(this.masses(i, now), this.masses(i, before), n, 1);
    if (grids[i]) add(this.curve(i, now), this.curve(i, before), grids[i].x.length, grids[i].step);
    return Math.max(0, total);
  }

  /** Draw a row given what is known: a tree, its states from the root down, then what hangs on them. */
  draw({ row, weights, sweeps }, random) {
    const m = chosen(weights, random.uniform());
    return this.members[m].draw(row, sweeps[m], random);
  }
}

class Tree {
  constructor(member, columns, tail) {
    const held = Object.fromEntries(Object.entries(member).map(([name, part]) => [name, unpack(part).data]));
    Object.assign(this, {
      columns,
      tail,
      root: held.root,
      parent: held.parent,
      transitions: held.transitions,
    });
    const k = (this.k = held.root.length);
    this.children = columns.map(() => []);
    held.parent.forEach((j, i) => j >= 0 && this.children[j].push(i));
    this.order = [held.parent.indexOf(-1)];
    for (const i of this.order) this.order.push(...this.children[i]);
    const places = { continuous: 0, count: 0 };
    let at = 0;
    this.choices = columns.map((column) => {
      const size = sizeOf(column);
      const table = held.tables.subarray(at * k, (at += size) * k); // (size, k)
      return Float64Array.from({ length: k * size }, (_, c) => table[(c % size) * k + Math.floor(c / size)]);
    });
    this.normals = columns.map(({ kind }) => {
      if (kind !== "continuous") return null;
      const from = k * places.continuous++;
      return { mean: held.means.subarray(from, from + k), sd: held.spreads.subarray(from, from + k) };
    });
    this.counts = columns.map(({ kind }) => {
      if (kind !== "count") return null;
      const from = 2 * k * places.count++;
      return {
        mean: held.counts.subarray(from, from + k),
        size: held.counts.subarray(from + k, from + 2 * k),
      };
    });
    let number = 0;
    this.moments = columns.map((column) => {
      if (hasLevels(column)) return null;
      const from = 2 * k * number++;
      return {
        mean: held.moments.subarray(from, from + k),
        sd: held.moments.subarray(from + k, from + 2 * k),
      };
    });
    this.held = [];
  }

  /** Return log p(value | z) of each state. */
  logLeaf(i, value) {
    const { k } = this;
    const column = this.columns[i];
    const choice = this.choices[i];
    if (column.kind === "count") return this.#logCount(i, value);
    const size = choice.length / k;
    const at = hasLevels(column) ? value : column.atoms.indexOf(value);
    if (at >= 0) return Float64Array.from({ length: k }, (_, z) => Math.log(choice[z * size + at]));
    const y = forward(column.scale, value);
    if (!Number.isFinite(y)) return new Float64Array(k).fill(-Infinity);
    const slope = logSlope(column.scale, value);
    return this.#logNormals(i, y).map((v, z) => v + Math.log(choice[z * size + size - 1]) + slope);
  }

  /** Return log p(y | z, no atom) on the column's scale: a normal of each state, and a wide one of all. */
  #logNormals(i, y) {
    const { mean, sd } = this.normals[i];
    const wide = this.columns[i].scale.tail;
    const common = Math.log(this.tail / wide) - 0.5 * (y / wide) ** 2;
    const found = new Float64Array(this.k);
    for (let z = 0; z < this.k; z++) {
      const own = Math.log((1 - this.tail) / sd[z]) - 0.5 * ((y - mean[z]) / sd[z]) ** 2;
      found[z] = logAdd(own, common) - HALF_LOG_2PI;
    }
    return found;
  }

  /** Return log p of a count: a negative binomial of each state. */
  #logCount(i, x) {
    const { mean, size } = this.counts[i];
    return Float64Array.from({ length: this.k }, (_, z) => {
      const [m, r] = [mean[z], size[z]];
      const rest = x ? x * (Math.log(m) - Math.log(m + r)) : 0;
      return logRising(r, x) - logRising(1, x) + rest - r * Math.log1p(m / r);
    });
  }

  /** Return p over a column's grid by state, (k, points): made once. */
  curves(i, { x, y }) {
    if (this.held[i]) return this.held[i];
    const { k } = this;
    const n = x.length;
    const found = new Float64Array(k * n);
    const size = this.choices[i].length / k;
    for (let j = 0; j < n; j++) {
      const logs = y ? this.#logNormals(i, y[j]) : this.#logCount(i, x[j]);
      for (let z = 0; z < k; z++)
        found[z * n + j] = Math.exp(logs[z]) * (y ? this.choices[i][z * size + size - 1] : 1);
    }
    return (this.held[i] = found);
  }

  /** Sum over hidden states from the leaves to the root; null stands for ones. */
  up(row) {
    const { k, parent } = this;
    const own = new Array(parent.length).fill(null);
    const below = [...own];
    const message = [...own];
    let logP = 0;
    for (let o = this.order.length - 1; o >= 0; o--) {
      const i = this.order[o];
      if (!Number.isNaN(row[i])) {
        const logs = this.logLeaf(i, row[i]);
        const top = logs.reduce((a, b) => Math.max(a, b), -Infinity);
        if (top === -Infinity) logP = top;
        else logP += top;
        own[i] = logs.map((v) => Math.exp(v - top));
      }
      const [product, scale] = times([own[i], ...this.children[i].map((c) => message[c])]);
      below[i] = product;
      logP += scale;
      if (product && parent[i] >= 0) {
        const from = i * k * k;
        message[i] = new Float64Array(k);
        for (let a = 0; a < k; a++)
          for (let b = 0; b < k; b++) message[i][a] += this.transitions[from + a * k + b] * product[b];
      }
    }
    const top = below[this.order[0]];
    if (top) logP += Math.log(this.root.reduce((total, p, z) => total + p * top[z], 0));
    return { own, below, message, logP: Number.isNaN(logP) ? -Infinity : logP };
  }

  /** Return the sums up, and p(z_i | what is known) of each column. */
  sweep(row) {
    const { k } = this;
    const { own, below, message, logP } = this.up(row);
    const outside = [];
    const states = [];
    outside[this.order[0]] = this.root;
    for (const i of this.order) {
      states[i] = shares(below[i] ? outside[i].map((v, z) => v * below[i][z]) : outside[i]);
      for (const child of this.children[i]) {
        const others = this.children[i].filter((c) => c !== child).map((c) => message[c]);
        const [above] = times([outside[i], own[i], ...others]);
        const found = (outside[child] = new Float64Array(k));
        for (let a = 0, from = child * k * k; a < k; a++)
          for (let b = 0; b < k; b++) found[b] += above[a] * this.transitions[from + a * k + b];
      }
    }
    return { logP, below, states };
  }

  draw(row, { below }, random) {
    const { k } = this;
    const found = Float64Array.from(row);
    const states = [];
    for (const i of this.order) {
      const from = (i * k + (states[this.parent[i]] ?? 0)) * k;
      const before = this.parent[i] < 0 ? this.root : this.transitions.subarray(from, from + k);
      const z = chosen(below[i] ? before.map((p, s) => p * below[i][s]) : before, random.uniform());
      states[i] = z;
      if (Number.isNaN(row[i])) found[i] = this.#drawLeaf(i, z, random);
    }
    return found;
  }

  #drawLeaf(i, z, random) {
    const column = this.columns[i];
    if (column.kind === "count") {
      const { mean, size } = this.counts[i];
      let left = random.uniform();
      let p = Math.exp(-size[z] * Math.log1p(mean[z] / size[z]));
      let x = 0;
      for (const q = mean[z] / (mean[z] + size[z]); left > p && x < 1e7; x++) {
        left -= p;
        p *= (q * (x + size[z])) / (x + 1);
      }
      return x;
    }
    const length = this.choices[i].length / this.k;
    const at = chosen(this.choices[i].subarray(z * length, (z + 1) * length), random.uniform());
    if (hasLevels(column)) return at;
    if (at < length - 1) return column.atoms[at];
    const { mean, sd } = this.normals[i];
    const isWide = random.uniform() < this.tail;
    const y = isWide ? column.scale.tail * random.normal() : mean[z] + sd[z] * random.normal();
    return inverse(column.scale, y);
  }
}

// ---- columns -----------------------------------------------------------------------------------

export const hasLevels = ({ kind }) => kind === "categorical" || kind === "binary";

const sizeOf = (column) =>
  hasLevels(column) ? column.levels.length : column.kind === "continuous" ? column.atoms.length + 1 : 0;

/** Return where a column's density is drawn: places x, on its scale y, and the step between them. */
function gridOf(column) {
  const { kind, low, high, scale } = column;
  if (hasLevels(column)) return null;
  if (kind === "count") {
    const step = Math.max(1, Math.ceil((high - low) / POINTS));
    const x = Float64Array.from({ length: Math.floor((high - low) / step) + 1 }, (_, j) => low + step * j);
    return { x, step };
  }
  const [from, to] = [forward(scale, low), forward(scale, high)];
  const step = (to - from) / (POINTS - 1);
  const y = Float64Array.from({ length: POINTS }, (_, j) => from + step * j);
  return { x: y.map((v) => inverse(scale, v)), y, step };
}

/** Return a number on a column's scale: y = (h(x) - centre) / spread. */
export function forward({ kind, unit, centre, spread }, x) {
  const h = { identity: (v) => v, log: (v) => (v > 0 ? Math.log(v) : -Infinity), asinh: Math.asinh }[kind];
  return (h(x / unit) - centre) / spread;
}

export function inverse({ kind, unit, centre, spread }, y) {
  const h = { identity: (v) => v, log: Math.exp, asinh: Math.sinh }[kind];
  return h(y * spread + centre) * unit;
}

/** Return log dy/dx. */
function logSlope({ kind, unit, spread }, x) {
  const size = { identity: unit, log: x, asinh: Math.hypot(x, unit) }[kind];
  return -Math.log(size) - Math.log(spread);
}

// ---- small sums --------------------------------------------------------------------------------

/** Return the product of some arrays over its largest number, and the log of that; null for ones. */
function times(factors) {
  let product = null;
  let scale = 0;
  for (const factor of factors) {
    if (!factor) continue;
    product ??= new Float64Array(factor.length).fill(1);
    let top = 0;
    for (let z = 0; z < product.length; z++) if ((product[z] *= factor[z]) > top) top = product[z];
    for (let z = 0; z < product.length; z++) product[z] /= top;
    scale += Math.log(top);
  }
  return [product, scale];
}

function shares(values) {
  const total = values.reduce((a, b) => a + b, 0);
  return Float64Array.from(values, (v) => v / total);
}

/** Return the place that a uniform number falls on, in proportion to some weights. */
function chosen(weights, u) {
  let left = u * weights.reduce((a, b) => a + b, 0);
  for (let j = 0; j < weights.length; j++) if ((left -= weights[j]) < 0) return j;
  return weights.findLastIndex((w) => w > 0);
}

/** Return log Gamma(r + x) - log Gamma(r), which keeps its digits at large r. */
export function logRising(r, x) {
  let [start, extra] = [r, 0];
  for (; start < 12; start++) extra += Math.log1p(x / start); // of Gamma(s + x) / Gamma(s), one step up
  const rest = (s) => {
    const t = 1 / (s * s);
    return (1 / 12 - t * (1 / 360 - t * (1 / 1260 - t * (1 / 1680 - t / 1188)))) / s;
  };
  const end = start + x;
  return (start - 0.5) * Math.log1p(x / start) + x * (Math.log(end) - 1) + rest(end) - rest(start) - extra;
}
