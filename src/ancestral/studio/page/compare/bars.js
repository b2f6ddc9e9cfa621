// One bar a model: its mean with two standard errors, and its mean on the rows of its fit.

import { arrows, significant, svg } from "../kit.js";
import { Plot } from "../plot.js";
import { plural, reach } from "./scores.js";

export class Bars {
  constructor(models, unit, page) {
    Object.assign(this, { models, unit, page });
    this.plot = new Plot({
      label: `Mean log density of each of ${plural(models.length, "model")}. Arrow keys choose First.`,
      x: { label: `Mean log density, nats per ${unit}`, low: 0, high: 1 },
      y: { low: -models.length + 0.5, high: 0.5, hidden: true },
      margin: { top: 4, bottom: 38, right: 104 },
      fills: true,
      focusable: true,
      paint: (plot) => (this.#fitsNames(plot) ? this.#paintBars(plot) : plot.draw()),
    });
    this.plot.svg.addEventListener("click", (event) => this.#press(Math.round(-this.plot.at(event)[1])));
    this.plot.svg.addEventListener("keydown", (event) => {
      const [across, along] = arrows(event) ?? [0, 0];
      this.#press(page.state.first - 1 + Math.sign(across - along));
    });
  }

  draw() {
    const wanted = this.models.flatMap(({ mean, error, train }) => [
      mean,
      ...(Number.isFinite(mean) ? [mean + 2 * error] : []),
      ...(train === null ? [] : [train]),
    ]);
    const { low, high } = reach(wanted);
    const room = high - low || 1;
    Object.assign(this.plot.x, { low: low - 0.15 * room, high: high + 0.05 * room });
    this.plot.draw();
  }

  /** Give the names at most a third of the width; tell whether they had it already. */
  #fitsNames({ margin, width, unit }) {
    const longest = Math.max(...this.models.map(({ name }) => name.length));
    this.letters = Math.max(8, Math.min(longest, Math.floor((0.33 * width) / unit / 8)));
    const left = 8 * this.letters + 16; // bold letters are wider
    if (margin.left === left) return true;
    margin.left = left;
    return false;
  }

  #paintBars(plot) {
    plot.data.replaceChildren(...this.models.flatMap((model, i) => this.#bar(plot, model, i)));
  }

  /** A model's name, its bar with two standard errors, its mean on the rows of its fit, its score. */
  #bar(plot, { name, mean, error, train, impossible, is_of_these: isSeen }, i) {
    const { first, second } = this.page.state;
    const { unit, inner, width } = plot;
    const { low, high } = plot.x;
    const which = i + 1 === first ? "first" : i + 1 === second ? "second" : "rest";
    const held = (v) => plot.px(Math.min(high, Math.max(low, v)));
    const y = plot.py(-i);
    const thick = Math.min(0.6 * (plot.py(0) - plot.py(1)), 20 * unit);
    const text = (kind, x, anchor, ...said) =>
      svg("text", { class: kind, x, y: y + 4.5 * unit, "text-anchor": anchor }, ...said);
    const box = (kind, x, wide, high) =>
      svg("rect", { class: kind, x, width: wide, y: y - high / 2, height: high });
    const line = (kind, from, to) => svg("path", { class: kind, d: `M${held(from)} ${y}H${held(to)}` });
    const score = impossible ? `−∞ (${impossible})` : `${significant(mean, 4)} ± ${significant(error, 2)}`;
    const parts = [
      box("press", 0, width, 1.6 * thick),
      text(
        `name ${which}`,
        inner.left - 8 * unit,
        "end",
        shortened(name, this.letters),
        svg("title", {}, name),
      ),
      text("value", width - 2 * unit, "end", score),
    ];
    if (mean > low)
      parts.push(
        box(`bar ${which}${isSeen ? " seen" : ""}`, inner.left, held(mean) - inner.left, thick),
        line("whisker", mean - 2 * error, mean + 2 * error),
      );
    else {
      const why = impossible ? `${plural(impossible, this.unit)} impossible` : "◂ off the axis";
      parts.push(text("halo", inner.left + 4 * unit, "start", why));
    }
    if (train === null) return parts;
    const mark = { class: `train ${which}`, cx: held(train), cy: y, r: 4.5 * unit };
    const isIn = train >= low && train <= high;
    const ring = isIn ? svg("circle", mark) : text("", held(train), "middle", train > high ? "▸" : "◂");
    return [...parts, line("gap", mean, train), ring];
  }

  /** Make a model the first of the two, and the one that was first the second. */
  #press(i) {
    const { first } = this.page.state;
    if (i < 0 || i >= this.models.length || i + 1 === first) return;
    this.page.change({ first: i + 1, second: first });
  }
}

const shortened = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
