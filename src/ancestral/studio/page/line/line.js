// Line: points to drag, the density of y given x that makes them likeliest, and how likely it makes them.

import { Random, uniformAt, unpack } from "../arrays.js";
import {
  button,
  checkbox,
  choice,
  el,
  fixed,
  panel,
  remembered,
  select,
  showFacts,
  significant,
  slider,
  svg,
} from "../kit.js";
import { padded } from "../plot.js";
import { csv, standalone } from "../saving.js";
import { flag, maybe, oneOf, reals, whole, wholes } from "../state.js";
import { ByDegree } from "./degrees.js";
import {
  DEGREES,
  Fits,
  deviation,
  logDensity,
  logLikelihood,
  savedCurve,
  sumOfSquares,
  tilted,
} from "./curves.js";
import { Likelihood } from "./likelihood.js";
import { Others } from "./others.js";
import { Points, dashes } from "./points.js";

const DOZEN = 12;
const SIZES = [DOZEN, 50, 200];
const FIRST = 39; // so that the first dozen of the built-in data reach over their range
const LEGEND = [
  ["fitted", "curve"],
  ["interval", "95 % of new points"],
];
const FAR = 1; // standard deviations of the points around their curve
const WORTH = 2; // nats: half the 95 % point of twice a log ratio, by one parameter
const MOST_EDITS = 500; // that an address can hold

/** Points moved by hand: { place in the draw: [x, y], or null where it is removed }. */
const edits = {
  first: {},
  hold: (given) =>
    Object.fromEntries(
      Object.entries(given)
        .map(([key, at]) => [Number(key), at && at.map((v) => Number(Number(v).toPrecision(7)))])
        .filter(
          ([key, at]) =>
            Number.isSafeInteger(key) && key >= 0 && (!at || (at.length === 2 && at.every(Number.isFinite))),
        )
        .slice(0, MOST_EDITS),
    ),
  write: (held) =>
    Object.entries(held)
      .map(([key, at]) => `${key}:${at ?? ""}`)
      .join(";"),
  read: (text) =>
    Object.fromEntries(
      text
        .split(";")
        .filter((part) => part.includes(":"))
        .map((part) => {
          const [key, at] = part.split(":");
          return [key, at ? at.split(",") : null];
        }),
    ),
};

const sizeOf = (data) => data.columns[0].values.shape[0];
const totalOf = (data) => sizeOf(data) || SIZES.at(-1); // without a table points are drawn from a curve
const numbersOf = ({ columns }) => columns.map((_, k) => k).filter((k) => !columns[k].levels);

export const room = {
  state: (data) => ({
    x: whole(0, data.columns.length - 1, data.x),
    y: oneOf(numbersOf(data), data.y),
    n: whole(0, totalOf(data), Math.min(DOZEN, totalOf(data))),
    seed: whole(0, 999999, 0),
    edits,
    degree: whole(1, DEGREES, 1),
    variance: oneOf(["constant", "x"]),
    squares: flag(),
    rest: flag(),
    line: maybe(reals({ least: 2, most: 2 }, -1e15, 1e15, 6)),
    off: wholes({ most: 40 }, 0, 40),
    network: flag(),
  }),
  build: (data, page) => new Line(data, page),
};

