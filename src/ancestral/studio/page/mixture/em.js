// EM for a mixture of PPCAs in two columns, by the steps of `ancestral.PPCAMixture`.
//
//   c ~ Categorical(pi),   z ~ N(0, I_d),   x | z, c ~ N(W_c z + mu_c, sigma_c^2 I_2)
//
//   E:  r_nc = pi_c N(x_n; mu_c, C_c) / p(x_n),   C_c = W_c W_c^T + sigma_c^2 I_2
//   M:  pi_c = mean of r_nc,   mu_c and C_c PPCA's closed form from the rows weighted by r_nc
//
// In two columns that closed form is the weighted covariance itself where d = 1 (the long axis is
// W_c, sigma_c^2 the smaller eigenvalue), and half its trace in both columns where d = 0. So a part
// is [pi, mu_1, mu_2, C_11, C_12, C_22]: plain numbers, which the address can hold.

import { Random, Sum } from "../arrays.js";

const COLLAPSED = 1e-18; // sigma^2 below this share of the least variance of a column, as in Python
const LEFT = 0.002; // nats that are left to gain where EM is done: too few to be said, or seen to move
export const MOST_STEPS = 2000;

/** Return the responsibilities, (n, k) in C order, and the log-likelihood of points {x, y}. */
export function expectation({ x, y }, parts) {
  const [n, k] = [x.length, parts.length];
  const logs = parts.map(logDensity);
  const shares = new Float64Array(n * k);
  const total = new Sum();
  for (let i = 0, at = 0; i < n; i++, at += k) {
    let high = -Infinity;
    for (let c = 0; c < k; c++) high = Math.max(high, (shares[at + c] = logs[c](x[i], y[i])));
    let sum = 0;
    for (let c = 0; c < k; c++) sum += shares[at + c] = Math.exp(shares[at + c] - high);
    for (let c = 0; c < k; c++) shares[at + c] /= sum;
    total.add(high + Math.log(sum));
  }
  return { shares, logLikelihood: total.value };
}

/** Return log pi_c + log N(x; mu_c, C_c) as a function of a point. */
function logDensity([weight, m1, m2, a, b, c]) {
  const l1 = Math.sqrt(a);
  const slope = b / l1;
  const l2 = Math.sqrt(c - slope * slope);
  const fixed = Math.log(weight) - Math.log(2 * Math.PI) - Math.log(l1) - Math.log(l2);
  return (x, y) => {
    const u = (x - m1) / l1;
    const v = (y - m2 - slope * u) / l2;
    return fixed - 0.5 * (u * u + v * v);
  };
}

/** Return the parts that make points weighted by these responsibilities most likely; null for one
 * that closes in on points that leave it no noise: the likelihood has no bound there.
 */
function maximisation({ x, y }, shares, k, d) {
  const n = x.length;
  return Array.from({ length: k }, (_, c) => {
    let [weight, m1, m2, s11, s12, s22] = [0, 0, 0, 0, 0, 0];
    for (let i = 0; i < n; i++) weight += shares[i * k + c];
    for (let i = 0; i < n; i++) {
      m1 += (shares[i * k + c] / weight) * x[i];
      m2 += (shares[i * k + c] / weight) * y[i];
    }
    for (let i = 0; i < n; i++) {
      const [share, u, v] = [shares[i * k + c] / weight, x[i] - m1, y[i] - m2];
      s11 += share * u * u;
      s12 += share * u * v;
      s22 += share * v * v;
    }
    const rounding = Number.EPSILON * (2 + Math.sqrt(n));
    const [long, short] = eigenvalues(s11, s12, s22);
    const noise = d ? (short > rounding * long ? short : 0) : (s11 + s22) / 2;
    const least = Math.min(...[s11, s22].filter((v) => v > 0));
    if (!(noise > COLLAPSED * least)) return null;
    return d ? [weight / n, m1, m2, s11, s12, s22] : [weight / n, m1, m2, noise, 0, noise];
  });
}

/** Return the eigenvalues of a covariance, the larger first. */
export function eigenvalues(a, b, c) {
  const long = (a + c) / 2 + Math.hypot((a - c) / 2, b);
  return [long, Math.max(0, (a * c - b * b) / long)];
}

/** Return W_c, the latent direction of a part: zeros for a circle. */
export function direction([, , , a, b, c]) {
  const [long, short] = eigenvalues(a, b, c);
  const angle = Math.atan2(2 * b, a - c) / 2;
  const length = Math.sqrt(Math.max(0, long - short));
  return [length * Math.cos(angle), length * Math.sin(angle)];
}

/** Return equal circles about k of the points; null where fewer than k points differ, or 2. */
export function startAt(points, k, seed) {
  const { x, y } = points;
  const random = new Random(seed);
  const order = Array.from(x, (_, i) => [random.uniform(), i]).sort(([a], [b]) => a - b);
  const centres = new Map(order.map(([, i]) => [`${x[i]},${y[i]}`, i])); // of points that differ
  if (centres.size < Math.max(k, 2)) return null;
  const [all] = maximisation(points, new Float64Array(x.length).fill(1), 1, 0);
  const variance = all[3] / (3 * k);
  return [...centres.values()].slice(0, k).map((i) => [1 / k, x[i], y[i], variance, 0, variance]);
}

/** EM from a start, as far as it is asked for: step t has its parts and its log-likelihood. */
export class Climb {
  constructor(points, start, d) {
    // `end`: the first step after which nothing is seen to move; `collapsed`: the part that closed in on too few points
    Object.assign(this, { points, d, k: start.length, steps: [], end: null, collapsed: null });
    this.#take(start);
  }

  /** Return step t, or where the climb ends: at a maximum, or where a part would collapse. */
  at(t) {
    while (this.steps.length <= t && this.end === null && this.collapsed === null) this.#step();
    return this.steps[Math.min(t, this.steps.length - 1)];
  }

  /** Return the number of the step at which the climb ends. */
  top() {
    this.at(MOST_STEPS);
    return this.steps.length - 1;
  }

  shares(t) {
    return expectation(this.points, this.at(t).parts).shares;
  }

  #step() {
    const parts = maximisation(this.points, this.next, this.k, this.d);
    const lost = parts.indexOf(null);
    if (lost >= 0) this.collapsed = lost;
    else this.#take(parts);
  }

  #take(parts) {
    const { shares, logLikelihood } = expectation(this.points, parts);
    this.next = shares;
    this.steps.push({ parts, logLikelihood });
    if (this.#toGain() <= LEFT) this.end = this.steps.length - 1;
  }

  /** What further steps may gain: the sum of gains that fall as the last two did. */
  #toGain() {
    const [before, middle, now] = this.steps.slice(-3).map((step) => step.logLikelihood);
    if (now === undefined) return Infinity;
    const [earlier, last] = [middle - before, now - middle];
    if (last <= 0) return 0; // rounding
    return last < earlier ? last / (1 - last / earlier) : Infinity;
  }
}
