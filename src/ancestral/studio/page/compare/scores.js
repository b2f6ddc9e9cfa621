// What models say of rows: means, paired differences, and the range that most of them need.

/** Mean and standard error (divisor n - 1) of the mean. */
export function summary(values) {
  const n = values.length;
  const mean = values.reduce((a, b) => a + b, 0) / n;
  let square = 0;
  for (const v of values) square += (v - mean) ** 2;
  return { mean, error: Math.sqrt(square / (n - 1) / n) };
}

/** How much more a model says of each row than another; rows both find impossible differ by nothing. */
export const differences = (values, others) =>
  Float64Array.from(values, (v, i) => (v === others[i] ? 0 : v - others[i]));

/** How far a model is behind another, row by row. */
export const behind = (values, best) => summary(differences(best, values));

/** Return the range that most values need: ten times as far from the middle as half of them are.
 *
 * Those beyond it would flatten the rest; `below` and `above` count them.
 */
export function reach(values, times = 10) {
  const sorted = Float64Array.from(values).filter(Number.isFinite).sort();
  if (!sorted.length) return { low: -1, high: 0, below: values.length, above: 0 };
  const middle = sorted[Math.floor(sorted.length / 2)];
  const far = sorted
    .map((v) => Math.abs(v - middle))
    .filter((d) => d > 0)
    .sort();
  const most = times * (far[Math.floor((far.length - 1) / 2)] ?? 0);
  const near = sorted.filter((v) => Math.abs(v - middle) <= most);
  const [low, high] = [near[0] ?? middle, near.at(-1) ?? middle];
  const count = (isBeyond) => values.reduce((n, v) => n + (isBeyond(v) ? 1 : 0), 0);
  return { low, high, below: count((v) => v < low), above: count((v) => v > high) };
}

/** Places of values from the least to the largest. */
export function ordered(values) {
  return Int32Array.from(values, (_, i) => i).sort((i, j) =>
    values[i] === values[j] ? i - j : values[i] - values[j],
  );
}

export const plural = (n, one) => `${n.toLocaleString("en")} ${one}${n === 1 ? "" : "s"}`;
