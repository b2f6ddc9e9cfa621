// Mixture: a plane of points, and the ellipses that EM moves over them, half a step at a time.
//
// After n half-steps from a start the page shows the parts of step floor(n / 2), and the points in
// the responsibilities that made them (n even) or that follow from them (n odd). A start is k of the
// points by a seed; or, once something was moved by hand, the parts as they stood then.

import { newSeed, unpack, unpackMatrix } from "../arrays.js";
import {
  button,
  checkbox,
  choice,
  csv,
  el,
  fixed,
  panel,
  remembered,
  select,
  showFacts,
  significant,
  slider,
  standalone,
  svg,
} from "../kit.js";
import { Plot, padded } from "../plot.js";
import { flag, maybe, oneOf, points, whole } from "../state.js";
import { Climb, MOST_STEPS, direction, eigenvalues, expectation, startAt } from "./em.js";
import { Plane } from "./plane.js";

const MOST_PARTS = 6; // as many colours as all common colour vision tells apart
const HALF = 450; // ms for half a step
const RUN = 5000; // ms at most for all steps to a maximum
const MOST_DOTS = 25; // on the curve, above which they hide it
const TOOLS = {
  move: "Drag a point, or a numbered centre; a press elsewhere adds a point. Keys: N and P choose a point, digits a centre; arrows move it, Delete removes a point, A adds one.",
  remove: "A press on a point removes it.",
};
const SAME = 0.01; // nats: maxima closer than this are one

/** Parts as the address has them: those that are no distributions make no sense. */
const heldParts = {
  first: null,
  hold(parts) {
    const kept = Array.from(parts, (part) => Array.from(part, Number));
    const total = kept.reduce((sum, [weight]) => sum + weight, 0);
    const isPart = (part) =>
      part.length === 6 && part.every(Number.isFinite) && part[0] > 0 && part[3] > 0 && part[5] > 0;
    const isWhole = kept.length && kept.length <= MOST_PARTS && kept.every(isPart);
    if (!isWhole || kept.some(([, , , a, b, c]) => !(a * c - b * b > 1e-15 * a * c))) return undefined;
    return kept.map(([weight, ...rest]) => [weight / total, ...rest]);
  },
  write: (parts) => parts.map((part) => part.map((v) => Number(v.toPrecision(10))).join(",")).join(";"),
  read: (text) => text.split(";").map((part) => part.split(",")),
};

export const room = {
  state: ({ names, x, y, k, seed, scaled, models }) => ({
    x: oneOf(names, x),
    y: oneOf(names, y),
    scaled: flag(scaled),
    k: whole(1, MOST_PARTS, k),
    d: whole(0, 1, 1),
    seed: whole(0, 1e6, seed),
    n: whole(0, 2 * MOST_STEPS, 0),
    points: maybe(points([], { digits: 8 })),
    held: maybe(heldParts),
    best: maybe(heldParts), // the highest maximum so far
    tool: oneOf(["move", "remove"]),
    saved: whole(0, models.length, Math.min(1, models.length)),
  }),
  build: (data, page) => new Mixture(data, page),
};

class Mixture {
  constructor(data, page) {
    Object.assign(this, { data, page });
    this.values = unpackMatrix(data.values);
    this.models = data.models.map((model) => ({
      ...model,
      weights: unpack(model.weights).data,
      means: unpackMatrix(model.means),
      covariances: unpack(model.covariances).data,
    }));
    this.play = null; // { from, to, begun, ms }: half-steps that are being shown
    this.#remember();
    this.#build();
  }

  // ---- what follows from the state -------------------------------------------------------------------

