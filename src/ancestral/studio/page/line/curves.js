// Curves: y | x ~ N(f(x), s(x)^2). A curve is { mean(x), logVariance(x) }, whatever gave it.
//
// Fitted: f a polynomial, and log s^2(x) = v0 + v1 x, where v1 is 0 unless the variance depends on x.
// f is held in polynomials that are orthonormal over the points, so that no degree loses digits.

import { dot, mean, unpack } from "../arrays.js";

const LOG_2PI = Math.log(2 * Math.PI);
const FLOOR = 1e-6; // of a network's variance, in variances of y: that of NeuralGaussian
export const NORMAL_POINT = 1.959963984540054; // 97.5 %

// ---- likelihood --------------------------------------------------------------------------------------

/** Return log p(y | x) of one point. */
export function logDensity(curve, x, y) {
  const logVariance = curve.logVariance(x);
  return -0.5 * (LOG_2PI + logVariance + (y - curve.mean(x)) ** 2 * Math.exp(-logVariance));
}

/** Return log p(y | x) summed over points. */
export function logLikelihood(curve, x, y) {
  let total = 0;
  for (let i = 0; i < x.length; i++) total += logDensity(curve, x[i], y[i]);
  return total;
}

export const deviation = (curve, x) => Math.exp(0.5 * curve.logVariance(x));

export const sumOfSquares = (curve, x, y) => x.reduce((sum, v, i) => sum + (y[i] - curve.mean(v)) ** 2, 0);

// ---- polynomials ---------------------------------------------------------------------------------------

/** Polynomials p_0 ... p_degree of x, orthonormal over points: sum_i weight_i p_j(x_i) p_k(x_i) = [j = k].
 *
 * Each is the one before times t = (x - centre) / scale, less its parts along all before (twice, for
 * the digits), over its length. `isWhole` is false where the points leave some of them undetermined.
 */
class Basis {
  constructor(x, weights, degree) {
    this.centre = mean(x);
    this.scale = Math.max(...Array.from(x, (v) => Math.abs(v - this.centre))) || 1;
    this.steps = [];
    const t = Float64Array.from(x, (v) => (v - this.centre) / this.scale);
    const inner = (a, b) => a.reduce((sum, v, i) => sum + weights[i] * v * b[i], 0);
    this.first = 1 / Math.sqrt(weights.reduce((a, b) => a + b));
    this.columns = [t.map(() => this.first)];
    this.isWhole = true;
    for (let k = 0; k < degree; k++) {
      const next = t.map((v, i) => v * this.columns[k][i]);
      const before = inner(next, next);
      const parts = new Float64Array(k + 1);
      for (let pass = 0; pass < 2; pass++)
        this.columns.forEach((column, j) => {
          const part = inner(column, next);
          parts[j] += part;
          for (let i = 0; i < next.length; i++) next[i] -= part * column[i];
        });
      const square = inner(next, next);
      if (!(square > 1e-18 * before)) this.isWhole = false;
      const length = Math.sqrt(square);
      this.columns.push(next.map((v) => v / length));
      this.steps.push({ parts, length });
    }
    this.inner = inner;
  }

  /** Carry the recurrence out on anything that can be multiplied by t, added and scaled. */
  #recur(one, timesT, combine) {
    const found = [one];
    for (const { parts, length } of this.steps) {
      const next = timesT(found.at(-1));
      found.push(combine(next, found, parts, length));
    }
    return found;
  }

  /** Return p_0(x) ... p_degree(x). */
  at(x) {
    const t = (x - this.centre) / this.scale;
    return this.#recur(
      this.first,
      (p) => t * p,
      (next, found, parts, length) => (next - dot(parts, found)) / length,
    );
  }

  /** Return the powers' coefficients of sum_k a_k p_k in u = x - centre, the constant first. */
  powers(a) {
    const polynomials = this.#recur(
      [this.first],
      (p) => [0, ...p],
      (next, found, parts, length) =>
        next.map(
          (v, power) => (v - parts.reduce((sum, part, j) => sum + part * (found[j][power] ?? 0), 0)) / length,
        ),
    );
    return polynomials.map(
      (_, power) =>
        dot(
          a,
          polynomials.map((p) => p[power] ?? 0),
        ) /
        this.scale ** power,
    );
  }

  /** Return the coefficients of what lies nearest to values at the points. */
  project(values) {
    return this.columns.map((column) => this.inner(column, values));
  }

  /** Return sum_k a_k p_k at the points. */
  fitted(a) {
    return this.columns[0].map((_, i) => this.columns.reduce((sum, column, k) => sum + a[k] * column[i], 0));
  }
}