class Line {
  constructor(data, page) {
    Object.assign(this, { data, page });
    this.columns = data.columns.map((column) => {
      const values = unpack(column.values).data;
      return { ...column, values, range: column.range ?? padded(values.filter(Number.isFinite), 0.08) };
    });
    this.total = totalOf(data);
    if (!sizeOf(data)) this.columns[1].range = padded(this.#drawn(0, 1, 0).y, 0.2);
    this.equation = el("p", { class: "plain-math" });
    this.points = new Points({
      act: (key, at) => this.#set({ edits: { ...page.state.edits, [key]: at } }),
      choose: (key) => {
        this.points.chosen = key;
        page.draw();
      },
    });
    this.facts = el("dl", { class: "facts" });
    this.note = el("p", { class: "hint", role: "status" });
    this.legend = el("p", { class: "line-legend" });
    this.stage = [el("div", { class: "line-stage" }, this.points.node, this.note, this.legend, this.facts)];
    this.others = new Others(data, page, (columns) => this.#takeColumns(columns));
    this.byDegree = new ByDegree();
    this.likelihood = new Likelihood((line) => page.change({ line }));
    this.prompts = this.#prompts();
    this.controls = [this.#buildPoints(), this.#buildCurve(), this.others.node, this.likelihood.node];
  }

  #prompts() {
    const isFar = ({ edits }) => {
      const { keys, x, y, best } = this.scene;
      const isSo = (i) => Math.abs(y[i] - best.mean(x[i])) > FAR * deviation(best, x[i]);
      return Boolean(best) && Object.keys(edits).some((key) => isSo(keys.indexOf(Number(key))));
    };
    return [
      { text: "Pull a point far away: what happens to the band?", done: isFar },
      this.total > DOZEN
        ? {
            text: "Raise the degree until other points are unlikely.",
            done: () => this.byDegree.isOver,
          }
        : { text: "Raise the degree to 4: which points does it follow?", done: ({ degree }) => degree > 3 },
      {
        text: `Let a spread that depends on x gain ${WORTH} nats.`,
        done: () => this.scene.gain > WORTH,
      },
    ];
  }

  /** Change what is fitted: a line set by hand goes. */
  #set(given) {
    this.page.change({ line: null, ...given });
  }

  // ---- what the state says -----------------------------------------------------------------------------

  /** All points in an order drawn by the seed; without a table, points drawn from the saved curve. */
  #drawn = remembered((x, y, seed) => {
    if (!sizeOf(this.data)) return this.#simulated(seed);
    const [xs, ys] = [this.columns[x].values, this.columns[y].values];
    const rows = Array.from(xs, (_, i) => i).filter((i) => Number.isFinite(xs[i]) && Number.isFinite(ys[i]));
    const at = Float64Array.from(xs, (_, i) => uniformAt(seed + FIRST, i));
    rows.sort((i, j) => at[i] - at[j]);
    return { x: rows.map((i) => xs[i]), y: rows.map((i) => ys[i]) };
  });

  #simulated(seed) {
    const random = new Random(seed);
    const [low, high] = this.columns[0].range;
    const x = Array.from({ length: this.total }, () => low + (high - low) * random.uniform());
    const curve = savedCurve(this.data.curves[0]);
    return { x, y: x.map((v) => curve.mean(v) + deviation(curve, v) * random.normal()) };
  }

  /** The points as they are now, each with its key; `rest`, those of the data that are not shown. */
  #now = remembered((drawn, n, edits) => {
    const now = { keys: [], x: [], y: [], rest: { x: drawn.x.slice(n), y: drawn.y.slice(n) } };
    const add = (key, [x, y]) => (now.keys.push(key), now.x.push(x), now.y.push(y));
    for (let i = 0; i < Math.min(n, drawn.x.length); i++)
      if (edits[i] !== null) add(i, edits[i] ?? [drawn.x[i], drawn.y[i]]);
    const added = Object.keys(edits)
      .map(Number)
      .filter((key) => key >= this.total);
    for (const key of added) if (edits[key]) add(key, edits[key]);
    return { ...now, fits: new Fits(now.x, now.y), fresh: Math.max(this.total - 1, ...added) + 1 };
  });

  // ---- controls ------------------------------------------------------------------------------------------

  #buildPoints() {
    const { data, page, total } = this;
    this.more = button("", () => this.#drawMore(), { kind: "main" });
    const sizes = [...new Set([...SIZES.filter((n) => n < total), total])];
    const [shown, known] = [total, data.n_all].map((n) => n.toLocaleString("en"));
    const all = shown === known ? `all ${shown}` : `${shown} of ${known}`;
    this.sizes = choice({
      label: "Points",
      options: sizes.map((n) => [String(n), n === sizeOf(data) ? all : String(n)]),
      onchange: (n) => this.#set({ n }),
    });
    const named = (k) => [String(k), data.columns[k].name];
    this.axes = ["x", "y"].map((axis) =>
      select({
        label: axis,
        options: axis === "x" ? data.columns.map((_, k) => named(k)) : numbersOf(data).map(named),
        onchange: (k) => this.#takeColumns({ [axis]: Number(k) }),
      }),
    );
    this.remove = button("Remove point", () => this.points.act(this.points.chosen, null));
    this.back = button("As in the data", () =>
      this.#set({ edits: {}, n: page.state.n || Math.min(DOZEN, total) }),
    );
    return panel(
      "Points",
      { tools: [this.more] },
      this.sizes.node,
      el(
        "div",
        { class: "line-axes" },
        this.axes.map(({ node }) => node),
      ),
      el(
        "div",
        { class: "row" },
        this.remove,
        this.back,
        button("Clear", () => this.#set({ n: 0, edits: {} })),
      ),
      data.left_out.length
        ? el("p", { class: "hint" }, `Not offered: ${data.left_out.slice(0, 3).join(" ")}`)
        : null,
    );
  }

  /** Draw as many other points; where all are shown a dozen, or one more from the curve. */
  #drawMore() {
    const { seed, n } = this.page.state;
    if (this.total > DOZEN)
      return this.#set({ seed: (seed + 1) % 1e6, edits: {}, n: n && n < this.total ? n : DOZEN });
    const random = new Random(Date.now());
    const [{ low, high }, curve] = [this.points.plot.x, this.scene.curve];
    const x = low + (high - low) * random.uniform();
    const y = curve
      ? curve.mean(x) + deviation(curve, x) * random.normal()
      : this.columns[this.page.state.y].range[0];
    this.points.act(this.scene.fresh, [x, y]);
  }

  /** Show other columns; x and y are never the same. */
  #takeColumns(given) {
    const { x, y } = this.page.state;
    const next = { x, y, ...given };
    const other = numbersOf(this.data).find((k) => k !== next.x);
    if (next.x === next.y) {
      if ("y" in given) next.x = y;
      else next.y = this.data.columns[x].levels ? other : x;
    }
    if (next.y !== undefined) this.#set({ ...next, edits: {} });
    else this.page.draw();
  }

  #buildCurve() {
    this.degree = slider({
      label: "Degree",
      min: 1,
      max: DEGREES,
      step: 1,
      digits: 0,
      oninput: (degree) => this.#set({ degree }),
    });
    this.variance = choice({
      label: "Spread",
      options: [
        ["constant", "constant"],
        ["x", "depends on x"],
      ],
      onchange: (variance) => this.#set({ variance }),
    });
    this.squares = checkbox({
      label: "residuals as squares",
      onchange: (squares) => this.page.change({ squares }),
    });
    this.rest = checkbox({ label: "other points", onchange: (rest) => this.page.change({ rest }) });
    const marks = el("div", { class: "row" }, this.squares.node, this.rest.node);
    return panel("Curve", {}, this.degree.node, this.variance.node, marks, this.byDegree.node);
  }

  // ---- drawing -------------------------------------------------------------------------------------------

  draw() {
    const { state } = this.page;
    const drawn = this.#drawn(state.x, state.y, state.seed);
    const now = this.#now(drawn, state.n, state.edits);
    if (drawn !== this.drawn) [this.drawn, this.points.chosen] = [drawn, null]; // keys mean other points
    const best = now.fits.at(state.degree, state.variance);
    const one = now.fits.at(state.degree);
    const curve = best && state.line ? tilted(best, ...state.line) : best;
    const [x, y] = [this.columns[state.x], this.columns[state.y]];
    const axis = ({ name, range: [low, high], levels }) => ({ label: name, low, high, names: levels });
    this.scene = {
      ...now,
      curve,
      best,
      gain: best && one && best.logLikelihood - one.logLikelihood,
      others: this.others.shown(),
      axes: [axis(x), axis(y)],
      said: curve ? this.#formula(curve) : "which these points do not determine",
      squares: state.squares,
      showsRest: state.rest,
    };
    const gaps = sizeOf(this.data) && this.total - drawn.x.length;
    const left = gaps ? `${gaps.toLocaleString("en")} rows have no x or no y and are left out.` : "";
    this.note.textContent = best ? left : this.#whyNot(state);
    this.points.draw(this.scene);
    this.#drawFacts();
    this.#drawControls(state);
    if (!this.byDegree.advance(now, state.degree, state.variance)) this.page.draw();
    this.byDegree.draw(state.degree, now);
    this.likelihood.draw(this.scene);
  }

  #whyNot({ degree, variance }) {
    const least = degree + (variance === "x" ? 4 : 2);
    if (this.scene.x.length < least)
      return `A curve of degree ${degree} with this spread needs ${least} points or more: press in the plot to add some.`;
    return "The likelihood has no finite maximum for these points: too few x are different, or the points do not scatter, or the spread shrinks to 0. Move a point.";
  }

  #drawFacts() {
    const { x, y, curve, best } = this.scene;
    const facts = { Points: x.length.toLocaleString("en") };
    if (curve) {
      const { powers, v } = curve;
      facts["log-likelihood"] = `${fixed(logLikelihood(curve, x, y), 2)} nats`;
      if (curve !== best)
        facts["below the maximum"] = fixed(best.logLikelihood - logLikelihood(curve, x, y), 2);
      if (this.page.state.variance === "x") facts["σ(x) gains"] = fixed(this.scene.gain, 2);
      if (powers.length > 2) facts.parameters = powers.length + (this.page.state.variance === "x" ? 2 : 1);
      else facts["slope w"] = significant(powers[1], 3);
      const ends = v[1] ? this.scene.axes[0] : { low: 0 };
      facts["σ"] = [ends.low, ends.high]
        .slice(0, v[1] ? 2 : 1)
        .map((at) => significant(deviation(curve, at)))
        .join(" to ");
      if (!v[1])
        facts["sum of squares"] = sumOfSquares(curve, x, y).toLocaleString("en", {
          maximumSignificantDigits: 4,
        });
      this.equation.textContent = this.#formula(curve);
    } else this.equation.replaceChildren();
    showFacts(this.facts, facts);
    const key = [
      ...(curve ? LEGEND : []),
      ...(!best
        ? []
        : [curve === best ? ["confidence", "95 % for the curve"] : ["best-line", "the likeliest curve"]]),
      ...this.scene.others.map(({ name }, k) => ["saved-line", name, dashes(k)]),
    ];
    const sample = (look, dash) =>
      svg(
        "svg",
        { width: 28, height: 10 },
        svg("path", { class: look, d: "M0 5h28", "stroke-dasharray": dash }),
      );
    this.legend.replaceChildren(...key.map(([look, text, dash]) => el("span", {}, sample(look, dash), text)));
  }

  /** The curve in figures: "y = 149 + 10.2 u − 0.31 u², u = bmi − 26.4, σ² = 3030". */
  #formula({ powers, centre, v }) {
    const { x, y } = this.page.state;
    const raised = ["", " u", ...[..."²³⁴⁵⁶⁷⁸⁹"].map((power) => ` u${power}`)];
    const term = (value, k) =>
      `${k ? (value < 0 ? " − " : " + ") : ""}${significant(k ? Math.abs(value) : value)}${raised[k]}`;
    const [across, up] = [this.columns[x].name, this.columns[y].name];
    const less = (sign, value) => `${sign} ${significant(Math.abs(value))}`;
    const u = `${across} ${less(centre < 0 ? "+" : "−", centre)}`;
    const spread = v[1]
      ? `exp(${significant(v[0])} ${less(v[1] < 0 ? "−" : "+", v[1])} ${across})`
      : significant(Math.exp(v[0]));
    return `${up} = ${powers.map(term).join("")},  u = ${u},  σ² = ${spread}`;
  }

  #drawControls(state) {
    const { total, points } = this;
    this.sizes.set(String(state.n));
    this.rest.set(state.rest);
    this.rest.input.disabled = !this.scene.rest.x.length;
    this.axes.forEach((control, k) => control.set(String([state.x, state.y][k])));
    const others = state.n > 0 && state.n < total ? `Draw ${state.n} others` : "Draw a dozen";
    this.more.textContent = total > DOZEN ? others : "Draw one more from the curve";
    this.remove.disabled = points.chosen === null;
    this.back.disabled = !Object.keys(state.edits).length && state.n > 0;
    this.degree.set(state.degree);
    this.variance.set(state.variance);
    this.squares.set(state.squares);
    this.others.draw(this.scene);
  }

  // ---- files -----------------------------------------------------------------------------------------------

  pictures() {
    return [
      { name: "Line", svg: () => standalone(this.points.plot.svg) },
      { name: "By degree", svg: () => standalone(this.byDegree.plot.svg) },
      { name: "Likelihood", svg: () => standalone(this.likelihood.plot.svg) },
    ];
  }

  tables() {
    const columns = () => [
      "x",
      "y",
      ...(this.scene.curve ? ["mean", "standard_deviation", "log_density"] : []),
    ];
    const rows = () => {
      const { x, y, curve } = this.scene;
      const of = (v, i) => (curve ? [curve.mean(v), deviation(curve, v), logDensity(curve, v, y[i])] : []);
      return x.map((v, i) => [v, y[i], ...of(v, i)]);
    };
    return [{ name: "Points", csv: () => csv(columns(), rows()) }];
  }
}
