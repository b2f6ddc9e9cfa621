// Models of binary rows, one conditional at a time: p(x) = prod p(x_i | x_1 ... x_{i-1}).
//
// A model gives `start()`, a state with log probabilities of the first variable's two levels, and
// `next(state, level)`. Tables walk a trie of prefixes; the LSTM carries (h, c). The search below
// is written once against these two.

import { logSumExp, softplus, unpack } from "../arrays.js";

const UNSEEN = -1;

/** Return a model of what Python sent. */
export function sequenceModel(sent, m) {
  return sent.kind === "lstm" ? new Lstm(sent, m) : new Tables(sent, m);
}

// ---- tables ------------------------------------------------------------------------------------

class Tables {
  constructor({ name, n_parameters, entropy, log_p, child }, m) {
    Object.assign(this, { name, parameters: n_parameters, entropy, m, kind: "tables" });
    this.logP = log_p.map((packed) => unpack(packed).data);
    this.child = child.map((packed) => unpack(packed).data);
  }

  start() {
    return this.#state(0, 0);
  }

  next(state, level) {
    const context = state.context === UNSEEN ? UNSEEN : this.child[state.depth][2 * state.context + level];
    return this.#state(state.depth + 1, context);
  }

  /** After a prefix that was never seen, every level is as likely as the other (smoothing). */
  #state(depth, context) {
    if (depth === this.m) return { depth, context };
    if (context === UNSEEN) return { depth, context, logP: [-Math.LN2, -Math.LN2], isUniform: true };
    const p = this.logP[depth];
    return { depth, context, logP: [p[2 * context], p[2 * context + 1]] };
  }
}

// ---- LSTM ----------------------------------------------------------------------------------------

class Lstm {
  constructor({ name, n_parameters, weights }, m) {
    Object.assign(this, { name, parameters: n_parameters, m, kind: "lstm" });
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

// ---- one row -------------------------------------------------------------------------------------

/** log p of a complete row, in nats. */
export function logDensity(model, levels) {
  let state = model.start();
  let total = 0;
  for (const level of levels) {
    total += state.logP[level];
    if (total === -Infinity) return total;
    state = model.next(state, level);
  }
  return total;
}

// ---- completions, with a certificate -------------------------------------------------------------

/** Completions of a partly known row, the most probable prefix first.
 *
 * Every prefix that agrees with what is known waits in a queue with its probability. Those taken
 * out and walked to their end are the completions found; the mass still waiting bounds what can
 * be missing. So after any number of steps
 *     found / (found + waiting)  <=  share of the posterior that is listed,
 * and once nothing waits the list is the whole posterior, exactly.
 */
export class Completions {
  /** @param evidence per variable 0, 1, or -1 where unknown. */
  constructor(model, evidence, { tolerance = 1e-3, most = 20000 } = {}) {
    Object.assign(this, { model, evidence, tolerance, most });
    this.found = []; // { levels, logP }; levels -1 where every value is as likely as the other
    this.steps = 0;
    this.queue = new Queue();
    this.queue.push({ state: model.start(), logP: 0, parent: null, level: -1 });
  }

  /** Search on for so many milliseconds; return whether it is finished. */
  run(milliseconds = Infinity) {
    const end = performance.now() + milliseconds;
    while (!this.isDone) {
      for (let k = 0; k < 32 && this.queue.size; k++) this.#expand(this.queue.pop());
      if (this.steps % 128 < 32) this.#weigh();
      if (performance.now() > end) break;
    }
    this.#weigh();
    return this.isDone;
  }

  get isDone() {
    return !this.queue.size || this.steps >= this.most || this.rest <= this.tolerance;
  }

  /** The most that is missing from the list, as a share of the posterior. */
  get rest() {
    if (!this.queue.size) return 0;
    return this.share ?? 1;
  }

  get isImpossible() {
    return !this.queue.size && !this.found.length;
  }

  #weigh() {
    const waiting = logSumExp(this.queue.items.map((node) => node.logP));
    this.logFound = logSumExp(this.found.map((row) => row.logP));
    this.logWaiting = waiting;
    this.share = waiting === -Infinity ? 0 : 1 / (1 + Math.exp(this.logFound - waiting));
  }

  #expand(node) {
    this.steps++;
    // stepping waits until the node is taken: most never are
    const state = (node.state ??= this.model.next(node.parent.state, node.level));
    if (state.depth === this.model.m) {
      this.found.push({ levels: path(node, this.model.m), logP: node.logP });
      return;
    }
    if (state.isUniform) {
      this.found.push(this.#uniformRest(node));
      return;
    }
    for (const level of [0, 1]) {
      const known = this.evidence[state.depth];
      const logP = node.logP + state.logP[level];
      if ((known >= 0 && known !== level) || logP === -Infinity) continue;
      this.queue.push({ state: null, logP, parent: node, level });
    }
  }

  /** All that follows an unseen prefix, at once: known values halve its mass, unknown ones don't. */
  #uniformRest(node) {
    const levels = path(node, this.model.m);
    let logP = node.logP;
    for (let i = node.state.depth; i < this.model.m; i++) {
      levels[i] = this.evidence[i];
      if (levels[i] >= 0) logP -= Math.LN2;
    }
    return { levels, logP };
  }

