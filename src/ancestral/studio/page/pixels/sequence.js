// Models of binary rows, one conditional at a time: p(x) = prod p(x_i | x_1 ... x_{i-1}).
//
// What is stepped gives `start()`, a state with its depth and the log probabilities of the next
// variable's two levels, and `next(state, level)`. Tables walk a trie of prefixes, the LSTM carries
// (h, c), a chain of classifiers scores the prefix. A model has one of these, or several, each in an
// order of the variables of its own: p(x) = mean_j p_j(x in order j).

import { logSumExp, sigmoid, softplus, unpack } from "../arrays.js";

const UNSEEN = -1;
const EVEN = [-Math.LN2, -Math.LN2];
const CERTAIN = [
  [0, -Infinity],
  [-Infinity, 0],
];

/** Return a model of what Python sent: { name, kind, ..., m, members: [{ steps, order }] }. */
export function sequenceModel(sent, m) {
  const orders =
    sent.kind === "orders" ? unpack(sent.orders).data : Int32Array.from({ length: m }, (_, i) => i);
  const members = (sent.members ?? [sent]).map((each, j) => ({
    steps: new STEPPED[each.kind](each, m),
    order: orders.subarray(j * m, (j + 1) * m),
  }));
  const { name, kind, n_parameters: parameters, entropy, excess } = sent;
  return { name, kind, parameters, entropy, excess, m, members };
}

/** log p of a complete row, in nats. */
export function logDensity(model, levels) {
  const each = model.members.map(({ steps, order }) => {
    let state = steps.start();
    let total = 0;
    for (const i of order) {
      total += state.logP[levels[i]];
      if (total === -Infinity) return total;
      state = steps.next(state, levels[i]);
    }
    return total;
  });
  return logSumExp(each) - Math.log(each.length);
}

// ---- tables ------------------------------------------------------------------------------------

/** A trie of which only the stops are stored: prefixes after which the next level is not certain.
 *
 * Each stop holds the levels of the certain run that leads to it; whole rows are stops, too.
 */
class Tables {
  most = 200_000; // steps of a search

  constructor({ depth, log_p, child, run }, m) {
    this.m = m;
    this.depth = unpack(depth).data;
    this.logP = unpack(log_p).data;
    this.child = unpack(child).data;
    this.runs = unpack(run).data;
    this.width = Math.ceil(m / 8);
  }

  start() {
    return this.#state(0, this.depth.length - 1);
  }

  next({ depth, stop }, level) {
    const isInRun = stop !== UNSEEN && depth < this.depth[stop];
    return this.#state(depth + 1, stop === UNSEEN || isInRun ? stop : this.child[2 * stop + level]);
  }

  /** The state at the end of the certain run, and the levels on the way. */
  skip(state) {
    return state.stop === UNSEEN ? state : this.#state(this.depth[state.stop], state.stop);
  }

  certain(stop, i) {
    return (this.runs[stop * this.width + (i >> 3)] >> (7 - (i & 7))) & 1;
  }

  /** After a prefix that was never seen, every level is as likely as the other (smoothing). */
  #state(depth, stop) {
    if (depth === this.m) return { depth, stop };
    if (stop === UNSEEN) return { depth, stop, logP: EVEN, isUniform: true };
    if (depth < this.depth[stop]) return { depth, stop, logP: CERTAIN[this.certain(stop, depth)] };
    return { depth, stop, logP: [this.logP[2 * stop], this.logP[2 * stop + 1]] };
  }
}

// ---- LSTM ----------------------------------------------------------------------------------------

class Lstm {
  most = 20_000;

  constructor({ weights }, m) {
    this.m = m;
    const read = (key) => unpack(weights[key]);
    this.layers = [];
    for (let k = 0; weights[`lstm.weight_hh_l${k}`]; k++) {
      const input = read(`lstm.weight_ih_l${k}`);
      const recurrent = read(`lstm.weight_hh_l${k}`);
      const second = read(`lstm.bias_hh_l${k}`).data;
      const bias = read(`lstm.bias_ih_l${k}`).data.map((value, i) => value + second[i]);
      this.layers.push({ matrix: beside(input, recurrent), bias, size: recurrent.shape[1] });
    }
    this.head = read("head.weight").data;
    this.headBias = read("head.bias").data[0];
  }

  start() {
    const empty = this.layers.map(({ size }) => new Float64Array(size));
    return this.#step(0, empty, empty, 0);
  }

  next(state, level) {
    if (state.depth + 1 === this.m) return { depth: this.m };
    return this.#step(state.depth + 1, state.h, state.c, level);
  }

  #step(depth, hBefore, cBefore, value) {
    const h = [];
    const c = [];
    let below = Float64Array.of(value);
    for (let layer = 0; layer < this.layers.length; layer++) {
      [h[layer], c[layer]] = cell(this.layers[layer], below, hBefore[layer], cBefore[layer]);
      below = h[layer];
    }
    let logit = this.headBias;
    for (let k = 0; k < below.length; k++) logit += this.head[k] * below[k];
    return { depth, h, c, logP: [-softplus(logit), -softplus(-logit)] };
  }
}

