// Compare models: one bar a model with its fit, and two of them row by row.

import { unpack, unpackMatrix, row as rowOf } from "../arrays.js";
import {
  Picture,
  arrows,
  button,
  el,
  follow,
  panel,
  remembered,
  select,
  significant,
  slider,
  svg,
} from "../kit.js";
import { Plot, ticks } from "../plot.js";
import { csv, standalone } from "../saving.js";
import { whole } from "../state.js";
import { Bars } from "./bars.js";
import { behind, differences, ordered, plural, reach, summary } from "./scores.js";

export const room = {
  state: ({ n, models }) => ({
    first: whole(1, models.length, 1), // places among the models, the best first
    second: whole(1, models.length, Math.min(2, models.length)),
    row: whole(1, n, 1),
  }),
  build: (data, page) => new Compare(data, page),
};

const signed = (value, digits = 2) => (value > 0 ? "+" : "") + significant(value, digits + 1);

class Compare {
  constructor(data, page) {
    Object.assign(this, { data, page, rows: null, walked: {}, picked: null });
    this.places = unpack(data.places).data;
    this.models = data.models.map((given) => {
      const values = unpack(given.values).data;
      const impossible = values.reduce((n, v) => n + (v === -Infinity ? 1 : 0), 0);
      return { ...given, values, impossible, ...summary(values) };
    });
    this.pair = remembered((first, second) => this.#paired(first, second));
    this.prompts = this.#prompts();
    this.stage = [this.#buildStage()];
    this.controls = [this.#buildPair(), this.#buildRow()];
    page.load("rows").then((rows) => {
      this.rows = { ...rows, images: rows.images && unpackMatrix(rows.images) };
      for (const column of rows.columns ?? []) column.values = column.texts ?? unpack(column.numbers).data;
      page.draw();
    });
  }

  #prompts() {
    const { models } = this;
    const gap = models.map(({ train, mean }) => (train ?? mean) - mean);
    const learnt = gap.indexOf(Math.max(...gap)) + 1;
    const first = this.data.fitted_here
      ? {
          text: `which model knows its ${this.data.unit}s by heart? Press its bar`,
          done: (s) => s.first === learnt,
        }
      : {
          text: "press the last bar: how far is it behind the first?",
          done: (s) => s.first === models.length,
        };
    return [
      first,
      {
        text: "find one where the better model is worse",
        done: (s) => this.picked === "by hand" && this.#isUpset(s),
      },
      {
        text: `see the hardest ${this.data.unit}s for the best model`,
        done: (s) => this.picked === "hard" && s.first === 1,
      },
    ];
  }

  #isUpset({ first, second, row }) {
    const { values, mean } = this.pair(first, second);
    return first !== second && values[row - 1] * mean < 0;
  }

  /** The differences of two models, row by row; of a model and itself, what it says. */
  #paired(first, second) {
    const [a, b] = [this.models[first - 1].values, this.models[second - 1].values];
    const isOne = first === second;
    const values = isOne ? a : differences(a, b);
    const order = ordered(values);
    const rank = new Int32Array(order.length);
    order.forEach((i, k) => (rank[i] = k));
    const range = reach(isOne ? values : [0, ...values]);
    return { isOne, values, order, rank, range, ...summary(values) };
  }

  // ---- the stage -----------------------------------------------------------------------------------

