// Graphs: p(e_ij = 1 | x_i, x_j) = sigmoid(a s_ij + b), s_ij = x_i . x_j, pairs independent.
//
//   l(a, b) = a S + b N - sum_k w_k softplus(sign_k (a s_k + b))
//
// Sums over pairs are sums over nodes of a grid of s, on which Python has put all pairs: sign -1 for
// links, 1 for others. S and N are those of links that are counted apart.

import { Sum, sigmoid, softplus, unpack, uniformAt } from "../arrays.js";

export class PairSums {
  constructor({ s, weights, signs, apart }) {
    Object.assign(this, { s: unpack(s).data, w: unpack(weights).data, signs: unpack(signs).data, apart });
  }

  logLikelihood(a, b) {
    const { s, w, signs, apart } = this;
    const sum = new Sum();
    sum.add(a * apart[0] + b * apart[1]);
    for (let k = 0; k < s.length; k++) sum.add(-w[k] * softplus(signs[k] * (a * s[k] + b)));
    return sum.value;
  }

  gradient(a, b) {
    const { s, w, signs } = this;
    let [da, db] = this.apart;
    for (let k = 0; k < s.length; k++) {
      const residual = w[k] * signs[k] * sigmoid(signs[k] * (a * s[k] + b));
      da -= residual * s[k];
      db -= residual;
    }
    return [da, db];
  }

  /** The trace of the Fisher information at (0, 0): no step below its inverse overshoots. */
  get curvature() {
    return this.s.reduce((sum, s, k) => sum + (this.w[k] * (s * s + 1)) / 4, 0);
  }
}

/** Climb l(a, b) as Python does: Barzilai-Borwein steps, halved until the gain is real. */
export function lineSearch(sums, start, { tolerance = 1e-5, most = 200 } = {}) {
  let [a, b] = start;
  let value = sums.logLikelihood(a, b);
  let gradient = sums.gradient(a, b);
  let step = 1 / sums.curvature;
  const path = [{ a, b, value }];
  for (let k = 0; k < most && largest(gradient) > tolerance; k++) {
    const squared = gradient[0] ** 2 + gradient[1] ** 2;
    let next = value;
    for (;;) {
      next = sums.logLikelihood(a + step * gradient[0], b + step * gradient[1]);
      if (next > value && next >= value + 1e-4 * step * squared) break;
      step /= 2;
      const reach = 1 + Math.max(Math.abs(a), Math.abs(b));
      if (step * largest(gradient) < 1e-16 * reach) return path;
    }
    const moved = gradient.map((g) => step * g);
    [a, b, value] = [a + moved[0], b + moved[1], next];
    path.push({ a, b, value });
    const fresh = sums.gradient(a, b);
    const bend = moved[0] * (gradient[0] - fresh[0]) + moved[1] * (gradient[1] - fresh[1]);
    step = bend > 0 ? (moved[0] ** 2 + moved[1] ** 2) / bend : 2 * step;
    gradient = fresh;
  }
  return path;
}

/** Plain gradient ascent: the same step size, times the mean gradient of a pair, every time. */
export function fixedSteps(sums, start, size, most) {
  const path = [{ a: start[0], b: start[1], value: sums.logLikelihood(...start) }];
  while (path.length <= most) {
    const { a, b } = path[path.length - 1];
    const [da, db] = sums.gradient(a, b);
    if (largest([da, db]) < 1e-5) break;
    const next = [a + size * da, b + size * db];
    path.push({ a: next[0], b: next[1], value: sums.logLikelihood(...next) });
  }
  return path;
}

const largest = ([x, y]) => Math.max(Math.abs(x), Math.abs(y));

/** The first step of a path at which the log-likelihood fell; -1 where it never did. */
export const overshoot = (path) =>
  path.findIndex(({ value }, k) => k > 0 && value < path[k - 1].value - 1e-6);

// ---- classes -------------------------------------------------------------------------------------

/** Draw the first n pupils from rows of attributes; more pupils leave the earlier ones alone. */
export function drawPupils({ rows, counts }, n, seed) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return Array.from({ length: n }, (_, i) => {
    let left = uniformAt(seed, i, 1000) * total;
    const k = counts.findIndex((count) => (left -= count) < 0);
    return Array.from(rows.data.subarray(k * rows.cols, (k + 1) * rows.cols));
  });
}

/** x_i . x_j of two pupils: levels of a text stand in x as an indicator of each. */
export function product(x, y, attributes) {
  let sum = 0;
  for (let k = 0; k < attributes.length; k++) sum += attributes[k].levels ? x[k] === y[k] : x[k] * y[k];
  return sum;
}

/** The pairs of a class, or those of one pupil only: i, j, s, and what decides a link.
 *
 * `mark(i, j)` tells of a graph of the data whether they are linked: 1, 0, or -1 where nobody knows.
 * In a drawn class the same uniform number decides a pair whatever a, b and the features are (common
 * random numbers), so that links come and go one at a time instead of all being drawn anew.
 */
export function pairsOf(pupils, attributes, scale, { mark, seed, only }) {
  const pairs = [];
  const add = (i, j) => {
    const s = scale * product(pupils[i], pupils[j], attributes);
    pairs.push(
      mark ? { i, j, s, mark: mark(i, j), u: 0 } : { i, j, s, mark: null, u: uniformAt(seed, i, j) },
    );
  };
  for (let i = 0; i < pupils.length; i++) {
    if (only === undefined) for (let j = i + 1; j < pupils.length; j++) add(i, j);
    else if (i !== only) add(Math.min(i, only), Math.max(i, only));
  }
  return pairs;
}

/** Each pair's probability, and whether it is linked; the pairs themselves stay as they are. */
export function linked(pairs, a, b) {
  return pairs.map(({ i, j, s, mark, u }) => {
    const p = sigmoid(a * s + b);
    return { i, j, s, mark, p, isLinked: mark === null ? u < p : mark === 1 };
  });
}

/** log p(E | X) of the pairs that are known. */
export function logDensity(links, a, b) {
  const sum = new Sum();
  for (const { s, isLinked, mark } of links)
    if (mark !== -1) sum.add(-softplus(isLinked ? -(a * s + b) : a * s + b));
  return sum.value;
}

/** Let linked pupils pull and all push for a while; places stay within [-1, 1]. */
export function relax(places, links, held, rounds = 1) {
  const rest = 2.1 / Math.sqrt(places.length); // the distance at which pull and push balance
  for (let round = 0; round < rounds; round++) {
    const force = places.map(([u, v]) => [-0.12 * u, -0.12 * v]);
    for (const { i, j, isLinked } of links) {
      const [dx, dy] = [places[j][0] - places[i][0], places[j][1] - places[i][1]];
      const d = Math.max(0.02, Math.hypot(dx, dy));
      const pull = ((isLinked ? (1.6 * d) / rest : 0) - (0.5 * rest * rest) / (d * d)) / d;
      force[i][0] += pull * dx;
      force[i][1] += pull * dy;
      force[j][0] -= pull * dx;
      force[j][1] -= pull * dy;
    }
    places.forEach((place, k) => {
      if (k === held) return;
      const size = Math.hypot(...force[k]) || 1;
      const step = Math.min(0.02, 0.02 * size) / size; // small steps: no jitter
      for (const c of [0, 1]) place[c] = Math.min(1, Math.max(-1, place[c] + force[k][c] * step));
    });
  }
}
