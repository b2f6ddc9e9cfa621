// y | x ~ N(w x + b, sigma^2), or with a variance that depends on x: sigma^2(x) = exp(v0 + v1 x).

import { mean } from "../arrays.js";

const LOG_2PI = Math.log(2 * Math.PI);
export const NORMAL_POINT = 1.959963984540054; // 97.5 %

/** Return what points share: n, means, and centred sums of squares and products. */
export function moments(x, y) {
  const [xBar, yBar] = [mean(x), mean(y)];
  let [sxx, sxy, syy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const [u, v] = [x[i] - xBar, y[i] - yBar];
    sxx += u * u;
    sxy += u * v;
    syy += v * v;
  }
  return { n: x.length, xBar, yBar, sxx, sxy, syy };
}

/** Maximum likelihood with one variance; null where the points do not determine it. */
export function fitLine(x, y) {
  if (x.length < 3) return null;
  const { n, xBar, yBar, sxx, sxy } = moments(x, y);
  if (!(sxx > 0)) return null;
  const w = sxy / sxx;
  const b = yBar - w * xBar;
  const variance = meanSquare(x, y, w, b);
  if (!(variance > 1e-20 * yBar * yBar)) return null;
  return {
    w,
    b,
    variance,
    v: [Math.log(variance), 0],
    logLikelihood: -0.5 * n * (LOG_2PI + Math.log(variance) + 1),
  };
}

function meanSquare(x, y, w, b) {
  let total = 0;
  for (let i = 0; i < x.length; i++) total += (y[i] - w * x[i] - b) ** 2;
  return total / x.length;
}

/** log p(y | x) summed over points, with log variance v0 + v1 x. */
export function logLikelihood(x, y, { w, b, v }) {
  let total = 0;
  for (let i = 0; i < x.length; i++) {
    const logVariance = v[0] + v[1] * x[i];
    total -= 0.5 * (LOG_2PI + logVariance + (y[i] - w * x[i] - b) ** 2 * Math.exp(-logVariance));
  }
  return total;
}

/** The information about a line: sums of 1 / sigma^2(x), of it times u, and of it times u^2.
 *
 * u = x - xBar, so that the line is given by its slope and its height at the mean of x.
 */
export function information(x, xBar, v) {
  const sums = [0, 0, 0];
  for (const value of x) {
    const weight = Math.exp(-(v[0] + v[1] * value));
    const u = value - xBar;
    sums[0] += weight;
    sums[1] += weight * u;
    sums[2] += weight * u * u;
  }
  return sums;
}

/** Standard errors of slope w and height c, and their covariance, from the information. */
export function standardErrors([p, q, r]) {
  const determinant = p * r - q ** 2;
  return {
    w: Math.sqrt(p / determinant),
    c: Math.sqrt(r / determinant),
    covariance: -q / determinant, // 0 when the variance is constant
  };
}

/** Errors and 97.5 % point that allow for one variance's being estimated with so much freedom. */
export function inference({ w, c, covariance }, freedom) {
  const scale = freedom === Infinity ? 1 : Math.sqrt((freedom + 2) / freedom);
  return { w: scale * w, c: scale * c, covariance: scale ** 2 * covariance, point: studentPoint(freedom) };
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

/** Maximum likelihood with log variance v0 + v1 x, by Fisher scoring.
 *
 * The information is block diagonal: weights exp(-v) for (w, b), one half each for v. Both blocks
 * are solved about the mean of x, scaled, so that they are well conditioned.
 */
export function fitHeteroscedastic(x, y) {
  const start = fitLine(x, y);
  if (!start || x.length < 5) return null;
  const { xBar, sxx } = moments(x, y);
  const scale = Math.sqrt(sxx / x.length);
  const u = Float64Array.from(x, (value) => (value - xBar) / scale);
  // about the mean of x: mean a0 + a1 u, log variance c0 + c1 u
  const first = { a: [start.b + start.w * xBar, start.w * scale], c: [Math.log(start.variance), 0] };
  const at = climb(u, y, first);
  if (!at) return null;
  const { a, c } = at;
  const w = a[1] / scale;
  return {
    w,
    b: a[0] - w * xBar,
    v: [c[0] - (c[1] * xBar) / scale, c[1] / scale],
    logLikelihood: at.value,
  };
}

const LONGEST = 3; // most that a log variance changes in one step
const DEEPEST = 28; // most that one can lie below that of the plain line, in a fit that is real

/** Climb to the maximum; null where the variance runs away instead, and there is none. */
function climb(u, y, first) {
  let at = { ...first, value: centredLikelihood(u, y, first) };
  const ends = [Math.min(...u), Math.max(...u)]; // a line is largest at one of its ends
  for (let k = 0; k < 200; k++) {
    const step = scoringStep(u, y, at);
    const reach = Math.max(...ends.map((v) => Math.abs(step.c[0] + step.c[1] * v)));
    let share = Math.min(1, LONGEST / reach);
    let next = null;
    for (; share > 1e-9; share /= 2) {
      next = moved(at, step, share);
      next.value = centredLikelihood(u, y, next);
      if (next.value >= at.value) break;
    }
    if (!(next.value >= at.value)) return at; // no step gains anything any more
    const isDone = next.value - at.value <= 1e-13 * Math.abs(at.value) && share === 1;
    at = next;
    const deepest = Math.min(...ends.map((v) => at.c[0] + at.c[1] * v)) - first.c[0];
    if (deepest < -DEEPEST) return null;
    if (isDone) return at;
  }
  return null;
}

function centredLikelihood(u, y, { a, c }) {
  return logLikelihood(u, y, { w: a[1], b: a[0], v: c });
}

/** The Fisher scoring step for both blocks at once. */
function scoringStep(u, y, { a, c }) {
  const A = [0, 0, 0]; // sums of weight, weight u, weight u^2
  const g = [0, 0];
  const C = [0, 0, 0];
  const h = [0, 0];
  for (let i = 0; i < u.length; i++) {
    const residual = y[i] - a[0] - a[1] * u[i];
    const weight = Math.exp(-(c[0] + c[1] * u[i]));
    const excess = 0.5 * (residual * residual * weight - 1);
    A[0] += weight;
    A[1] += weight * u[i];
    A[2] += weight * u[i] * u[i];
    g[0] += weight * residual;
    g[1] += weight * residual * u[i];
    C[0] += 0.5;
    C[1] += 0.5 * u[i];
    C[2] += 0.5 * u[i] * u[i];
    h[0] += excess;
    h[1] += excess * u[i];
  }
  return { a: solveTwo(A, g), c: solveTwo(C, h) };
}

function solveTwo([p, q, r], [s, t]) {
  const determinant = p * r - q * q;
  return [(r * s - q * t) / determinant, (p * t - q * s) / determinant];
}

function moved({ a, c }, step, share) {
  return {
    a: a.map((value, k) => value + share * step.a[k]),
    c: c.map((value, k) => value + share * step.c[k]),
  };
}