/** Return the likeliest curve of a degree; null where the points have no finite maximum.
 *
 * `variance` is "constant" or "x". Beside the curve: `powers` of u = x - centre, `logLikelihood`,
 * `error(x)`, half the width of the 95 % confidence interval of the mean, and `information`, the sums
 * of 1 / s^2(x), of it times u and of it times u^2.
 */
export function fitCurve(x, y, degree, variance = "constant") {
  const n = x.length;
  const freedom = n - degree - 1;
  if (freedom < (variance === "constant" ? 1 : 3)) return null;
  const basis = new Basis(x, new Float64Array(n).fill(1), degree);
  if (!basis.isWhole) return null;
  const fitted = basis.fitted(basis.project(y));
  const square = mean(fitted.map((v, i) => (y[i] - v) ** 2));
  if (!(square > 1e-20 * mean(Array.from(y, (v) => v * v)))) return null;
  const start = { fitted, c: [Math.log(square), 0] };
  if (variance === "constant")
    return curveOf(x, y, degree, {
      ...start,
      v: start.c,
      inflation: Math.sqrt(n / freedom) * studentPoint(freedom),
    });
  const at = climb(x, y, degree, basis, start);
  if (!at) return null;
  const slope = at.c[1] / basis.scale;
  return curveOf(x, y, degree, {
    ...at,
    v: [at.c[0] - slope * basis.centre, slope],
    inflation: NORMAL_POINT,
  });
}

/** Return a curve by its means at the points and its log variance v0 + v1 x. */
function curveOf(x, y, degree, { fitted, v, inflation }) {
  const weights = Float64Array.from(x, (value) => Math.exp(-v[0] - v[1] * value));
  const basis = new Basis(x, weights, degree); // in which the covariance of the mean's coefficients is I
  const a = basis.project(fitted);
  const curve = {
    v,
    centre: basis.centre,
    powers: basis.powers(a),
    mean: (at) => dot(a, basis.at(at)),
    logVariance: (at) => v[0] + v[1] * at,
    error: (at) => inflation * Math.hypot(...basis.at(at)),
    information: [0, 1, 2].map((power) =>
      weights.reduce((sum, weight, i) => sum + weight * (x[i] - basis.centre) ** power, 0),
    ),
  };
  return { ...curve, logLikelihood: logLikelihood(curve, x, y) };
}

/** Return a curve plus a line: its slope at the centre is then w, its height there c. */
export function tilted(curve, w, c) {
  const [height, slope] = curve.powers;
  return {
    ...curve,
    powers: [c, w, ...curve.powers.slice(2)],
    mean: (x) => curve.mean(x) + (c - height) + (w - slope) * (x - curve.centre),
  };
}

/** Standard errors of slope w and height c at the centre, what else a curve has held. */
export function standardErrors({ information: [p, q, r] }) {
  const determinant = p * r - q ** 2;
  return { w: Math.sqrt(p / determinant), c: Math.sqrt(r / determinant) };
}

/** The 97.5 % point of Student's t with so many degrees of freedom, to a thousandth of itself.
 *
 * In closed form for one and two; else about the normal's (Abramowitz & Stegun 26.7.5).
 */
function studentPoint(freedom) {
  if (freedom === 1) return Math.tan(0.475 * Math.PI);
  if (freedom === 2) return 0.95 * Math.sqrt(2 / (4 * 0.975 * 0.025));
  const z = NORMAL_POINT;
  const terms = [
    z,
    (z ** 3 + z) / 4,
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96,
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384,
    (79 * z ** 9 + 776 * z ** 7 + 1482 * z ** 5 - 1920 * z ** 3 - 945 * z) / 92160,
  ];
  return terms.reduceRight((sum, term) => sum / freedom + term, 0);
}