  #buildStage() {
    this.bars = new Bars(this.models, this.data.unit, this.page);
    this.rowwise = new Plot({
      label: "",
      x: { label: "", low: 0.5, high: this.data.n + 0.5, whole: true },
      y: { label: "", low: 0, high: 1 },
      margin: { top: 22, bottom: 38 },
      fills: true,
      focusable: true,
      paint: (plot) => (this.#fitsAxis(plot) ? this.#paintRows(plot) : plot.draw()),
    });
    const pick = (event) => this.#toRank(Math.round(this.rowwise.at(event)[0]) - 1);
    follow(this.rowwise.svg, { start: pick, move: pick });
    this.rowwise.svg.addEventListener("keydown", (event) => {
      const [across, along] = arrows(event) ?? [0, 0];
      if (!across && !along) return;
      const { first, second, row } = this.page.state;
      this.#toRank(this.pair(first, second).rank[row - 1] + across + along);
    });
    const tall = el("div", { class: "tall" }, this.bars.plot.node);
    tall.style.minHeight = `${this.models.length * 1.1 + 2.5}rem`;
    const rows = `${this.data.unit}s`;
    const key = [
      el("span", { class: "key-out" }, this.data.fitted_here ? "held out" : `these ${rows}`),
      el("span", { class: "key-whisker" }, "twice the ±"),
    ];
    if (this.models.some(({ train }) => train !== null))
      key.push(el("span", { class: "key-train" }, "data of its fit"));
    if (this.models.some((model) => model.is_of_these))
      key.push(el("span", { class: "key-seen" }, `fitted to these same ${rows}`));
    this.said = el("p", { class: "said" });
    const stage = el(
      "div",
      { class: "compare" },
      el("p", { class: "key" }, key),
      el("div", { class: "bars" }, tall),
      this.said,
      el("div", { class: "rowwise" }, this.rowwise.node),
    );
    const most = this.models.length * 1.6 + 2.75;
    stage.style.gridTemplateRows = `auto minmax(0, ${most}rem) auto minmax(8rem, 1fr)`;
    return stage;
  }

  draw() {
    const { first, second, row } = this.page.state;
    this.choices.forEach((choice, k) => choice.set(String([first, second][k])));
    this.slider.set(row);
    this.bars.draw();
    this.#placeRows();
    this.rowwise.draw();
    this.#drawRow();
  }

