// Curves: y | x ~ N(f(x), s(x)^2). A curve is { mean(x), logVariance(x) }, whatever gave it.
//
// Fitted: f a polynomial, and log s^2(x) = v0 + v1 x, where v1 is 0 unless the variance depends on x.
// f is held in polynomials that are orthonormal over the points, so that no degree loses digits.

import { cholesky, dot, mean, solveLower, solveUpper, unpack } from "../arrays.js";

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

export const DEGREES = 9;

/** Polynomials p_0 ... of x, orthonormal over points: sum_i weight_i p_j(x_i) p_k(x_i) = [j = k].
 *
 * Each is the one before times t = (x - centre) / scale, less its parts along all before (twice, for
 * the digits), over its length; there are as many as the points determine, `degree` + 1 at most.
 */
class Basis {
  constructor(x, weights, degree) {
    this.weights = weights;
    this.centre = mean(x);
    this.scale = x.reduce((most, v) => Math.max(most, Math.abs(v - this.centre)), 0) || 1;
    this.t = Float64Array.from(x, (v) => (v - this.centre) / this.scale);
    this.first = 1 / Math.sqrt(weights.reduce((a, b) => a + b, 0));
    this.columns = [new Float64Array(x.length).fill(this.first)];
    this.steps = [];
    while (this.steps.length < degree && this.#add());
  }

  /** Add a polynomial; false where the points do not determine it. */
  #add() {
    const next = this.columns.at(-1).map((v, i) => v * this.t[i]);
    const before = this.along(next, next);
    const parts = new Float64Array(this.columns.length);
    for (let pass = 0; pass < 2; pass++)
      this.columns.forEach((column, j) => {
        const part = this.along(column, next);
        parts[j] += part;
        for (let i = 0; i < next.length; i++) next[i] -= part * column[i];
      });
    const square = this.along(next, next);
    if (!(square > 1e-18 * before)) return false;
    const length = Math.sqrt(square);
    this.columns.push(next.map((v) => v / length));
    this.steps.push({ parts, length });
    return true;
  }

  along(a, b) {
    let total = 0;
    for (let i = 0; i < a.length; i++) total += this.weights[i] * a[i] * b[i];
    return total;
  }

  /** Return p_0(x) ... p_degree(x). */
  at(x, degree) {
    const t = (x - this.centre) / this.scale;
    const found = new Float64Array(degree + 1);
    found[0] = this.first;
    for (let k = 0; k < degree; k++) {
      const { parts, length } = this.steps[k];
      let next = t * found[k];
      for (let j = 0; j <= k; j++) next -= parts[j] * found[j];
      found[k + 1] = next / length;
    }
    return found;
  }

  /** Return the coefficients of sum_k a_k p_k as powers of u = x - centre, the constant first. */
  powers(a) {
    const found = [[this.first]];
    this.steps.slice(0, a.length - 1).forEach(({ parts, length }, k) => {
      const term = (power) => found.reduce((sum, p, j) => sum + parts[j] * (p[power] ?? 0), 0);
      found.push([0, ...found[k]].map((v, power) => (v - term(power)) / length));
    });
    const sum = (power) => found.reduce((total, p, k) => total + a[k] * (p[power] ?? 0), 0);
    return found.map((_, power) => sum(power) / this.scale ** power);
  }

  /** Return the coefficients, up to a degree, of what lies nearest to values at the points. */
  project(values, degree) {
    return Float64Array.from(this.columns.slice(0, degree + 1), (column) => this.along(column, values));
  }

  /** Return sum_k a_k p_k at the points. */
  fitted(a) {
    const total = new Float64Array(this.t.length);
    a.forEach((share, k) => this.columns[k].forEach((v, i) => (total[i] += share * v)));
    return total;
  }
}

/** The likeliest curves of points, each fitted when it is first asked for. */
export class Fits {
  constructor(x, y) {
    Object.assign(this, { x, y, found: new Map() });
    if (!x.length) return;
    this.basis = new Basis(x, new Float64Array(x.length).fill(1), DEGREES);
    this.size = mean(y.map((v) => v * v));
  }

  /** Return the curve of a degree; null where the points have no finite maximum.
   *
   * `variance` is "constant" or "x". Beside the curve: `powers` of u = x - centre, `logLikelihood`,
   * `error(x)` and `reach(x)`, half the width of the 95 % intervals of the mean and of a new y, and
   * `information`, the sums of 1 / s^2(x), of it times u and of it times u^2.
   */
  at(degree, variance = "constant") {
    const key = `${degree} ${variance}`;
    if (!this.found.has(key)) this.found.set(key, this.#fit(degree, variance));
    return this.found.get(key);
  }

  #fit(degree, variance) {
    const { x, y, basis, size } = this;
    const freedom = x.length - degree - 1;
    if (freedom < (variance === "constant" ? 1 : 3) || basis.columns.length <= degree) return null;
    const a = basis.project(y, degree);
    const fitted = basis.fitted(a);
    const square = mean(fitted.map((v, i) => (y[i] - v) ** 2));
    if (!(square > 1e-20 * size)) return null;
    const c = [Math.log(square), 0];
    if (variance === "constant") {
      const unit = Math.sqrt((square * x.length) / freedom);
      return curveOf(basis, a, c, unit * studentPoint(freedom), x, y);
    }
    const log = climb(basis, y, { fitted, c }, degree);
    if (!log) return null;
    const slope = log[1] / basis.scale;
    const v = [log[0] - slope * basis.centre, slope];
    const weighted = new Basis(
      x,
      Float64Array.from(x, (at) => Math.exp(-v[0] - slope * at)),
      degree,
    );
    return curveOf(weighted, weighted.project(y, degree), v, NORMAL_POINT, x, y);
  }
}