  #remember() {
    this.columns = remembered((x, y) => this.#columns(x, y));
    this.placed = remembered((columns, edited, scaled) => {
      const own = edited
        ? { x: Float64Array.from(edited, ([u]) => u), y: Float64Array.from(edited, ([, v]) => v) }
        : columns;
      const scale = scaled ? columns.spreads : [1, 1];
      return { own, scale, points: { x: own.x.map((u) => u / scale[0]), y: own.y.map((v) => v / scale[1]) } };
    });
    this.started = remembered((placed, k, seed, held) =>
      held?.length === k ? held : startAt(placed.points, k, seed),
    );
    this.climbed = remembered((placed, start, d) => new Climb(placed.points, start, d));
    this.height = remembered((placed, parts) => expectation(placed.points, parts).logLikelihood);
    this.marginal = remembered((saved, x, y) => this.#marginal(this.models[saved - 1], x, y));
    this.savedHeight = remembered((own, parts) => expectation(own, parts).logLikelihood);
  }

  /** Two columns without the rows that have a gap in them, and how far each spreads. */
  #columns(x, y) {
    const { rows, cols, data } = this.values;
    const [i, j] = [x, y].map((name) => this.data.names.indexOf(name));
    const pairs = Array.from({ length: rows }, (_, r) => [data[r * cols + i], data[r * cols + j]]);
    const known = pairs.filter((pair) => pair.every(Number.isFinite));
    const [u, v] = [0, 1].map((c) => Float64Array.from(known, (pair) => pair[c]));
    const spread = (values) => {
      const mean = values.reduce((a, b) => a + b, 0) / values.length;
      return Math.sqrt(values.reduce((sum, w) => sum + (w - mean) ** 2, 0) / values.length) || 1;
    };
    return {
      x: u,
      y: v,
      gaps: rows - known.length,
      spreads: [spread(u), spread(v)],
      ranges: [padded(u, 0.12), padded(v, 0.12)],
    };
  }