  #placeRows() {
    const { first, second } = this.page.state;
    const { isOne, range, values, mean, error } = this.pair(first, second);
    const [a, b] = [this.models[first - 1].name, this.models[second - 1].name];
    const { unit, n } = this.data;
    const room = (range.high - range.low || 1) * 0.08;
    Object.assign(this.rowwise.y, {
      low: range.low - room,
      high: range.high + room,
    });
    this.named = isOne ? "log density, nats" : "difference, nats";
    this.rowwise.x.label = `${unit}s, sorted by ${isOne ? "log density" : "the difference"}`;
    this.rowwise.svg.setAttribute(
      "aria-label",
      `${isOne ? `Log density under ${a}` : `Log density under ${a} minus that under ${b}`}, for each ${unit}. Arrow keys step through them.`,
    );
    const count = (isMeant) => values.reduce((k, v) => k + (isMeant(v) ? 1 : 0), 0);
    const [beyond, infinite] = [range.below + range.above, count((v) => !Number.isFinite(v))];
    const more = [
      isOne ? "" : `, higher for ${count((v) => v > 0)} of ${n}`,
      beyond ? `; ${beyond} beyond the axis` : "",
      infinite ? `, ${infinite} of them infinitely far` : "",
    ].join("");
    this.said.replaceChildren(
      el("b", { class: "first" }, a),
      ...(isOne ? [] : [" minus ", el("b", { class: "second" }, b)]),
      `: ${isOne ? significant(mean, 4) : signed(mean)} ± ${significant(error, 2)} nats${more}`,
    );
  }

  /** Give the numbers and the name of the axis their room; tell whether they had it already. */
  #fitsAxis(plot) {
    const { margin, unit, y } = plot;
    const { top, bottom } = plot.inner;
    const longest = Math.max(...ticks(y, (bottom - top) / (42 * unit)).map(({ text }) => text.length));
    const [left, label] = [32 + 8 * longest, bottom - top < 120 * unit ? "nats" : this.named];
    if (margin.left === left && y.label === label) return true;
    [margin.left, y.label] = [left, label];
    return false;
  }

  #paintRows(plot) {
    const { first, second, row } = this.page.state;
    const pair = this.pair(first, second);
    const { inner, unit } = plot;
    const held = (v) => plot.py(Math.min(plot.y.high, Math.max(plot.y.low, v)));
    plot.back.replaceChildren(...this.#mean(plot, pair, held));
    plot.data.replaceChildren(...this.#stems(plot, pair, held), ...this.#notes(plot, pair));
    const x = plot.px(pair.rank[row - 1] + 1);
    plot.front.replaceChildren(
      svg("path", { class: "chosen", d: `M${x} ${inner.top}V${inner.bottom}` }),
      svg("circle", { class: "now", cx: x, cy: held(pair.values[row - 1]), r: 5.5 * unit }),
    );
  }

  /** The mean of the rows, and what two standard errors leave open. */
  #mean({ inner }, { mean, error }, held) {
    if (!Number.isFinite(mean)) return [];
    const [top, bottom] = [held(mean + 2 * error), held(mean - 2 * error)];
    const wide = inner.right - inner.left;
    return [
      svg("rect", { class: "band-of-mean", x: inner.left, width: wide, y: top, height: bottom - top }),
      svg("path", { class: "mean", d: `M${inner.left} ${held(mean)}h${wide}` }),
    ];
  }

  /** A stem a row, as one path of each colour; dots where no zero means anything. */
  #stems(plot, { isOne, values, order }, held) {
    const { inner, unit } = plot;
    const share = (0.7 * (inner.right - inner.left)) / order.length;
    const width = isOne ? 4 * unit : Math.max(1, Math.min(14 * unit, share));
    const foot = isOne ? "h0" : `V${plot.py(0).toFixed(1)}`;
    const path = (which, isMine) => {
      const stem = (i, k) => `M${plot.px(k + 1).toFixed(1)} ${held(values[i]).toFixed(1)}${foot}`;
      const d = Array.from(order, (i, k) => (isMine(values[i]) ? stem(i, k) : "")).join("");
      return svg("path", {
        class: `stem-${which}`,
        d,
        "stroke-width": width,
        "stroke-linecap": isOne ? "round" : null,
      });
    };
    if (isOne) return [path("first", () => true)];
    const zero = svg("path", { class: "zero", d: `M${inner.left} ${plot.py(0)}H${inner.right}` });
    return [path("first", (v) => v > 0), path("second", (v) => v < 0), zero];
  }

  #notes({ inner, unit }, { isOne }) {
    if (isOne) return [];
    const y = inner.top - 8 * unit; // above the bars, not on them
    const up = { class: "first", x: inner.left, y };
    const down = { class: "second", x: inner.right, y, "text-anchor": "end" };
    return [svg("text", up, "↑ First is better"), svg("text", down, "↓ Second is better")];
  }

  // ---- the controls --------------------------------------------------------------------------------

  #buildPair() {
    const { fitted_here: isFitted, unit, n, n_train: trained, about, used, left_out: leftOut } = this.data;
    const options = this.models.map(({ name }, i) => [String(i + 1), name]);
    const choose = (label, key) =>
      select({ label, options, value: "1", onchange: (i) => this.page.change({ [key]: Number(i) }) });
    this.choices = [choose("First", "first"), choose("Second", "second")];
    ["first", "second"].forEach((which, k) => this.choices[k].node.classList.add(which));
    const byGap = () => {
      const { values } = this.pair(this.page.state.first, this.page.state.second);
      return ordered(values.map((v) => -Math.abs(v)));
    };
    const byDensity = () => ordered(this.models[this.page.state.first - 1].values);
    const what = isFitted
      ? `Each model was fitted to ${plural(trained, unit)} and is scored on ${n} others`
      : `${about[0].toUpperCase()}${about.slice(1)}: ${plural(n, unit)}`;
    const mend = isFitted
      ? "Open saved models to compare yours."
      : `A model that was fitted to these ${unit}s looks better than it is.`;
    return panel(
      "Two models",
      {
        hint: `${what}${used ? ` (${used})` : ""}. ${mend} If you press a bar, its model becomes First, and the former First becomes Second.`,
      },
      el(
        "div",
        { class: "pair" },
        this.choices.map(({ node }) => node),
      ),
      el(
        "div",
        { class: "row" },
        button("Where they differ most", () => this.#toNext("gap", byGap()), { kind: "main" }),
        button(`Hardest ${unit}`, () => this.#toNext("hard", byDensity())),
      ),
      ...leftOut.map((why) => el("p", { class: "hint" }, why)),
    );
  }

  /** Show the first of some rows, or the one after that which this showed last. */
  #toNext(key, rows) {
    const now = this.page.state.row - 1;
    const [last, k] = this.walked[key] ?? [];
    const next = last === now ? (k + 1) % rows.length : rows[0] === now ? 1 : 0;
    this.walked[key] = [rows[next], next];
    this.#pick(rows[next], key);
  }

  #buildRow() {
    const { n, unit } = this.data;
    this.slider = slider({
      label: unit[0].toUpperCase() + unit.slice(1),
      min: 1,
      max: n,
      step: 1,
      digits: 0,
      spelt: (v) => String(this.places[v - 1]),
      oninput: (row) => this.#pick(row - 1),
    });
    this.sight = el("div", { class: "sight" });
    this.says = el("table", {});
    return panel(
      `One ${unit}`,
      {},
      this.slider.node,
      el("div", { class: "chosen-row" }, this.sight, el("div", { class: "says" }, this.says)),
    );
  }

  #drawRow() {
    const { first, second, row } = this.page.state;
    const number = (text) => el("td", {}, text);
    const lines = this.models.map(({ name, n_parameters: k, values }, i) =>
      el(
        "tr",
        { class: i + 1 === first ? "first" : i + 1 === second ? "second" : null },
        el("th", { scope: "row" }, name),
        number(k?.toLocaleString("en") ?? "–"),
        number(significant(values[row - 1], 4)),
      ),
    );
    const head = ["Model", "Parameters", "log p, nats"].map((text) => el("th", { scope: "col" }, text));
    this.says.replaceChildren(el("thead", {}, el("tr", {}, head)), el("tbody", {}, lines));
    if (!this.rows) return;
    const { images, shape, columns, more } = this.rows;
    if (images) {
      this.picture ??= new Picture(shape, "");
      this.picture.grey(rowOf(images, row - 1), [0, 255]);
      this.picture.describe(`Image ${this.places[row - 1]}`);
      this.sight.replaceChildren(this.picture.canvas);
      return;
    }
    const cells = columns.map(({ name, values }) =>
      el("div", {}, el("dt", {}, name), el("dd", {}, spelt(values[row - 1]))),
    );
    this.sight.replaceChildren(
      el("dl", { class: "cells" }, cells),
      ...(more ? [el("p", { class: "hint" }, `and ${plural(more, "column")} more`)] : []),
    );
  }

  // ---- acting, files ---------------------------------------------------------------------------------

  #toRank(k) {
    const { first, second } = this.page.state;
    const { order } = this.pair(first, second);
    this.#pick(order[Math.min(order.length - 1, Math.max(0, k))]);
  }

  /** Show a row; by what it was found is for the prompts. */
  #pick(i, by = "by hand") {
    this.picked = by;
    this.page.change({ row: i + 1 });
  }

  pictures() {
    return [
      { name: "Models", svg: () => standalone(this.bars.plot.svg) },
      { name: "Differences", svg: () => standalone(this.rowwise.svg) },
    ];
  }

  tables() {
    const best = this.models[0].values;
    const line = ({ name, n_parameters: k, mean, error, train, values }) => {
      const less = behind(values, best);
      return [name, k ?? "", mean, error, train ?? "", less.mean, less.error];
    };
    const scores = () => this.models.map(line);
    const rows = () =>
      Array.from(this.places, (place, i) => [place, ...this.models.map(({ values }) => values[i])]);
    const columns = [
      "model",
      "parameters",
      "mean",
      "standard_error",
      "mean_of_fit",
      "behind",
      "behind_error",
    ];
    return [
      { name: "Scores", csv: () => csv(columns, scores()) },
      { name: "Log densities", csv: () => csv(["row", ...this.models.map(({ name }) => name)], rows()) },
    ];
  }
}

function spelt(value) {
  if (value === null || Number.isNaN(value)) return "missing";
  return typeof value === "number" ? String(Number(value.toPrecision(6))).replace("-", "−") : value;
}
