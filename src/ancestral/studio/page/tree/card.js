// A column on the stage: its levels as bars to press, or its density as a curve to drag on.
//
// Filled: what the column is now. Outlined: what it was before anything was fixed.

import { arrows, fixed, follow, svg } from "../kit.js";
import { forward, hasLevels, inverse } from "./circuit.js";
import { marksOf, rounded, spelt, speltMoments } from "./words.js";

const HEAD = 20; // px
const FOOT = 15;
const PAD = 7;
const ROW = 13; // of a level, at least
const TALLEST = 40;
const SHARE = 54; // of the text "100 %"
const NARROW = 230; // px of a card that has no room for "± 5.5": its line shows it
const SQUEEZED = 0.84; // of its width that a name may have
const NEAR = 5; // px from an atom that take it
const pen = document.createElement("canvas").getContext("2d");

export class Card {
  /** `room` has trees, before (the answer when nothing is fixed), fix(i, value), choose(i). */
  constructor(room, i) {
    Object.assign(this, { room, i, column: room.trees.columns[i] });
    this.node = svg("g", { role: "group", "aria-label": this.column.name });
  }

  place({ x, y, w, h, unit }) {
    Object.assign(this, { x, y, w, h, unit });
    pen.font = `600 ${13 * unit}px system-ui, sans-serif`;
    this.frame = svg("rect", { class: "card", x, y, width: w, height: h, rx: 6 * unit });
    this.name = svg("text", { class: "name", x: x + PAD * unit, y: y + 15 * unit });
    this.value = svg("text", {
      class: "value",
      x: x + w - PAD * unit,
      y: y + 15 * unit,
      "text-anchor": "end",
    });
    this.cross = svg("text", { x: x + w - 11 * unit, y: y + 15.5 * unit, "text-anchor": "middle" }, "×");
    const [cx, side] = [x + w - 22 * unit, 22 * unit];
    this.release = svg(
      "g",
      { class: "release", role: "button", tabindex: 0, "aria-label": `release ${this.column.name}` },
      svg("rect", { x: cx, y, width: side, height: side, fill: "transparent" }),
      this.cross,
    );
    press(this.release, () => this.room.fix(this.i, null));
    press(this.name, () => this.room.choose(this.i));
    const parts = hasLevels(this.column) ? this.#placeLevels() : this.#placeCurve();
    this.node.replaceChildren(this.frame, this.name, this.value, ...parts, this.release);
  }

  /** Draw an answer; `value` is what the column is fixed at, `drawn` what a row drew, if any. */
  draw(answer, value, drawn, isChosen) {
    const { column, w, unit } = this;
    const isFixed = value !== null;
    this.node.classList.toggle("is-fixed", isFixed);
    this.node.classList.toggle("is-chosen", isChosen);
    this.release.style.display = isFixed ? "" : "none";
    const isDrawn = drawn !== null && !isFixed && !hasLevels(column);
    this.value.classList.toggle("drawn", isDrawn);
    this.value.setAttribute("x", this.x + w - (isFixed ? 22 : PAD) * unit);
    this.#drawHead(this.#told(answer, value, isDrawn ? drawn : null), isFixed);
    if (hasLevels(column)) this.#drawLevels(answer, value, drawn);
    else this.#drawCurve(answer, value, drawn);
  }

