// Numbers: packed arrays from the server, small linear algebra, sums, random numbers.
// Matrices are { rows, cols, data } in C order; everything is computed in float64.

const VIEWS = {
  float32: Float32Array,
  float64: Float64Array,
  uint8: Uint8Array,
  int16: Int16Array,
  int32: Int32Array,
};

/** Return the array that Python packed, as { shape, data }; floats come back as float64. */
export function unpack({ dtype, shape, base64 }) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const values = new VIEWS[dtype](bytes.buffer);
  return { shape, data: dtype === "float32" ? Float64Array.from(values) : values };
}

/** Return a packed table as a matrix. */
export function unpackMatrix(packed) {
  const { shape, data } = unpack(packed);
  return { rows: shape[0], cols: shape[1], data };
}

export function row(matrix, i) {
  return matrix.data.subarray(i * matrix.cols, (i + 1) * matrix.cols);
}

export function dot(a, b) {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i] * b[i];
  return total;
}

/** Return the lower Cholesky factor of a symmetric positive definite n x n array. */
export function cholesky(A, n) {
  const L = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = A[i * n + j];
      for (let k = 0; k < j; k++) sum -= L[i * n + k] * L[j * n + k];
      if (i > j) L[i * n + j] = sum / L[j * n + j];
      else if (sum > 0) L[i * n + i] = Math.sqrt(sum);
      else throw new RangeError("the matrix is not positive definite");
    }
  }
  return L;
}

/** Solve L x = b for a lower triangular L. */
export function solveLower(L, n, b) {
  const x = Float64Array.from(b);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) x[i] -= L[i * n + k] * x[k];
    x[i] /= L[i * n + i];
  }
  return x;
}

/** Solve L^T x = b for a lower triangular L. */
export function solveUpper(L, n, b) {
  const x = Float64Array.from(b);
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) x[i] -= L[k * n + i] * x[k];
    x[i] /= L[i * n + i];
  }
  return x;
}

// ---- sums ------------------------------------------------------------------------------------

/** Return log(1 + exp(x)) without overflow. */
export const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

export const sigmoid = (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));

/** Return log(exp(a) + exp(b)). */
export function logAdd(a, b) {
  const high = Math.max(a, b);
  return high === -Infinity ? high : high + Math.log1p(Math.exp(Math.min(a, b) - high));
}

export function logSumExp(values) {
  let high = -Infinity;
  for (const value of values) high = Math.max(high, value);
  if (high === -Infinity) return high;
  let total = 0;
  for (const value of values) total += Math.exp(value - high);
  return high + Math.log(total);
}

/** A sum that carries what rounding drops (Neumaier 1974), so that small increases show. */
export class Sum {
  total = 0;
  dropped = 0;

  add(value) {
    const next = this.total + value;
    const isLarger = Math.abs(this.total) >= Math.abs(value);
    this.dropped += isLarger ? this.total - next + value : value - next + this.total;
    this.total = next;
  }

  get value() {
    return this.total + this.dropped;
  }
}

export const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

// ---- random numbers --------------------------------------------------------------------------

/** Mix 32 bits until every output bit depends on every input bit (Murmur's finaliser). */
function mix(x) {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Return a uniform number in (0, 1) that is the same for the same seed and counters. */
export function uniformAt(seed, i = 0, j = 0) {
  const high = mix(mix(mix(seed + 0x9e3779b9) + Math.imul(i + 1, 0x9e3779b1)) + Math.imul(j + 1, 0x85ebca77));
  const low = mix(high ^ 0x5bd1e995);
  return (high * 1048576 + (low >>> 12) + 0.5) / 4503599627370496; // 52 bits, never 0 or 1
}

/** A stream of random numbers that a seed determines. */
export class Random {
  constructor(seed) {
    this.seed = seed >>> 0;
    this.count = 0;
  }

  uniform() {
    return uniformAt(this.seed, this.count++, 0x51ed);
  }

  normal() {
    const radius = Math.sqrt(-2 * Math.log(this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  normals(n) {
    return Float64Array.from({ length: n }, () => this.normal());
  }
}

/** Return a fresh seed, small enough to read in an address. */
export const newSeed = () => Math.floor(Math.random() * 1e6);

// ---- images ----------------------------------------------------------------------------------

/** Average an image into another size by overlapping areas. */
export function areaAverage(image, [height, width], [toHeight, toWidth]) {
  const across = weights(width, toWidth);
  const down = weights(height, toHeight);
  const result = new Float64Array(toHeight * toWidth);
  for (let i = 0; i < toHeight; i++)
    for (let j = 0; j < toWidth; j++)
      for (const [r, u] of down[i])
        for (const [c, v] of across[j]) result[i * toWidth + j] += u * v * image[r * width + c];
  return result;
}

/** Return, for each of `to` equal shares of `from` cells, the cells and how much each counts. */
function weights(from, to) {
  return Array.from({ length: to }, (_, k) => {
    const [start, end] = [(k * from) / to, ((k + 1) * from) / to];
    const cells = [];
    for (let c = Math.floor(start); c < Math.min(from, Math.ceil(end)); c++) {
      const overlap = Math.min(end, c + 1) - Math.max(start, c);
      if (overlap > 0) cells.push([c, overlap / (end - start)]);
    }
    return cells;
  });
}