// ---- a variance that depends on x ------------------------------------------------------------------------

const LONGEST = 3; // most that a log variance changes in one step
const DEEPEST = 28; // most that one can lie below that of one variance, in a fit that is real

/** Climb to the maximum by Fisher scoring; null where the variance runs away, and there is none.
 *
 * The log variance is c0 + c1 t. The information is block diagonal: the mean's step is to the
 * weighted least squares, and the variance's solves two equations.
 */
function climb(x, y, degree, { centre, scale }, start) {
  const t = Float64Array.from(x, (v) => (v - centre) / scale);
  const ends = [Math.min(...t), Math.max(...t)]; // a line is largest at one of its ends
  const value = ({ fitted, c }) =>
    t.reduce((sum, u, i) => {
      const h = c[0] + c[1] * u;
      return sum - 0.5 * (LOG_2PI + h + (y[i] - fitted[i]) ** 2 * Math.exp(-h));
    }, 0);
  let at = { ...start, value: value(start) };
  for (let k = 0; k < 500; k++) {
    const weights = t.map((u) => Math.exp(-(at.c[0] + at.c[1] * u)));
    const basis = new Basis(x, weights, degree);
    const aim = basis.fitted(basis.project(y));
    const [C, h] = [
      [0, 0, 0],
      [0, 0],
    ];
    t.forEach((u, i) => {
      const excess = (y[i] - at.fitted[i]) ** 2 * weights[i] - 1;
      [1, u, u * u].forEach((term, j) => (C[j] += term));
      [excess, excess * u].forEach((term, j) => (h[j] += term));
    });
    const determinant = C[0] * C[2] - C[1] * C[1];
    const step = [(C[2] * h[0] - C[1] * h[1]) / determinant, (C[0] * h[1] - C[1] * h[0]) / determinant];
    const reach = Math.max(...ends.map((u) => Math.abs(step[0] + step[1] * u)));
    let share = Math.min(1, LONGEST / reach);
    let next = null;
    for (; share > 1e-9; share /= 2) {
      next = {
        fitted: at.fitted.map((v, i) => v + share * (aim[i] - v)),
        c: at.c.map((v, j) => v + share * step[j]),
      };
      next.value = value(next);
      if (next.value >= at.value) break;
    }
    if (!(next?.value >= at.value)) return at; // no step gains anything any more
    const isDone = next.value - at.value <= 1e-13 * Math.abs(at.value) && share === 1;
    at = next;
    const deepest = Math.min(...ends.map((u) => at.c[0] + at.c[1] * u)) - start.c[0];
    if (deepest < -DEEPEST) return null;
    if (isDone) return at;
  }
  return null;
}

// ---- saved curves ------------------------------------------------------------------------------------------

/** Return the curve that Python sent: a polynomial of u = x - centre, or a network. */
export function savedCurve(saved) {
  if (saved.layers) return network(saved);
  const { centre, coef, v } = saved;
  return {
    mean: (x) => coef.reduceRight((sum, power) => sum * (x - centre) + power, 0),
    logVariance: (x) => v[0] + v[1] * x,
  };
}

/** The curve of a NeuralGaussian of one input: tanh layers, and a line beside them. */
function network({ layers, head, line, input, target, noise }) {
  const read = ({ weight, bias }) => ({ weight: weight && unpack(weight).data, bias: unpack(bias).data });
  const [hidden, out] = [layers.map(read), read(head)];
  const times = ({ weight, bias }, h) =>
    bias.map((b, i) => b + dot(weight.subarray(i * h.length, (i + 1) * h.length), h));
  const forward = (x) => {
    const z = (x - input[0]) / input[1];
    const h = hidden.reduce((values, layer) => times(layer, values).map(Math.tanh), Float64Array.of(z));
    return (out.weight ? times(out, h) : out.bias).map((v, k) => v + line[k] * z);
  };
  return {
    mean: (x) => target[0] + target[1] * forward(x)[0],
    logVariance: (x) => 2 * Math.log(noise) + Math.log(Math.exp(forward(x)[1]) + FLOOR),
  };
}
