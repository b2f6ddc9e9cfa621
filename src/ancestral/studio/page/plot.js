// Axes, scales and contours in SVG: a plot redraws itself at the size it is given.

import { el, fixed, svg } from "./kit.js";

const MARGIN = { top: 12, right: 14, bottom: 44, left: 54 };

export class Plot {
  /**
   * @param label what a screen reader says it is.
   * @param x,y { label, low, high, log } of the axes; change them and call `draw`. `names` are those
   *   of the places 0, 1, ... of an axis of levels.
   * @param paint called with the plot when it must be drawn.
   * @param fills whether it is as high as what holds it; else its height is `ratio` of its width.
   * @param isEqual whether a unit is as long on one axis as on the other: x then spans what fits.
   */
  constructor({
    label,
    x,
    y,
    ratio = 0.66,
    least = 220,
    paint,
    focusable = false,
    margin = {},
    fills = false,
    isEqual = false,
  }) {
    Object.assign(this, { x, y, ratio, least, paint, fills, isEqual });
    this.margin = { ...MARGIN, ...margin };
    this.axes = svg("g", { class: "axes", "aria-hidden": "true" });
    this.back = svg("g");
    this.data = svg("g");
    this.front = svg("g");
    const role = focusable ? "application" : "img";
    this.svg = svg(
      "svg",
      { class: "plot", role, "aria-label": label, tabindex: focusable ? 0 : null },
      this.axes,
      this.back,
      this.data,
      this.front,
    );
    this.node = el("div", { class: fills ? "plot-frame fills" : "plot-frame" }, this.svg);
    this.width = 0;
    this.unit = 1;
    new ResizeObserver(() => this.#fit()).observe(this.node);
  }

  #fit() {
    const { clientWidth: width, clientHeight } = this.node;
    this.unit = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
    const height = this.fills
      ? clientHeight
      : Math.round(Math.max(this.least * this.unit, width * this.ratio));
    if (!width || !height || (width === this.width && height === this.height)) return;
    Object.assign(this, { width, height });
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    this.draw();
  }

  draw() {
    if (!this.width) return;
    if (this.isEqual) this.#equalise();
    this.#drawAxes();
    this.paint?.(this);
  }

  #equalise() {
    const { left, right, top, bottom } = this.inner;
    const reach = (((this.y.high - this.y.low) / 2) * (right - left)) / (bottom - top);
    const middle = (this.x.low + this.x.high) / 2;
    [this.x.low, this.x.high] = [middle - reach, middle + reach];
  }

  // ---- scales ----

  get inner() {
    const { top, right, bottom, left } = this.margin;
    const { unit, width, height } = this;
    return {
      left: left * unit,
      top: top * unit,
      right: width - right * unit,
      bottom: height - bottom * unit,
    };
  }

  px(value) {
    const { left, right } = this.inner;
    return left + share(this.x, value) * (right - left);
  }

  py(value) {
    const { top, bottom } = this.inner;
    return bottom - share(this.y, value) * (bottom - top);
  }

  /** Data coordinates of a pointer event. */
  at(event) {
    const box = this.svg.getBoundingClientRect();
    const { left, right, top, bottom } = this.inner;
    return [
      value(this.x, (event.clientX - box.left - left) / (right - left)),
      value(this.y, (bottom - (event.clientY - box.top)) / (bottom - top)),
    ];
  }

  // ---- axes ----

  #drawAxes() {
    const { left, right, top, bottom } = this.inner;
    const { unit } = this;
    const parts = [];
    for (const tick of ticks(this.x, (right - left) / (70 * unit))) {
      const at = this.px(tick.value);
      parts.push(svg("line", { class: "grid", x1: at, x2: at, y1: top, y2: bottom }));
      parts.push(svg("text", { x: at, y: bottom + 17 * unit, "text-anchor": "middle" }, tick.text));
    }
    for (const tick of this.y.hidden ? [] : ticks(this.y, (bottom - top) / (42 * unit))) {
      const at = this.py(tick.value);
      parts.push(svg("line", { class: "grid", x1: left, x2: right, y1: at, y2: at }));
      parts.push(svg("text", { x: left - 8 * unit, y: at + 4 * unit, "text-anchor": "end" }, tick.text));
    }
    parts.push(svg("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
    parts.push(svg("line", { class: "axis", x1: left, x2: left, y1: top, y2: bottom }));
    if (this.x.label)
      parts.push(
        svg(
          "text",
          { class: "name", x: (left + right) / 2, y: this.height - 8 * unit, "text-anchor": "middle" },
          this.x.label,
        ),
      );
    if (this.y.label) {
      const [cx, cy] = [13 * unit, (top + bottom) / 2];
      parts.push(
        svg(
          "text",
          { class: "name", x: cx, y: cy, "text-anchor": "middle", transform: `rotate(-90 ${cx} ${cy})` },
          this.y.label,
        ),
      );
    }
    this.axes.replaceChildren(...parts);
  }

  /** Return a path through points in data coordinates. */
  line(points, attributes) {
    const d = points.map(([x, y], i) => `${i ? "L" : "M"}${round(this.px(x))} ${round(this.py(y))}`).join("");
    return svg("path", { d, fill: "none", ...attributes });
  }

  /** Return the closed band between two lists of points. */
  band(lower, upper, attributes) {
    const corner = ([x, y]) => `${round(this.px(x))} ${round(this.py(y))}`;
    const d = `M${[...lower, ...[...upper].reverse()].map(corner).join("L")}Z`;
    return svg("path", { d, ...attributes });
  }

  /** Return a group that shows nothing outside the axes. */
  clipped(...children) {
    const { left, right, top, bottom } = this.inner;
    const id = `clip-${(clips += 1)}`;
    const box = svg("rect", {
      x: left,
      y: top,
      width: Math.max(0, right - left),
      height: Math.max(0, bottom - top),
    });
    return svg("g", { "clip-path": `url(#${id})` }, svg("clipPath", { id }, box), ...children);
  }
}