  /** A saved model in two of its columns, exactly: their means, variances and covariance. */
  #marginal({ columns, weights, means, covariances }, x, y) {
    const [i, j] = [x, y].map((name) => columns.indexOf(name));
    if (i < 0 || j < 0) return []; // a model of other columns of the table
    const m = columns.length;
    const at = (c, r, s) => covariances[(c * m + r) * m + s];
    return Array.from(weights, (weight, c) => [
      weight,
      means.data[c * m + i],
      means.data[c * m + j],
      at(c, i, i),
      at(c, i, j),
      at(c, j, j),
    ]);
  }

  /** All that the state says: the points, the climb, and where on it the reader stands. */
  get now() {
    const { x, y, scaled, points: edited, k, d, seed, held, n, saved } = this.page.state;
    const columns = this.columns(x, y);
    const placed = this.placed(columns, edited, scaled);
    const start = placed.own.x.length >= k * (d + 2) ? this.started(placed, k, seed, held) : null;
    const climb = start && this.climbed(placed, start, d);
    climb?.at(Math.floor(n / 2));
    const [step, last] = [Math.floor(n / 2), (climb?.steps.length ?? 1) - 1];
    const shift = placed.own.x.length * (Math.log(placed.scale[0]) + Math.log(placed.scale[1]));
    return {
      columns,
      ...placed,
      placed,
      climb,
      step: Math.min(step, last),
      shift, // from the log-likelihood in the model's units to that of the data
      saved: saved ? this.marginal(saved, x, y) : [],
      isTop: Boolean(climb && climb.end !== null && step >= climb.end),
      isLost: Boolean(climb && climb.collapsed !== null && step >= last),
    };
  }

  /** The highest maximum so far: the one reached now, if it is higher than those before. */
  highest() {
    const { placed, climb, isTop } = this.now;
    const { best } = this.page.state;
    if (!isTop) return best;
    const reached = climb.at(climb.end).parts;
    return best && this.height(placed, best) >= climb.at(climb.end).logLikelihood ? best : reached;
  }

  /** How far the maximum reached now is below the highest of other starts; null if there is none. */
  below() {
    const { placed, climb, isTop } = this.now;
    const { best } = this.page.state;
    return isTop && best ? this.height(placed, best) - climb.at(climb.end).logLikelihood : null;
  }

  // ---- building --------------------------------------------------------------------------------------

  #build() {
    const { page } = this;
    this.plane = new Plane({
      begin: () => (this.play = null),
      redraw: () => page.draw(),
      places: () => {
        const { own, scale, climb, step } = this.now;
        const parts = climb ? climb.at(step).parts : [];
        return {
          ...own,
          tool: page.state.tool,
          centres: parts.map(([, u, v]) => [u * scale[0], v * scale[1]]),
        };
      },
      point: (i, place) => this.#edit((pairs) => pairs.with(i, place)),
      add: (place) => this.#edit((pairs) => [...pairs, place]),
      remove: (i) => this.#edit((pairs) => pairs.toSpliced(i, 1)),
      centre: (c, [u, v]) => {
        const { climb, step, scale } = this.now;
        const parts = climb.at(step).parts.map((part) => [...part]);
        parts[c].splice(1, 2, u / scale[0], v / scale[1]);
        page.change({ held: parts, n: 1, best: this.highest() });
      },
    });
    this.facts = el("dl", { class: "facts" });
    this.stage = [el("div", { class: "mixture-stage" }, this.plane.node, this.facts)];
    this.controls = [this.#buildSteps(), this.#buildModel(), this.#buildPoints(), this.#buildParts()];
    this.equation = el("div", { class: "mixture-sum" });
    this.prompts = [
      { text: "press Step, then Run, until nothing moves", done: () => this.now.isTop },
      {
        text: "Start anew and Run: find a start that gets stuck lower",
        done: () => Math.abs(this.below() ?? 0) > SAME,
      },
      { text: "drag one point far away: who takes it?", done: ({ points }) => points !== null },
    ];
  }

  #buildSteps() {
    const { page } = this;
    this.stepButton = button("Step", () => this.#go(page.state.n + 1, HALF), { kind: "main" });
    this.runButton = button("Run", () => this.#run());
    const anew = () => {
      this.play = null;
      page.change({ seed: newSeed(), held: null, n: 0, best: this.highest() });
    };
    this.bestButton = button("To the highest", () => {
      const best = this.highest();
      const { placed } = this.now;
      this.play = null;
      page.change({ held: best, n: 2 * new Climb(placed.points, best, page.state.d).top(), best });
    });
    this.said = el("p", { class: "hint mixture-said", role: "status" });
    this.curve = new Plot({
      label: "The log-likelihood after each step of EM: it never falls.",
      x: { label: "steps of EM", low: 0, high: 8, whole: true },
      y: { label: "log-likelihood, nats", low: 0, high: 1 },
      ratio: 0.3,
      least: 176,
      margin: { left: 82 },
      paint: () => this.#paintCurve(),
    });
    return panel(
      "Steps of EM",
      { tools: [this.bestButton] },
      el(
        "div",
        { class: "row" },
        this.stepButton,
        this.runButton,
        button("Start anew", anew, { title: "From other points, drawn at random" }),
      ),
      this.said,
      this.curve.node,
    );
  }

  #buildModel() {
    const { page, data } = this;
    const afresh = { held: null, n: 0, best: null };
    const change = (given) => {
      this.play = null;
      page.change({ ...given, ...afresh });
    };
    this.k = slider({
      label: "Components K",
      min: 1,
      max: MOST_PARTS,
      step: 1,
      digits: 0,
      oninput: (k) => change({ k }),
    });
    this.d = choice({
      label: "Latents d",
      options: [
        ["0", "0: circles"],
        ["1", "1: a long axis"],
      ],
      value: "1",
      onchange: (d) => change({ d: Number(d) }),
    });
    const parts = [this.k.node, this.d.node];
    if (data.is_table) {
      const options = data.names.map((name) => [name, name]);
      const column = (axis, other) =>
        select({
          label: axis === "x" ? "Across" : "Up",
          options,
          onchange: (name) => {
            const swapped = name === page.state[other] ? { [other]: page.state[axis] } : {};
            change({ [axis]: name, ...swapped, points: null });
          },
        });
      this.axes = { x: column("x", "y"), y: column("y", "x") };
      this.scaled = checkbox({
        label: "Each column in its own standard deviations",
        onchange: (scaled) => change({ scaled }),
      });
      parts.push(el("div", { class: "row" }, this.axes.x.node, this.axes.y.node), this.scaled.node);
    }
    if (data.models.length) {
      const options = [[0, "none"], ...data.models.map(({ name }, i) => [i + 1, name])];
      this.saved = select({
        label: "Saved model, dashed",
        options,
        onchange: (saved) => page.change({ saved: Number(saved) }),
      });
      parts.push(this.saved.node);
    }
    const hint =
      "Rings: 1 and 2 standard deviations of a component; line: its long axis, W\u00a0z\u00a0+\u00a0μ.";
    return panel("The model", { hint }, el("div", { class: "mixture-list" }, parts));
  }

  #buildPoints() {
    const asInData = () => {
      this.play = null;
      this.page.change({ points: null, best: null, ...this.#kept() });
    };
    this.dataButton = button("As in the data", asInData);
    this.tool = choice({
      label: "A press",
      options: [
        ["move", "moves or adds"],
        ["remove", "removes"],
      ],
      onchange: (tool) => this.page.change({ tool }),
    });
    this.toolSaid = el("p", { class: "hint" });
    return panel("The points", { tools: [this.dataButton] }, this.tool.node, this.toolSaid);
  }

  #buildParts() {
    this.table = el("table", { class: "mixture-table" });
    return panel("The components", {}, this.table);
  }

  // ---- acting ----------------------------------------------------------------------------------------

  /** The parts as they stand, to go on from: they stay while the points change. */
  #kept() {
    const { climb, step } = this.now;
    if (!climb) return { held: null, n: 0 };
    return { held: climb.at(step).parts, n: Math.min(1, this.page.state.n) };
  }

  #edit(change) {
    const { own } = this.now;
    const pairs = Array.from(own.x, (u, i) => [u, own.y[i]]);
    this.page.change({ points: change(pairs), best: null, ...this.#kept() });
  }

  #go(to, ms) {
    const { n } = this.page.state;
    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.play = isStill ? null : { from: n, to, begun: performance.now(), ms };
    this.page.change({ n: to });
  }

  /** Go on to the maximum; or stop where one is. */
  #run() {
    const { climb } = this.now;
    if (this.play && this.play.to - this.play.from > 1) {
      const to = Math.ceil(this.#at());
      this.play = null;
      this.page.change({ n: to });
    } else if (climb) {
      const { n } = this.page.state;
      const to = Math.max(n + 1, 2 * climb.top());
      this.#go(to, Math.min(RUN, (to - n) * HALF * 0.6));
    }
  }

  /** Half-steps that are shown: on the way while they play. */
  #at() {
    const { play } = this;
    const { n } = this.page.state;
    if (!play || play.to !== n) return n;
    const share = (performance.now() - play.begun) / play.ms;
    return share >= 1 ? n : play.from + share * (play.to - play.from);
  }

  leave() {
    this.play = null;
  }

  // ---- drawing ---------------------------------------------------------------------------------------

  draw() {
    const { state } = this.page;
    const { now } = this;
    const at = this.#at();
    if (at < state.n) this.page.draw();
    else this.play = null;
    this.#set(state);
    this.picture = this.#pictureAt(now, at);
    const names = [state.x, state.y];
    const { own, scale, columns, saved } = now;
    const isEven = state.d === 0 || !this.data.is_table; // circles must look round
    const { ranges } = columns;
    this.plane.draw({ ...own, names, ranges, scale, isEven, saved, k: state.k, ...this.picture });
    this.#drawWords(now, at);
    this.#drawFacts(now, at);
    this.#drawParts(now);
    this.#drawCurve(now, at);
  }

  #set({ k, d, x, y, scaled, saved, tool, points: edited }) {
    this.tool.set(tool);
    this.toolSaid.textContent = TOOLS[tool];
    this.k.set(k);
    this.d.set(String(d));
    this.axes?.x.set(x);
    this.axes?.y.set(y);
    this.scaled?.set(scaled);
    this.saved?.set(saved);
    this.dataButton.disabled = edited === null;
  }

  /** Return the parts and the responsibilities after `at` half-steps, which may lie between two. */
  #pictureAt({ climb, step }, at) {
    if (!climb) return { parts: [], shares: null };
    const [half, on] = [Math.floor(at), at % 1];
    const t = Math.min(Math.floor(half / 2), step);
    const parts = climb.at(t).parts;
    const grey = { parts, shares: null };
    if (half % 2 === 0) {
      if (on)
        return { parts, shares: t ? blended(climb.shares(t - 1), climb.shares(t), on) : climb.shares(t) };
      return t ? { parts, shares: climb.shares(t - 1) } : grey;
    }
    const next = on ? climb.at(t + 1).parts : parts;
    return { parts: parts.map((part, c) => blended(part, next[c], on)), shares: climb.shares(t) };
  }

  #drawWords(now, at) {
    const { n, best } = this.page.state;
    const isOnWay = at < n;
    const { gaps } = now.columns;
    const left = gaps ? ` ${gaps} ${gaps === 1 ? "row with a gap is" : "rows with a gap are"} left out.` : "";
    const words = this.#words(now, Math.ceil(at), isOnWay) + left;
    if (this.said.textContent !== words) this.said.textContent = words;
    for (const node of [this.stepButton, this.runButton]) node.disabled = !now.climb;
    this.runButton.textContent = isOnWay && this.play.to - this.play.from > 1 ? "Stop" : "Run";
    this.bestButton.disabled = !best || (now.isTop && !(this.below() > SAME));
  }

  /** What has been done, and what comes next. */
  #words({ climb, own, isTop, isLost }, half, isOnWay) {
    const { k, d } = this.page.state;
    const least = k * (d + 2);
    if (own.x.length < least)
      return `${k} components with d = ${d} need ${least} points or more; there are ${own.x.length}. Press in the plane to add some, or take fewer components.`;
    if (!climb)
      return `${k} components need as many points that differ. Take fewer components, or other columns.`;
    if (isLost && !isOnWay)
      return `Component ${climb.collapsed + 1} closed in on points that leave it no noise, where the likelihood has no bound: such a fit is refused. Press Start anew.`;
    if (isTop && !isOnWay) return `A maximum: nothing moves any more. ${this.#rank()}`;
    if (half === 0)
      return `${k === 1 ? "A circle" : `${k} equal circles`} at points drawn at random. Step: each point takes the colours of the components that may have made it.`;
    return half % 2
      ? "E: each point has the colours of the components, by their responsibilities. Step: each component moves to its points."
      : "M: each component has moved to the points of its colour. Step: the points take their colours anew.";
  }

  /** How high the maximum is among those so far. */
  #rank() {
    const below = this.below();
    if (below === null) return "Another start may find a higher one: press Start anew.";
    return below > SAME
      ? `It is stuck: another start was ${fixed(below, 2)} nats higher.`
      : "No start so far was higher.";
  }

  #drawFacts({ climb, shift, own, placed, saved }, at) {
    const { best, saved: chosen } = this.page.state;
    const facts = {};
    if (climb) {
      const t = Math.floor(at / 2);
      facts["Steps"] = `${t}${Math.floor(at) % 2 ? "½" : ""}`;
      facts["log-likelihood"] = `${fixed(climb.at(t).logLikelihood - shift, 2)} nats`;
      if (best) facts["highest so far"] = fixed(this.height(placed, this.highest()) - shift, 2);
    }
    if (saved.length && own.x.length)
      facts[`${this.models[chosen - 1].name}, dashed`] = `${fixed(this.savedHeight(own, saved), 2)} nats`;
    showFacts(this.facts, facts);
  }

  #drawParts({ scale }) {
    const { parts } = this.picture;
    const { x, y, scaled } = this.page.state;
    const [sigma, axis] = scaled ? ["σ, in SD", "|W|, in SD"] : ["σ", "|W|"];
    const head = ["", "weight", x, y, sigma, axis].map((text) =>
      el("th", { scope: "col", title: text }, text),
    );
    const rows = parts.map((part, c) => [
      el("td", {}, this.#badge(c)),
      ...[
        fixed(part[0], 3),
        significant(part[1] * scale[0], 4),
        significant(part[2] * scale[1], 4),
        significant(Math.sqrt(eigenvalues(...part.slice(3))[1]), 3),
        significant(Math.hypot(...direction(part)), 3),
      ].map((text) => el("td", {}, text)),
    ]);
    this.table.replaceChildren(
      el("thead", {}, el("tr", {}, head)),
      el(
        "tbody",
        {},
        rows.map((row) => el("tr", {}, row)),
      ),
    );
    const terms = parts.flatMap((part, c) => [
      `${c ? " + " : "p(x) = "}${fixed(part[0], 2)} N(x; `,
      this.#badge(c),
      ")",
    ]);
    this.equation.replaceChildren(...terms);
  }

  #badge = (c) => el("b", { class: `part-badge part-${c + 1}` }, String(c + 1));

  #drawCurve({ climb, placed, shift }, at) {
    const { best } = this.page.state;
    const last = Math.floor(at / 2);
    const steps = climb ? Array.from({ length: last + 1 }, (_, t) => t) : [];
    this.heights = steps.map((t) => [t, climb.at(t).logLikelihood - shift]);
    this.bestHeight = climb && best ? this.height(placed, best) - shift : null;
    const later = this.heights.slice(last > 1 ? 1 : 0); // the start lies far below all others
    const values = later.map(([, v]) => v).concat(this.bestHeight ?? []);
    const [low, high] = padded(values.length ? values : [0], 0.12);
    Object.assign(this.curve.x, { high: Math.max(8, last) });
    Object.assign(this.curve.y, { low, high });
    this.curve.draw();
  }

  #paintCurve() {
    const { curve, heights, bestHeight } = this;
    if (!heights) return;
    const ends = [curve.x.low, curve.x.high];
    const level = bestHeight === null ? [] : [ends.map((t) => [t, bestHeight])];
    const line = curve.clipped(curve.line(heights, { class: "curve" }));
    const first = heights.length > MOST_DOTS ? heights.length : heights.length > 2 ? 1 : 0;
    const dot = ([t, v], name, r) =>
      svg("circle", { class: name, cx: curve.px(t), cy: curve.py(v), r: r * curve.unit });
    curve.back.replaceChildren(...level.map((pair) => curve.line(pair, { class: "level" })), line);
    curve.data.replaceChildren(
      ...heights.slice(first).map((place) => dot(place, "step", 3)),
      ...heights.slice(-1).map((place) => dot(place, "now", 6)),
    );
  }

  // ---- files -----------------------------------------------------------------------------------------

  pictures() {
    return [
      { name: "Plane", svg: () => standalone(this.plane.plot.svg) },
      { name: "Log-likelihood", svg: () => standalone(this.curve.svg) },
    ];
  }

  tables() {
    const { x, y, k } = this.page.state;
    const numbered = (word) =>
      Array.from({ length: this.picture.parts.length }, (_, c) => `${word}_${c + 1}`);
    const rows = () => {
      const { own } = this.now;
      const { shares, parts } = this.picture;
      return Array.from(own.x, (u, i) => [
        u,
        own.y[i],
        ...(parts.length ? (shares?.subarray(i * k, (i + 1) * k) ?? Array(k).fill("")) : []),
      ]);
    };
    const [s1, s2] = this.now.scale;
    const parts = () =>
      this.picture.parts.map(([weight, u, v, a, b, c], i) => [
        i + 1,
        ...[weight, u * s1, v * s2, a * s1 * s1, b * s1 * s2, c * s2 * s2],
      ]);
    const columns = [
      "component",
      "weight",
      `mean ${x}`,
      `mean ${y}`,
      `variance ${x}`,
      "covariance",
      `variance ${y}`,
    ];
    return [
      { name: "Points", csv: () => csv([x, y, ...numbered("responsibility")], rows()) },
      { name: "Components", csv: () => csv(columns, parts()) },
      { name: "Steps", csv: () => csv(["step", "log_likelihood"], this.heights) },
    ];
  }
}

/** Return numbers on the way from some to others. */
const blended = (from, to, share) => from.map((v, i) => v + share * (to[i] - v));
