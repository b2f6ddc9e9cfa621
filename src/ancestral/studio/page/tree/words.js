// The values of columns in words: levels, numbers in their own unit, dates.

import { fixed, significant } from "../kit.js";
import { ticks } from "../plot.js";
import { hasLevels } from "./circuit.js";

const DAY = 86_400_000; // ms

const dateOf = (days) => new Date(days * DAY).toISOString().slice(0, 10);
export const daysOf = (text) => Date.parse(text) / DAY;

/** Return a value as people write it. */
export function spelt(column, value) {
  const { of, grid, scale, low, high } = column;
  if (hasLevels(column)) return column.levels[value];
  if (of === "date") return dateOf(value);
  const unit = of === "duration" ? " days" : "";
  if (column.kind === "count") return fixed(value, 0);
  if (grid) return fixed(value, decimals(grid)) + unit;
  if (scale.kind !== "identity") return significant(value, 3) + unit;
  return fixed(value, Math.max(0, Math.ceil(3 - Math.log10(high - low)))) + unit;
}

/** Return "44.1 ± 5.5", or the mean alone: digits as the spread lets one read them. */
export function speltMoments({ of }, { mean, sd }, isShort = false) {
  const digits = Math.max(0, 1 - Math.floor(Math.log10(sd || 1)));
  const found = of === "date" ? dateOf(mean) : digits > 6 ? significant(mean, 3) : fixed(mean, digits);
  return isShort ? found : `${found} ± ${significant(sd, 2)}${of === "date" ? " days" : ""}`;
}

function decimals(step) {
  for (let n = 0; n < 6; n++) if (Math.abs(step * 10 ** n - Math.round(step * 10 ** n)) < 1e-6) return n;
  return 6;
}

/** Return between what numbers a column may be fixed: the range drawn, and atoms outside it. */
export const rangeOf = ({ low, high, atoms }) => [Math.min(low, ...atoms), Math.max(high, ...atoms)];

/** Return a number as a reader would choose it: one that the column may hold, in its range. */
export function rounded(column, value) {
  const { low, high, grid, scale } = column;
  const held = Math.min(high, Math.max(low, value));
  if (column.kind === "count") return Math.round(held);
  if (!grid && scale.kind !== "identity") return Number(held.toPrecision(3));
  const step = grid || 10 ** Math.floor(Math.log10((high - low) / 200));
  return Number((Math.round(held / step) * step).toPrecision(12));
}

/** Return marks along a column's axis: at most about so many. */
export function marksOf(column, most) {
  const { low, high, scale, of, kind, atoms } = column;
  if (of === "date") return [low, high].map((value) => ({ value, text: dateOf(value) }));
  if (scale?.kind === "asinh") {
    const top = Math.floor(Math.log10(Math.max(-low, high)));
    const sizes = [-2, -1, 0].flatMap((k) => [10 ** (top + k), 3 * 10 ** (top + k)]);
    const all = [...sizes.map((v) => -v).reverse(), 0, ...sizes];
    return all.filter((v) => v >= low && v <= high).map((value) => ({ value, text: significant(value, 1) }));
  }
  const found = ticks({ low, high, log: scale?.kind === "log", whole: kind === "count" }, most);
  const outside = atoms.filter((v) => v < low).map((value) => ({ value, text: significant(value, 2) }));
  return [...outside.slice(0, 1), ...found];
}