/** Return sum_k a_k p_k with log variance v0 + v1 x; `width` is that of its interval, in lengths of p.
 *
 * Lengths are of p weighted by the precision at each x where the variance depends on it.
 */
function curveOf(basis, a, v, width, x, y) {
  const degree = a.length - 1;
  const curve = {
    v,
    centre: basis.centre,
    powers: basis.powers(a),
    mean: (at) => dot(a, basis.at(at, degree)),
    logVariance: (at) => v[0] + v[1] * at,
    error: (at) => width * Math.hypot(...basis.at(at, degree)),
    reach: (at) => width * Math.hypot(v[1] ? deviation(curve, at) : 1, ...basis.at(at, degree)),
    information: [0, 0, 0],
  };
  for (const at of x)
    for (let power = 0; power < 3; power++)
      curve.information[power] += Math.exp(-curve.logVariance(at)) * (at - basis.centre) ** power;
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
const ROUNDING = 1e-13; // of a likelihood: a step that loses no more gains
const STILL = 1e-8; // a step that moves no log variance further is the last
const DEEPEST = 28; // most that one can lie below that of one variance, in a fit that is real

/** Climb to the maximum by Fisher scoring; null where the variance runs away, and there is none.
 *
 * The log variance is c0 + c1 t, which comes back. The information is block diagonal: the mean's step
 * is to the weighted least squares, and the variance's solves two equations.
 */
function climb(basis, y, start, degree) {
  const { t, columns } = basis;
  const p = degree + 1;
  const ends = [Math.min(...t), Math.max(...t)]; // a line is largest at one of its ends
  const value = ({ fitted, c }) => {
    let total = 0;
    for (let i = 0; i < t.length; i++) {
      const h = c[0] + c[1] * t[i];
      total -= 0.5 * (LOG_2PI + h + (y[i] - fitted[i]) ** 2 * Math.exp(-h));
    }
    return total;
  };
  let at = { ...start, value: value(start) };
  for (let k = 0; k < 500; k++) {
    const [A, b, C, h] = [p * p, p, 3, 2].map((size) => new Float64Array(size));
    for (let i = 0; i < t.length; i++) {
      const weight = Math.exp(-(at.c[0] + at.c[1] * t[i]));
      for (let r = 0; r < p; r++) {
        const share = weight * columns[r][i];
        b[r] += share * y[i];
        for (let s = 0; s <= r; s++) A[r * p + s] += share * columns[s][i];
      }
      const excess = (y[i] - at.fitted[i]) ** 2 * weight - 1;
      for (let power = 0; power < 3; power++) C[power] += t[i] ** power;
      for (let power = 0; power < 2; power++) h[power] += excess * t[i] ** power;
    }
    const aim = solved(A, b);
    if (!aim) return null;
    const means = basis.fitted(aim);
    const determinant = C[0] * C[2] - C[1] * C[1];
    const step = [(C[2] * h[0] - C[1] * h[1]) / determinant, (C[0] * h[1] - C[1] * h[0]) / determinant];
    const reach = Math.max(...ends.map((u) => Math.abs(step[0] + step[1] * u)));
    let share = Math.min(1, LONGEST / reach);
    let next = null;
    for (; share > 1e-9; share /= 2) {
      next = {
        fitted: at.fitted.map((v, i) => v + share * (means[i] - v)),
        c: at.c.map((v, j) => v + share * step[j]),
      };
      next.value = value(next);
      if (next.value >= at.value - ROUNDING * Math.abs(at.value)) break;
    }
    if (!(share > 1e-9)) return at.c; // no step gains anything any more
    const isDone = reach < STILL && share === 1;
    at = next;
    const deepest = Math.min(...ends.map((u) => at.c[0] + at.c[1] * u)) - start.c[0];
    if (deepest < -DEEPEST) return null;
    if (isDone) return at.c;
  }
  return null;
}

/** Solve A a = b; null where weights differ so much that the spread is running away. */
function solved(A, b) {
  try {
    const root = cholesky(A, b.length);
    return solveUpper(root, b.length, solveLower(root, b.length, b));
  } catch {
    return null;
  }
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