/** One layer's step. Gates in PyTorch's order: input, forget, cell, output. */
function cell({ matrix, bias, size }, below, hBefore, cBefore) {
  const width = below.length + size;
  const both = new Float64Array(width);
  both.set(below);
  both.set(hBefore, below.length);
  const gates = new Float64Array(4 * size);
  for (let g = 0, at = 0; g < 4 * size; g++) {
    let sum = bias[g];
    for (let k = 0; k < width; k++) sum += matrix[at++] * both[k];
    gates[g] = sum;
  }
  const h = new Float64Array(size);
  const c = new Float64Array(size);
  for (let k = 0; k < size; k++) {
    const kept = logistic(gates[size + k]) * cBefore[k];
    c[k] = kept + logistic(gates[k]) * tanh(gates[2 * size + k]);
    h[k] = logistic(gates[3 * size + k]) * tanh(c[k]);
  }
  return [h, c];
}

/** Two matrices of as many rows, side by side. */
function beside(left, right) {
  const [rows, width] = [left.shape[0], left.shape[1] + right.shape[1]];
  const result = new Float64Array(rows * width);
  for (let r = 0; r < rows; r++) {
    result.set(left.data.subarray(r * left.shape[1], (r + 1) * left.shape[1]), r * width);
    result.set(right.data.subarray(r * right.shape[1], (r + 1) * right.shape[1]), r * width + left.shape[1]);
  }
  return result;
}

// Math.tanh is several times slower than Math.exp; these are right to the last few bits.
const logistic = (x) => 1 / (1 + Math.exp(-x));
const tanh = (x) => 1 - 2 / (1 + Math.exp(2 * x));

// ---- chain ---------------------------------------------------------------------------------------

/** A classifier for each variable: of the variables before it and, where asked for, of a mixture.
 *
 * Python rounds what the mixture says to float32; thresholds of trees are compared with that.
 */
class Chain {
  most = 20_000;

  constructor({ floor, conditionals, mixture }, m) {
    this.m = m;
    this.least = Math.min(floor, 0.25);
    this.conditionals = conditionals.map(({ sees_mixture, ...arrays }) => ({
      seesMixture: sees_mixture,
      ...Object.fromEntries(Object.entries(arrays).map(([name, packed]) => [name, unpack(packed).data])),
    }));
    this.weights = mixture && unpack(mixture.log_weights).data; // log p(component)
    this.theta = mixture && unpack(mixture.log_theta).data; // (m, components, 2), log p(level | component)
  }

  start() {
    return this.#state(0, new Uint8Array(0), this.weights);
  }

  next({ depth, levels, joint }, level) {
    const longer = new Uint8Array(depth + 1);
    longer.set(levels);
    longer[depth] = level;
    return this.#state(
      depth + 1,
      longer,
      joint?.map((v, c) => v + this.#said(depth, c, level)),
    );
  }

  #said(i, component, level) {
    return this.theta[2 * (i * this.weights.length + component) + level];
  }

  #state(depth, levels, joint) {
    if (depth === this.m) return { depth };
    const conditional = this.conditionals[depth];
    const seen = conditional.seesMixture ? [...levels, ...this.#mixtureSays(depth, joint)] : levels;
    const score = conditional.root ? treesScore(conditional, seen) : linearScore(conditional, seen);
    return { depth, levels, joint, logP: [this.#floored(-score), this.#floored(score)] };
  }

  #floored(score) {
    if (!this.least) return -softplus(-score);
    return Math.log(this.least + (1 - 2 * this.least) * sigmoid(score));
  }

  /** Each component's posterior, and the log odds of the next variable. */
  #mixtureSays(i, joint) {
    const total = logSumExp(joint);
    const posterior = Array.from(joint, (v) => Math.exp(v - total));
    const [off, on] = [0, 1].map((level) =>
      posterior.reduce((sum, p, c) => sum + p * Math.exp(this.#said(i, c, level)), 0),
    );
    return [...posterior, Math.log(on / off)].map(Math.fround);
  }
}

function linearScore({ columns, weights, bias }, seen) {
  let score = bias[0];
  for (let k = 0; k < columns.length; k++) score += weights[k] * seen[columns[k]];
  return score;
}

function treesScore({ columns, thresholds, split, child, value, root }, seen) {
  let score = 0;
  for (let node of root) {
    while (child[2 * node] !== node) {
      const isAbove = seen[columns[split[node]]] > thresholds[split[node]];
      node = child[2 * node + (isAbove ? 1 : 0)];
    }
    score += value[node];
  }
  return score;
}

const STEPPED = { tables: Tables, lstm: Lstm, chain: Chain };
