// A plane shaded by numbers on a square grid, and its contours with their labels.

import { Picture, svg } from "../kit.js";
import { contour } from "../plot.js";

/** Return the grid as an image over a plot's inside; `rgb(value)` is a place's colour. */
export function shaded(plot, values, size, rgb) {
  const picture = new Picture([size, size], "");
  picture.paint(values, (_, k) => rgb(values[(size - 1 - Math.floor(k / size)) * size + (k % size)]));
  const { left, right, top, bottom } = plot.inner;
  const margin = [right - left, bottom - top].map((length) => length / (size - 1) / 2); // places are middles
  return plot.clipped(
    svg("image", {
      href: picture.canvas.toDataURL(),
      preserveAspectRatio: "none",
      x: left - margin[0],
      y: top - margin[1],
      width: right - left + 2 * margin[0],
      height: bottom - top + 2 * margin[1],
    }),
  );
}

/** Return the contours of the grid, and a label for each where `best(place, others)` is largest: none
 * on the places that are taken. */
export function labelled(plot, values, size, levels, best, taken = []) {
  const { left, right, top, bottom } = plot.inner;
  const [across, down] = [(right - left) / (size - 1), (bottom - top) / (size - 1)];
  const place = ([c, r]) => [left + c * across, bottom - r * down];
  const [lines, labels] = [[], []];
  for (const { level, text } of levels) {
    const room = [(4 + 3.5 * text.length) * plot.unit, 11 * plot.unit]; // of half a label
    const segments = contour(values, size, size, level).map((ends) => ends.map(place));
    const d = segments.map(([p, q]) => `M${p.map(round).join(" ")}L${q.map(round).join(" ")}`).join("");
    lines.push(svg("path", { class: "contour", fill: "none", d }));
    const fits = ([x, y]) =>
      x > left + room[0] && x < right - room[0] && y > top + room[1] && y < bottom - room[1];
    const free = ([x, y]) =>
      [...labels, ...taken].every(
        ([u, v]) => Math.abs(x - u) > 1.5 * room[0] || Math.abs(y - v) > 1.5 * room[1],
      );
    const found = segments.map(([p]) => p).filter((p) => fits(p) && free(p));
    if (!found.length) continue;
    const score = (p) => best(p, labels);
    const at = found.reduce((held, p) => (score(p) > score(held) ? p : held));
    labels.push([...at, text]);
  }
  const named = ([x, y, text]) =>
    svg(
      "text",
      { class: "halo level-name", x, y, "text-anchor": "middle", "dominant-baseline": "central" },
      text,
    );
  return { lines, names: labels.map(named) };
}

const round = (v) => Math.round(10 * v) / 10;
