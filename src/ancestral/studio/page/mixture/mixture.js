// Mixture: a plane of points, and the ellipses that EM moves over them, half a step at a time.
//
// After n half-steps from a start the page shows the parts of step floor(n / 2), and the points in
// the responsibilities that made them (n even) or that follow from them (n odd). A start is k of the
// points by a seed; or, once something was moved by hand, the parts as they stood then.

import { newSeed } from "../arrays.js";
import { button, checkbox, choice, el, fixed, panel, select, showFacts, slider } from "../kit.js";
import { csv, standalone } from "../saving.js";
import { flag, maybe, oneOf, points, whole } from "../state.js";
import { Curve } from "./curve.js";
import { Climb, MOST_STEPS, eigenvalues } from "./em.js";
import { Numbers } from "./numbers.js";
import { Plane } from "./plane.js";
import { MOST_PARTS, Standing, heldParts } from "./standing.js";

const HALF = 450; // ms for half a step
const RUN = 5000; // ms at most for all steps to a maximum
const SAME = 0.01; // nats: maxima closer than this are one
const THIN = 0.04; // of its long axis: a ring that is no wider looks like a line
const FEW = 0.1; // of the points: on fewer a line is no cluster, but a gap in what bounds the likelihood
const TOOLS = {
  move: "Drag a point, or a numbered centre; a press elsewhere adds a point. Keys: N and P choose a point, digits a centre; arrows move it, Delete removes a point, A adds one.",
  remove: "A press on a point removes it.",
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
    this.standing = new Standing(data, page);
    this.play = null; // { from, to, begun, ms }: half-steps that are being shown
    this.#build();
  }

  // ---- building --------------------------------------------------------------------------------------

  #build() {
    const { page } = this;
    this.plane = new Plane({
      begin: () => (this.play = null),
      redraw: () => page.draw(),
      places: () => {
        const { own, scale, climb, step } = this.standing.now;
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
        const { climb, step, scale } = this.standing.now;
        const parts = climb.at(step).parts.map((part) => [...part]);
        parts[c].splice(1, 2, u / scale[0], v / scale[1]);
        page.change({ held: parts, n: 1, best: this.standing.highest() });
      },
    });
    this.facts = el("dl", { class: "facts" });
    this.stage = [el("div", { class: "mixture-stage" }, this.plane.node, this.facts)];
    this.numbers = new Numbers();
    this.equation = this.numbers.equation;
    const parts = panel("The components", {}, this.numbers.table);
    this.controls = [this.#buildSteps(), this.#buildModel(), this.#buildPoints(), parts];
    this.prompts = [
      { text: "press Step, then Run, until nothing moves", done: () => this.standing.now.isTop },
      {
        text: "press Start anew and Run: find a lower maximum",
        done: () => Math.abs(this.standing.below() ?? 0) > SAME,
      },
      { text: "drag one point far away: which ring takes it?", done: ({ points }) => points !== null },
    ];
  }

  #buildSteps() {
    const { page } = this;
    this.stepButton = button("Step", () => this.#go(page.state.n + 1, HALF), { kind: "main" });
    this.runButton = button("Run", () => this.#run());
    const anew = () => {
      this.play = null;
      page.change({ seed: newSeed(), held: null, n: 0, best: this.standing.highest() });
    };
    this.bestButton = button("To the highest", () => {
      const best = this.standing.highest();
      const { placed } = this.standing.now;
      this.play = null;
      page.change({ held: best, n: 2 * new Climb(placed.points, best, page.state.d).top(), best });
    });
    this.said = el("p", { class: "hint mixture-said", role: "status" });
    this.curve = new Curve();
    const anewButton = button("Start anew", anew, { title: "From other points, drawn at random" });
    return panel(
      "Steps of EM",
      { tools: [this.bestButton] },
      el("div", { class: "row" }, this.stepButton, this.runButton, anewButton),
      this.said,
      el("p", { class: "hint" }, "Log-likelihood after each step: it never falls."),
      this.curve.plot.node,
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
      this.page.change({ points: null, best: null, ...this.standing.kept() });
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

  // ---- acting ----------------------------------------------------------------------------------------

  #edit(change) {
    const { own } = this.standing.now;
    const pairs = Array.from(own.x, (u, i) => [u, own.y[i]]);
    this.page.change({ points: change(pairs), best: null, ...this.standing.kept() });
  }

  #go(to, ms) {
    const { n } = this.page.state;
    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.play = isStill ? null : { from: n, to, begun: performance.now(), ms };
    this.page.change({ n: to });
  }

  /** Go on to the maximum; or stop where one is. */
  #run() {
    const { climb } = this.standing.now;
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
    const { now } = this.standing;
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
    this.numbers.draw(this.picture.parts, scale, state);
    const steps = now.climb ? Array.from({ length: Math.floor(at / 2) + 1 }, (_, t) => t) : [];
    const heights = steps.map((t) => [t, now.climb.at(t).logLikelihood - now.shift]);
    const best = now.climb && state.best ? this.standing.height(now.placed, state.best) - now.shift : null;
    this.curve.draw(heights, best);
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
    const isDone = !isOnWay && (now.isTop || now.isLost);
    for (const node of [this.stepButton, this.runButton]) node.disabled = !now.climb || isDone;
    this.runButton.textContent = isOnWay && this.play.to - this.play.from > 1 ? "Stop" : "Run";
    this.bestButton.hidden = !best || (now.isTop && !(this.standing.below() > SAME));
  }

  /** What has been done, and what comes next. */
  #words({ climb, own, isTop, isLost }, half, isOnWay) {
    const { k, d, held } = this.page.state;
    const least = k * (d + 2);
    if (own.x.length < least)
      return `${k} components with d = ${d} need ${least} points or more; there are ${own.x.length}. Press in the plane to add some, or take fewer components.`;
    if (!climb)
      return `${k} components need as many points that differ. Take fewer components, or other columns.`;
    if (isLost && !isOnWay)
      return `Stopped after ${plural(climb.steps.length - 1)}: ring ${climb.collapsed + 1} collapsed to a line or a dot, where the likelihood has no bound. Such a fit is refused: press Start anew.`;
    if (isTop && !isOnWay) return `Done after ${plural(climb.end)}: nothing moves any more. ${this.#rank()}`;
    const moved = held && half < 2 ? "Moved by hand: steps count from here. " : "";
    const circles = `${k === 1 ? "A circle" : `${k} equal circles`} at points drawn at random. `;
    if (half === 0)
      return `${moved || circles}Step: each point takes the colours of the components that may have made it.`;
    return half % 2
      ? `${moved}E: each point has the colours of the components that may have made it. Step: each component moves to its points.`
      : "M: each component has moved to the points of its colour. Step: the points take their colours anew.";
  }

  /** How high the maximum is among those so far. */
  #rank() {
    const below = this.standing.below();
    if (below === null) return "Another start may find a higher one: press Start anew.";
    return below > SAME
      ? `This is not the highest maximum: another start ended ${fixed(below, 2)} nats higher.`
      : "No start so far ended higher.";
  }

  #drawFacts({ climb, shift, own, placed, saved }, at) {
    const { best, saved: chosen } = this.page.state;
    const facts = {};
    if (climb) {
      const t = Math.floor(at / 2);
      if (Math.floor(at) % 2) facts["After E of step"] = t + 1;
      else facts["Steps"] = t;
      facts["log-likelihood"] = `${fixed(climb.at(t).logLikelihood - shift, 2)} nats`;
      if (best)
        facts["highest so far"] = fixed(this.standing.height(placed, this.standing.highest()) - shift, 2);
    }
    this.picture.parts.forEach(([weight, , , ...covariance], c) => {
      const [long, short] = eigenvalues(...covariance);
      if (weight < FEW && short < THIN ** 2 * long)
        facts[`Ring ${c + 1}`] = `nearly a line, on about ${fixed(weight * own.x.length, 0)} points`;
    });
    if (saved.length && own.x.length)
      facts[`${this.standing.models[chosen - 1].name}, dashed`] =
        `${fixed(this.standing.savedHeight(own, saved), 2)} nats`;
    showFacts(this.facts, facts);
  }

  // ---- files -----------------------------------------------------------------------------------------

  pictures() {
    return [
      { name: "Plane", svg: () => standalone(this.plane.plot.svg) },
      { name: "Log-likelihood", svg: () => standalone(this.curve.plot.svg) },
    ];
  }

  tables() {
    const { x, y, k } = this.page.state;
    const numbered = (word) =>
      Array.from({ length: this.picture.parts.length }, (_, c) => `${word}_${c + 1}`);
    const rows = () => {
      const { own } = this.standing.now;
      const { shares, parts } = this.picture;
      return Array.from(own.x, (u, i) => [
        u,
        own.y[i],
        ...(parts.length ? (shares?.subarray(i * k, (i + 1) * k) ?? Array(k).fill("")) : []),
      ]);
    };
    const [s1, s2] = this.standing.now.scale;
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
      { name: "Steps", csv: () => csv(["step", "log_likelihood"], this.curve.heights) },
    ];
  }
}

const plural = (n) => `${n} ${n === 1 ? "step" : "steps"}`;

/** Return numbers on the way from some to others. */
const blended = (from, to, share) => from.map((v, i) => v + share * (to[i] - v));