let clips = 0;
const round = (v) => Math.round(v * 100) / 100;

function share({ low, high, log }, v) {
  return log ? (Math.log(v) - Math.log(low)) / (Math.log(high) - Math.log(low)) : (v - low) / (high - low);
}

function value({ low, high, log }, s) {
  return log ? Math.exp(Math.log(low) + s * (Math.log(high) - Math.log(low))) : low + s * (high - low);
}

/** Return round numbers along an axis, at most about `most` of them. */
export function ticks({ low, high, log, whole, names }, most) {
  if (log) return logTicks(low, high, most);
  if (names) return nameTicks(names, most);
  const rough = (high - low) / Math.max(3, Math.min(most, 8));
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].find((k) => k * power >= rough * 0.999) * power;
  if (whole) step = Math.max(1, Math.round(step));
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++)
    found.push({ value: k * step, text: fixed(k * step, digits) });
  return found;
}

/** Every name where there is room; else every second, third, ... */
function nameTicks(names, most) {
  const longest = Math.min(12, Math.max(...names.map((name) => name.length)));
  const every = Math.ceil((names.length * (longest + 1)) / (10 * Math.max(1, most))); // a tick has ten letters
  const text = (name) => (name.length > 12 ? `${name.slice(0, 11)}…` : name);
  return names.flatMap((name, value) => (value % every ? [] : [{ value, text: text(name) }]));
}

function logTicks(low, high, most) {
  const found = [];
  const decades = Math.log10(high / low);
  const marks = decades > most / 2 ? [1] : decades > most / 3 ? [1, 3] : [1, 2, 5];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
    for (const mark of marks) {
      const v = mark * 10 ** power;
      if (v >= low * 0.999 && v <= high * 1.001)
        found.push({ value: v, text: String(Number(v.toPrecision(2))).replace("-", "−") });
    }
  return found;
}

/** Return a range with some room on both sides. */
export function padded(values, share = 0.06) {
  let [low, high] = [Infinity, -Infinity];
  for (const v of values) [low, high] = [Math.min(low, v), Math.max(high, v)];
  if (!(high > low)) return [low - 1 || -1, high + 1 || 1];
  const room = share * (high - low);
  return [low - room, high + room];
}

// ---- contours ------------------------------------------------------------------------------------

