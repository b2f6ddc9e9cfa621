// Graphs: p(e_ij = 1 | x_i, x_j) = sigmoid(a x_i . x_j + b), pairs independent.
//
//   l(a, b) = sum over linked pairs of log sigmoid(eta) + over the others of log sigmoid(-eta)

import { Sum, sigmoid, softplus, uniformAt } from "../arrays.js";

/** Inner products of linked (`edges`) and unlinked (`gaps`) pairs: all that l depends on. */
export class Pairs {
  constructor(edges, gaps) {
    this.edges = edges;
    this.gaps = gaps;
  }

  get count() {
    return this.edges.length + this.gaps.length;
  }

  logLikelihood(a, b) {
    const sum = new Sum();
    for (const s of this.edges) sum.add(-softplus(-(a * s + b)));
    for (const s of this.gaps) sum.add(-softplus(a * s + b));
    return sum.value;
  }

  gradient(a, b) {
    let [da, db] = [0, 0];
    for (const s of this.edges) {
      const residual = sigmoid(-(a * s + b));
      da += residual * s;
      db += residual;
    }
    for (const s of this.gaps) {
      const residual = sigmoid(a * s + b);
      da -= residual * s;
      db -= residual;
    }
    return [da, db];
  }

  /** The trace of the Fisher information: the step of the ascent starts below its inverse. */
  curvature(a, b) {
    let trace = 0;
    for (const s of [this.edges, this.gaps].flatMap((part) => Array.from(part))) {
      const p = sigmoid(a * s + b);
      trace += p * (1 - p) * (s * s + 1);
    }
    return trace;
  }

  /** Deposit every s on a grid, by cubic interpolation: a contour plot asks thousands of times. */
  binned(nodes = 400) {
    let [low, high] = [Infinity, -Infinity];
    for (const part of [this.edges, this.gaps])
      for (const s of part) [low, high] = [Math.min(low, s), Math.max(high, s)];
    const step = (high - low) / (nodes - 1) || 1;
    const weights = [this.edges, this.gaps].map((part) => deposit(part, low, step, nodes));
    return new Binned(low, step, ...weights);
  }
}

/** Sums over pairs, from counts on a grid of s. */
class Binned {
  constructor(low, step, edges, gaps) {
    Object.assign(this, { low, step, edges, gaps });
  }

  logLikelihood(a, b) {
    let total = 0;
    for (let k = 0; k < this.edges.length; k++) {
      const eta = a * (this.low + k * this.step) + b;
      total -= this.edges[k] * softplus(-eta) + this.gaps[k] * softplus(eta);
    }
    return total;
  }
}

/** Spread each value over its four nearest nodes, so that cubics are summed exactly. */
function deposit(values, low, step, nodes) {
  const counts = new Float64Array(nodes);
  for (const s of values) {
    const place = (s - low) / step;
    const k = Math.min(Math.max(Math.floor(place), 1), nodes - 3);
    const t = place - k;
    counts[k - 1] += (-t * (t - 1) * (t - 2)) / 6;
    counts[k] += ((t + 1) * (t - 1) * (t - 2)) / 2;
    counts[k + 1] += (-(t + 1) * t * (t - 2)) / 2;
    counts[k + 2] += ((t + 1) * t * (t - 1)) / 6;
  }
  return counts;
}

/** Climb l(a, b) along its gradient: Barzilai-Borwein steps, halved until the gain is real. */
export function gradientAscent(pairs, start, { tolerance = 1e-5, most = 200 } = {}) {
  let [a, b] = start;
  let value = pairs.logLikelihood(a, b);
  let gradient = pairs.gradient(a, b);
  let step = 1 / pairs.curvature(0, 0);
  const path = [{ a, b, value }];
  for (let k = 0; k < most && largest(gradient) > tolerance; k++) {
    const squared = gradient[0] ** 2 + gradient[1] ** 2;
    let next = value;
    for (;;) {
      next = pairs.logLikelihood(a + step * gradient[0], b + step * gradient[1]);
      if (next > value && next >= value + 1e-4 * step * squared) break;
      step /= 2;
      const reach = 1 + Math.max(Math.abs(a), Math.abs(b));
      if (step * largest(gradient) < 1e-16 * reach) return path;
    }
    const moved = gradient.map((g) => step * g);
    [a, b, value] = [a + moved[0], b + moved[1], next];
    path.push({ a, b, value });
    const fresh = pairs.gradient(a, b);
    const bend = moved[0] * (gradient[0] - fresh[0]) + moved[1] * (gradient[1] - fresh[1]);
    step = bend > 0 ? (moved[0] ** 2 + moved[1] ** 2) / bend : 2 * step;
    gradient = fresh;
  }
  return path;
}

const largest = ([x, y]) => Math.max(Math.abs(x), Math.abs(y));

/** The first n nodes' features, uniform on [-1, 1]; more nodes leave the earlier ones alone. */
export function drawFeatures(seed, n, width) {
  return Array.from({ length: n }, (_, i) =>
    Array.from({ length: width }, (_, k) => 2 * uniformAt(seed, i, 1000 + k) - 1),
  );
}

/** Every pair's inner product and probability, and whether it is linked under this seed.
 *
 * The same uniform number decides a pair however a, b and the features move (common random
 * numbers), so that links come and go one at a time instead of all being drawn anew.
 */
export function drawLinks(features, a, b, seed) {
  const links = [];
  for (let i = 0; i < features.length; i++) {
    for (let j = i + 1; j < features.length; j++) {
      const s = features[i].reduce((sum, value, k) => sum + value * features[j][k], 0);
      const p = sigmoid(a * s + b);
      links.push({ i, j, s, p, linked: uniformAt(seed, i, j) < p });
    }
  }
  return links;
}

/** log p(E | X) of one graph whose pairs say whether they are linked. */
export function logDensity(links, a, b) {
  const sum = new Sum();
  for (const { s, linked } of links) sum.add(-softplus(linked ? -(a * s + b) : a * s + b));
  return sum.value;
}