  /** What may stand beside the name, the longest first. */
  #told(answer, value, drawn) {
    const { column, w, unit, fits } = this;
    if (value !== null) return hasLevels(column) ? ["fixed", ""] : [`= ${spelt(column, value)}`];
    if (hasLevels(column)) return fits < column.levels.length ? [`${fits} of ${column.levels.length}`] : [""];
    if (drawn !== null) return [`◆ ${spelt(column, drawn)}`, spelt(column, drawn)];
    const moments = this.room.trees.moments(this.i, answer);
    return [w < NARROW * unit, true].map((isShort) => speltMoments(column, moments, isShort)).concat("");
  }

  /** The name, somewhat narrower where that lets it stand whole, and as much beside it as fits. */
  #drawHead(told, isFixed) {
    const { w, unit, column } = this;
    const long = pen.measureText(column.name).width;
    const left = (said) =>
      w - 2 * PAD * unit - pen.measureText(said).width - (isFixed ? 22 : said ? 8 : 0) * unit;
    const said = told.find((text) => SQUEEZED * long <= left(text)) ?? told.at(-1);
    this.value.textContent = said;
    const name = cut(column.name, left(said) / SQUEEZED);
    this.name.replaceChildren(name, svg("title", {}, column.name));
    const length = Math.min(pen.measureText(name).width, left(said));
    this.name.setAttribute("textLength", length.toFixed(1));
    this.name.setAttribute("lengthAdjust", "spacingAndGlyphs");
  }

  // ---- levels ----------------------------------------------------------------------------------------

  #placeLevels() {
    const { w, h, unit, column } = this;
    const room = h - (HEAD + 4) * unit;
    this.fits = Math.max(1, Math.min(column.levels.length, Math.floor(room / (ROW * unit))));
    this.tall = Math.min(TALLEST * unit, room / this.fits);
    const widest = Math.max(...column.levels.map((level) => pen.measureText(level).width));
    const most = Math.min(0.55 * w, w - (PAD + 12 + SHARE + 16) * unit);
    this.start = this.x + (PAD + 12) * unit + Math.min(widest + 6 * unit, most);
    this.rows = Array.from({ length: this.fits }, (_, r) => {
      const [top, bar] = [this.y + HEAD * unit + r * this.tall, Math.min(0.75 * this.tall, 20 * unit)];
      const middle = top + this.tall / 2;
      const at = { y: middle - bar / 2, height: bar, x: this.start };
      const row = {
        mark: svg("text", { class: "mark", x: this.x + PAD * unit, y: middle + 4.5 * unit }),
        label: svg("text", { x: this.x + (PAD + 12) * unit, y: middle + 4.5 * unit }),
        now: svg("rect", { class: "now-bar", ...at }),
        was: svg("rect", { class: "was-bar", ...at }),
        share: svg("text", { x: this.x + w - PAD * unit, y: middle + 4.5 * unit, "text-anchor": "end" }),
        hit: svg("rect", { x: this.x + 2, y: top, width: w - 4, height: this.tall, fill: "transparent" }),
      };
      row.node = svg("g", { class: "choice-row", role: "button", tabindex: 0 }, ...Object.values(row));
      press(row.node, () => this.room.fix(this.i, row.node.ariaPressed === "true" ? null : row.level));
      return row;
    });
    return this.rows.map(({ node }) => node);
  }

  /** Which levels have a row: the most probable at first, that which is fixed or drawn among them. */
  #levelsShown(was, value, drawn) {
    const { fits, column } = this;
    const all = column.levels.map((_, level) => level);
    if (all.length <= fits) return all;
    const asked = [value, drawn].filter((level, k, both) => level !== null && both.indexOf(level) === k);
    const ranked = [...asked, ...all.filter((k) => !asked.includes(k)).sort((a, b) => was[b] - was[a])];
    return ranked.slice(0, fits).sort((a, b) => a - b);
  }

  #drawLevels(answer, value, drawn) {
    const { trees, before } = this.room;
    const { column, w, unit, start, x } = this;
    const was = trees.masses(this.i, before);
    const now = value === null ? trees.masses(this.i, answer) : was.map((_, k) => Number(k === value));
    // Many levels are all improbable: their bars take more of the card.
    const full = Math.max(Math.min(1, 3 * Math.max(...was)), ...now);
    const length = (x + w - SHARE * unit - start) / full;
    this.#levelsShown(was, value, drawn).forEach((level, r) => {
      const { node, mark, label, now: bar, was: outline, share } = this.rows[r];
      const isDrawn = drawn === level && value === null;
      Object.assign(this.rows[r], { level });
      mark.textContent = isDrawn ? "◆" : level === value ? "●" : "";
      mark.classList.toggle("drawn", isDrawn);
      label.textContent = cut(column.levels[level], start - x - (PAD + 14) * unit);
      bar.setAttribute("width", now[level] * length);
      outline.setAttribute("width", was[level] * length);
      share.textContent = percent(now[level]);
      node.setAttribute("aria-pressed", level === value);
      node.setAttribute("aria-label", `${column.name} = ${column.levels[level]}`);
      node.setAttribute("aria-description", percent(now[level]) + (isDrawn ? ", drawn" : ""));
    });
  }

  // ---- numbers ---------------------------------------------------------------------------------------

  /** Return a number's place on the axis, which is even on the column's own scale. */
  #px(value) {
    const { low, high, scale } = this.column;
    const [a, b, v] = scale ? [low, high, value].map((x) => forward(scale, x)) : [low, high, value];
    const share = Math.min(1.02, Math.max(-0.02, (v - a) / (b - a || 1)));
    return this.left + share * this.length;
  }

  #valueAt(event) {
    const { low, high, scale, atoms } = this.column;
    const px = event.clientX - this.node.ownerSVGElement.getBoundingClientRect().left;
    const atom = atoms.find((a) => Math.abs(this.#px(a) - px) < NEAR * this.unit);
    if (atom !== undefined) return atom;
    const share = (px - this.left) / this.length;
    const [a, b] = scale ? [low, high].map((x) => forward(scale, x)) : [low, high];
    const held = a + Math.min(1, Math.max(0, share)) * (b - a);
    return rounded(this.column, scale ? inverse(scale, held) : held);
  }

  #placeCurve() {
    const { x, y, w, h, unit, column, i, room } = this;
    this.left = x + 10 * unit;
    this.length = w - 20 * unit;
    this.top = y + (HEAD + 4) * unit;
    this.base = y + h - (FOOT + 5) * unit;
    this.was = svg("path", { class: "was" });
    this.now = svg("path", { class: "now-curve" });
    this.atoms = svg("g");
    this.spread = svg("path", { class: "spread" });
    this.line = svg("path", { class: "fixed-line" });
    this.drawn = svg("path", { class: "drawn" });
    let free = x; // from where a mark lies on no other
    const marks = marksOf(column, Math.max(5, w / (45 * unit))).map(({ value, text }) => {
      const [at, half] = [this.#px(value), pen.measureText(text).width / 2];
      const middle = Math.min(x + w - half - 3, Math.max(x + half + 3, at));
      if (middle - half < free) return [];
      free = middle + half + 4 * unit;
      return [
        svg("path", { class: "axis", d: `M${at} ${this.base}v${3 * unit}` }),
        svg("text", { class: "tick", x: middle, y: this.base + 14 * unit, "text-anchor": "middle" }, text),
      ];
    });
    this.slider = svg(
      "g",
      {
        class: "drag",
        role: "slider",
        tabindex: 0,
        "aria-valuemin": column.low,
        "aria-valuemax": column.high,
      },
      svg("rect", {
        x: x + 2,
        y: y + HEAD * unit,
        width: w - 4,
        height: h - HEAD * unit - 2,
        fill: "transparent",
      }),
      svg("path", { class: "axis", d: `M${this.left} ${this.base}h${this.length}` }),
      ...marks.flat(),
      this.was,
      this.now,
      this.atoms,
      this.spread,
      this.drawn,
      this.line,
    );
    const set = (event) => room.fix(i, this.#valueAt(event));
    follow(this.slider, { start: set, move: set });
    this.slider.addEventListener("keydown", (event) => {
      if (["Delete", "Backspace", "Escape"].includes(event.key)) return room.fix(i, null);
      const step = arrows(event);
      if (step) room.fix(i, this.#moved(step[0] + step[1]));
    });
    return [this.slider];
  }

  /** Return the number some steps from where the column is fixed, or from its mean. */
  #moved(steps) {
    const { column, from } = this;
    const grid = column.kind === "count" ? 1 : column.grid;
    const step = Math.max(grid, (column.high - column.low) / 100);
    return rounded(column, from + steps * step);
  }

  #drawCurve(answer, value, drawn) {
    const { trees, before } = this.room;
    const { i, column, base, top, unit, slider } = this;
    const curves = [trees.curve(i, before), trees.curve(i, answer)];
    const moments = trees.moments(i, answer);
    this.from = value ?? moments.mean; // where arrow keys start
    const height = (base - top) / Math.max(1e-300, ...curves[0], ...(value === null ? curves[1] : []));
    const path = (curve) => {
      const { x } = trees.grids[i];
      const points = Array.from(
        curve,
        (p, j) => `${this.#px(x[j]).toFixed(1)} ${(base - p * height).toFixed(1)}`,
      );
      return `M${this.#px(x[0])} ${base}L${points.join("L")}V${base}Z`;
    };
    this.was.setAttribute("d", path(curves[0]));
    this.now.setAttribute("d", value === null ? path(curves[1]) : "");
    this.#drawAtoms(answer, value);
    const { mean, sd } = moments;
    const ends = [mean - sd, mean + sd].map((v) => Math.min(column.high, Math.max(column.low, v)));
    const [a, b] = ends.map((v) => this.#px(v));
    const isShort = value !== null || mean < column.low || mean > column.high;
    this.spread.setAttribute(
      "d",
      isShort ? "" : `M${a} ${base}H${b}M${this.#px(mean)} ${base - 4 * unit}v${8 * unit}`,
    );
    this.line.setAttribute(
      "d",
      value === null ? "" : `M${this.#px(value)} ${top - 2 * unit}V${base + 3 * unit}`,
    );
    const isDrawn = drawn !== null && value === null;
    this.drawn.setAttribute("d", isDrawn ? `M${this.#px(drawn)} ${top}V${base}` : "");
    slider.setAttribute("aria-label", column.name);
    slider.setAttribute("aria-valuenow", value ?? mean);
    const text = value === null ? `not fixed, ${speltMoments(column, moments)}` : spelt(column, value);
    slider.setAttribute("aria-valuetext", isDrawn ? `${text}, drawn ${spelt(column, drawn)}` : text);
  }

  /** Values of a probability of their own: a stem each, as high as that. */
  #drawAtoms(answer, value) {
    const { trees, before } = this.room;
    const { column, base, top, i } = this;
    if (!column.atoms.length) return;
    const stems = [["was-stem", trees.masses(i, before)]];
    if (value === null) stems.push(["now-stem", trees.masses(i, answer)]);
    this.atoms.replaceChildren(
      ...stems.flatMap(([name, p]) =>
        column.atoms.map((atom, k) =>
          svg("path", { class: name, d: `M${this.#px(atom)} ${base}V${base - p[k] * (base - top)}` }),
        ),
      ),
    );
  }
}

const percent = (p) => (p > 0 && p < 0.005 ? "<1 %" : `${fixed(100 * p, 0)} %`);

/** Return as much of a text as a width holds. */
function cut(text, width) {
  if (pen.measureText(text).width <= width) return text;
  let n = text.length;
  while (n > 1 && pen.measureText(`${text.slice(0, n)}…`).width > width) n--;
  return `${text.slice(0, n)}…`;
}

/** Press a node of a picture as one presses a button. */
function press(node, action) {
  node.addEventListener("click", action);
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    action();
  });
}