/** Return the contour of a grid at one level as line segments in grid coordinates.
 *
 * `values[r * cols + c]` lies at (c, r); marching squares, saddles split by the mean.
 */
export function contour(values, rows, cols, level) {
  const segments = [];
  for (let r = 0; r + 1 < rows; r++) {
    for (let c = 0; c + 1 < cols; c++) {
      const at = r * cols + c;
      const [v00, v01, v11, v10] = [values[at], values[at + 1], values[at + cols + 1], values[at + cols]];
      const above = (v00 > level) + (v01 > level) + (v11 > level) + (v10 > level);
      if (above === 0 || above === 4) continue; // most cells
      const corners = [v00, v01, v11, v10];
      if (!corners.every(Number.isFinite)) continue;
      const places = [
        [c, r],
        [c + 1, r],
        [c + 1, r + 1],
        [c, r + 1],
      ];
      const crossings = [];
      for (let k = 0; k < 4; k++) {
        const [v, w] = [corners[k], corners[(k + 1) % 4]];
        if (v > level === w > level) continue;
        const t = (level - v) / (w - v);
        const [p, q] = [places[k], places[(k + 1) % 4]];
        crossings.push([p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])]);
      }
      if (crossings.length === 2) segments.push(crossings);
      if (crossings.length === 4) {
        const middle = corners.reduce((a, b) => a + b) / 4 > level;
        const joined =
          middle === corners[0] > level
            ? [
                [0, 1],
                [2, 3],
              ]
            : [
                [3, 0],
                [1, 2],
              ];
        for (const [i, j] of joined) segments.push([crossings[i], crossings[j]]);
      }
    }
  }
  return segments;
}

/** Return a square grid of smooth values at three times as many places, by cubics both ways. */
export function refined(values, size) {
  const turned = (grid, rows, cols) =>
    Float64Array.from({ length: rows * cols }, (_, k) => grid[(k % rows) * cols + Math.floor(k / rows)]);
  const long = 3 * size - 2;
  const across = lengthened(values, size, size);
  return turned(lengthened(turned(across, size, long), long, size), long, long);
}

/** Lengthen each row threefold: each place between two lies on the cubic through four. */
function lengthened(values, rows, cols) {
  const long = 3 * cols - 2;
  return Float64Array.from({ length: rows * long }, (_, k) => {
    const [row, at] = [Math.floor(k / long), (k % long) / 3];
    const first = row * cols + Math.min(cols - 4, Math.max(0, Math.floor(at) - 1));
    const t = at - (first - row * cols);
    const [p, q, r, s] = values.subarray(first, first + 4);
    return (
      (-p * (t - 1) * (t - 2) * (t - 3)) / 6 +
      (q * t * (t - 2) * (t - 3)) / 2 -
      (r * t * (t - 1) * (t - 3)) / 2 +
      (s * t * (t - 1) * (t - 2)) / 6
    );
  });
}

/** Return a path for each level of a square grid that spans the plot; `opacity(k)` is the k-th's. */
export function contourLines(plot, values, size, levels, opacity) {
  const along =
    ({ low, high }) =>
    (k) =>
      low + (k / (size - 1)) * (high - low);
  return levels.map((level, k) =>
    svg("path", {
      class: "contour",
      fill: "none",
      opacity: opacity(k),
      d: segmentsPath(plot, contour(values, size, size, level), along(plot.x), along(plot.y)),
    }),
  );
}

/** Return a cross at the maximum, which lies at (x, y). */
export function crossAt(plot, x, y) {
  const [cx, cy] = [plot.px(x), plot.py(y)];
  const arm = 7 * plot.unit;
  return svg("path", {
    class: "cross-best",
    d: `M${cx - arm} ${cy}h${2 * arm}M${cx} ${cy - arm}v${2 * arm}`,
  });
}

/** Return segments in data coordinates as one path. */
function segmentsPath(plot, segments, toX, toY) {
  return segments
    .map(
      ([p, q]) =>
        `M${round(plot.px(toX(p[0])))} ${round(plot.py(toY(p[1])))}L${round(plot.px(toX(q[0])))} ${round(plot.py(toY(q[1])))}`,
    )
    .join("");
}