  /** The list, most probable first, each with its posterior probability (at most). */
  get rows() {
    this.#weigh();
    return [...this.found]
      .sort((r, s) => s.logP - r.logP)
      .map((row) => ({ ...row, p: Math.exp(row.logP - this.logFound) * (1 - this.rest) }));
  }

  /** log p of what is known: at least `low`, at most `high`. */
  get logEvidence() {
    this.#weigh();
    const waiting = this.queue.size ? this.logWaiting : -Infinity;
    return { low: this.logFound, high: logSumExp([this.logFound, waiting]) };
  }

  /** p(x_i = 1 | known) of every variable: between `low` and `high`, which agree when certain. */
  marginals() {
    this.#weigh();
    const ones = new Float64Array(this.model.m);
    for (const { levels, logP } of this.found) {
      const p = Math.exp(logP - this.logFound);
      for (let i = 0; i < ones.length; i++) ones[i] += p * (levels[i] < 0 ? 0.5 : levels[i]);
    }
    const rest = this.rest;
    return Array.from(ones, (p, i) => {
      if (this.evidence[i] >= 0) return { low: this.evidence[i], high: this.evidence[i] };
      return { low: p * (1 - rest), high: p * (1 - rest) + rest };
    });
  }
}

function path(node, m) {
  const levels = new Int8Array(m).fill(-1);
  let i = node.state.depth;
  for (let at = node; at.parent; at = at.parent) levels[--i] = at.level;
  return levels;
}

/** A binary heap, the most probable on top. */
class Queue {
  items = [];

  get size() {
    return this.items.length;
  }

  push(node) {
    const { items } = this;
    let i = items.push(node) - 1;
    while (i > 0) {
      const above = (i - 1) >> 1;
      if (items[above].logP >= node.logP) break;
      items[i] = items[above];
      i = above;
    }
    items[i] = node;
  }

  pop() {
    const { items } = this;
    const top = items[0];
    const last = items.pop();
    if (items.length) this.#sink(last);
    return top;
  }

  #sink(node) {
    const { items } = this;
    let i = 0;
    for (;;) {
      let below = 2 * i + 1;
      if (below >= items.length) break;
      if (below + 1 < items.length && items[below + 1].logP > items[below].logP) below++;
      if (items[below].logP <= node.logP) break;
      items[i] = items[below];
      i = below;
    }
    items[i] = node;
  }
}

/** Draw a row variable by variable from the listed completions: the exact conditional of a step.
 *
 * @returns the steps, each { p, level }: p = p(x_i = 1 | x_<i, known).
 */
export function drawGiven(completions, random) {
  let rows = completions.rows;
  const steps = [];
  for (let i = 0; i < completions.model.m; i++) {
    let [ones, all] = [0, 0];
    for (const { levels, p } of rows) {
      ones += p * (levels[i] < 0 ? 0.5 : levels[i]);
      all += p;
    }
    const p = Math.min(1, ones / all);
    const level = random.uniform() < p ? 1 : 0;
    steps.push({ p, level });
    rows = rows
      .filter(({ levels }) => levels[i] < 0 || levels[i] === level)
      .map((row) => (row.levels[i] < 0 ? { ...row, p: 0.5 * row.p } : row));
  }
  return steps;
}

/** Draw a whole row ancestrally, nothing known. */
export function drawRow(model, random) {
  const steps = [];
  let state = model.start();
  for (let i = 0; i < model.m; i++) {
    const p = Math.exp(state.logP[1]);
    const level = random.uniform() < p ? 1 : 0;
    steps.push({ p, level });
    state = model.next(state, level);
  }
  return steps;
}
