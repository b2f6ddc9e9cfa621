// Classroom: a graph redrawn as its parameters and pupils move, and the likelihood of the data.
//
// The state says from where a climb starts and of what kind it is: a and b as shown follow from it.

import { newSeed } from "../arrays.js";
import { button, checkbox, choice, el, fixed, panel, select, showFacts, slider } from "../kit.js";
import { standalone } from "../saving.js";
import { entries, oneOf, real, reals, whole } from "../state.js";
import { Climb, unitOf } from "./climb.js";
import { logDensity, overshoot } from "./graphs.js";
import { Lesson, MOST_PUPILS, held } from "./lesson.js";
import { Plane } from "./plane.js";

const PACE = [160, 30]; // ms a step: of the first ten, which are watched, and of the rest

export const room = {
  state(data) {
    const k = data.attributes.length;
    const { sizes } = data.graphs ?? { sizes: [] };
    const values = reals({ least: k, most: k }, -1e15, 1e15);
    return {
      a: real(...data.reach.a, data.start.a),
      b: real(...data.reach.b, data.start.b),
      climb: oneOf(["none", "plain", "search"]),
      size: real(0.1, 1000, data.size ?? 1, 3),
      graph: whole(0, sizes.length, data.is_own ? 1 : 0),
      n: whole(2, MOST_PUPILS, 15),
      pupils: whole(0, 999999, 3),
      links: whole(0, 999999, 1),
      pupil: whole(1, Math.max(MOST_PUPILS, ...sizes), 4), // has near and far ones in the first class
      moved: entries(Object.fromEntries(Array.from({ length: MOST_PUPILS }, (_, i) => [i + 1, values]))),
      across: whole(0, k - 1),
      up: whole(-1, k - 1, k > 1 ? 1 : -1),
      by: oneOf(["features", "links"]),
      lines: oneOf(["links", "chances"]),
      range: oneOf(["all", "near"]),
      look: oneOf(["class", "likelihood"]), // where there is room for one of them only
    };
  },
  build: (data, page) => new Classroom(data, page),
};

class Classroom {
  constructor(data, page) {
    Object.assign(this, { data, page, lesson: new Lesson(data, page), shows: [] });
    this.word = data.is_own ? "node" : "pupil";
    this.plane = new Plane({
      onmove: (i, values) => this.#move(i, values),
      onchoose: (i) => page.change({ pupil: i + 1 }),
      redraw: page.draw,
    });
    if (data.sums) this.climb = new Climb(data, this.lesson.sums, (a, b) => this.#set({ a, b }));
    this.equation = el("span", { class: "plain-math" });
    this.stage = [this.#buildStage()];
    this.controls = [this.climb && this.#buildClimb(), this.#buildClass(), this.#buildPupil()].filter(
      Boolean,
    );
    this.prompts = this.#prompts();
  }

  // ---- building ----------------------------------------------------------------------------------------

  /** Let a control show what `read(state, class, climb)` says, whenever the room is drawn. */
  #showing(control, read) {
    this.shows.push((...now) => control.set(read(...now)));
    return control.node;
  }

  #pick(label, key, options, then = {}) {
    const onchange = (v) => (this.plane.startAnew(), this.page.change({ ...then, [key]: v }));
    const control = choice({ label, options: Object.entries(options), onchange });
    return this.#showing(control, (state) => String(state[key]));
  }

  #buildStage() {
    const figure = (name, caption, ...parts) =>
      el("figure", { class: name }, el("figcaption", {}, caption), ...parts);
    [this.about, this.lines, this.facts] = [el("span"), el("span"), el("dl", { class: "facts" })];
    const scale = el("span", { class: "chance-scale" }, "0 %", el("i"), "100 %");
    const views = [figure("the-class", [this.about, scale, this.lines], this.plane.node, this.facts)];
    if (this.climb) {
      const { n_graphs } = this.data;
      const said = `Fit to ${n_graphs > 1 ? `all ${n_graphs} graphs` : "the graph"}: nats below the maximum`;
      const { plot, gain, legend, facts } = this.climb;
      views.push(
        this.#pick("Look at", "look", { class: "the class", likelihood: "the likelihood" }),
        figure("the-likelihood", said, plot.node, legend, gain.node, facts),
      );
    }
    return el("div", { class: "classroom" }, el("div", { class: "views" }, ...views));
  }

  #slider(label, name, [min, max], step, read, oninput, more = {}) {
    return this.#showing(slider({ label, name, min, max, step, oninput, ...more }), read);
  }

  /** a and b, and the values that they have by the fit and in saved models. */
  #parameters() {
    const { fits, reach, unit } = this.data;
    const make = (label, name, key) =>
      this.#slider(
        label,
        name,
        reach[key],
        0.01,
        (state, now) => now[key],
        (value) => this.#set({ [key]: value }),
      );
    const set = ({ a, b, by_size }) =>
      this.#set({ a, b: by_size ? b - Math.log(this.lesson.class.pupils.length) : b });
    return [
      make(unitOf("a", unit), "a, the weight of similarity", "a"),
      make("b", "b, how readily all link", "b"),
      el(
        "div",
        { class: "row" },
        fits.map((fit, k) => button(k || !this.climb ? fit.name : "To the maximum", () => set(fit))),
      ),
    ];
  }

  #buildClimb() {
    const [{ a, b, standard_errors: errors }] = this.data.fits;
    const size = this.#slider(
      "Step size",
      "Step size of the climb",
      [-1, 3],
      0.02,
      (state) => Math.log10(state.size),
      (v) => (this.#stop(), this.page.change({ size: 10 ** v, climb: "plain", look: "likelihood" })),
      { spelt: (v) => fixed(10 ** v, v < 1 ? 1 : 0) },
    );
    return panel(
      "Climb to the maximum",
      {
        tools: [
          button("Climb", () => this.#climb("plain"), { kind: "main" }),
          button("Line search", () => this.#climb("search")),
        ],
        hint: "Each step moves a and b uphill by step size × gradient. Line search chooses the size of each step itself. A new step size starts the climb again; its slider is logarithmic, from 0.1 to 1000.",
      },
      el("p", { class: "hint one-view" }, "Climb shows the likelihood in the picture above."),
      size,
      ...this.#parameters(),
      this.#pick("Range", "range", { all: "all", near: "near the maximum" }, { look: "likelihood" }),
      el(
        "p",
        { class: "hint" },
        `Maximum: a = ${fixed(a)} ± ${fixed(errors[0])}, b = ${fixed(b)} ± ${fixed(errors[1])}`,
      ),
    );
  }

  #buildClass() {
    const { page } = this;
    const anew = (given) => (this.plane.startAnew(), page.change({ moved: {}, look: "class", ...given }));
    const graphs = select({
      label: "Show",
      options: [
        [0, "a class drawn from the model"],
        ...this.lesson.graphs.map((_, k) => [k + 1, `graph ${k + 1} of the data`]),
      ],
      onchange: (k) => anew({ graph: Number(k) }),
    });
    const chances = checkbox({
      label: "Lines show chances, not links",
      onchange: (on) => page.change({ lines: on ? "chances" : "links", look: "class" }),
    });
    return panel(
      "The class",
      {
        tools: [
          button("New pupils", () => anew({ pupils: newSeed(), graph: 0 }), {
            kind: this.climb ? "" : "main",
          }),
          button("New links", () =>
            page.change({ links: newSeed(), graph: 0, lines: "links", look: "class" }),
          ),
        ],
      },
      this.climb ? this.#showing(graphs, (state) => state.graph) : null,
      this.#slider(
        "Pupils",
        "Number of pupils",
        [2, MOST_PUPILS],
        1,
        (state, now) => Math.min(now.pupils.length, MOST_PUPILS),
        (n) => anew({ n, graph: 0 }),
        { digits: 0 },
      ),
      ...(this.climb ? [] : this.#parameters()),
      this.#pick("Place by", "by", { features: "features", links: "links" }, { look: "class" }),
      this.#showing(chances, (state) => state.lines === "chances"),
    );
  }

  #buildPupil() {
    const { attributes } = this.data;
    const set = (k, value) => {
      const { pupils, chosen } = this.lesson.class;
      this.#move(chosen, Object.assign([...pupils[chosen]], { [k]: Number(value) }));
    };
    this.pupilChoice = select({
      label: this.data.is_own ? "Node" : "Pupil",
      options: [],
      onchange: (i) => this.page.change({ pupil: Number(i), look: "class" }),
    });
    const feature = ({ name, low, high, levels, whole: isWhole }, k) => {
      const digits = isWhole ? 0 : Math.max(0, 2 - Math.floor(Math.log10((high - low) / 2)));
      const control = levels
        ? select({ label: name, options: levels.map((text, at) => [at, text]), onchange: (v) => set(k, v) })
        : slider({
            label: name,
            name: `${name} of the chosen ${this.word}`,
            min: low,
            max: high,
            step: isWhole ? 1 : (high - low) / 200,
            digits,
            oninput: (v) => set(k, v),
          });
      this.shows.push((state, { isLarge }) => (control.input.disabled = isLarge));
      return this.#showing(control, (state, { pupils, chosen }) => pupils[chosen][k]);
    };
    const named = attributes.map(({ name }, k) => [k, name]);
    const axis = (label, key, options) => {
      const onchange = (k) => this.page.change({ [key]: Number(k), by: "features", look: "class" });
      return this.#showing(select({ label, options, onchange }), (state) => state[key]);
    };
    this.hint = el("p", { class: "hint" });
    return panel(
      `One ${this.word}`,
      { tools: [this.pupilChoice.node] },
      this.hint,
      ...attributes.map(feature),
      attributes.length > 1
        ? el(
            "div",
            { class: "row" },
            axis("Across", "across", named),
            axis("Up", "up", [[-1, "nothing"], ...named]),
          )
        : null,
    );
  }

  #prompts() {
    const { data, lesson } = this;
    const hasFriends = ({ moved, pupil }) => {
      const { links, chosen, pupils } = lesson.class;
      return pupil in moved && ofPupil(links, chosen).filter(isLinked).length >= (pupils.length - 1) / 2;
    };
    return [
      {
        text: `Move a ${this.word} until half the class are ${data.is_own ? "its" : "her"} friends.`,
        done: hasFriends,
      },
      ...(data.sums
        ? [
            {
              text: "Climb to within 1 nat of the maximum: in how many steps?",
              done: () => lesson.climb.within > 0,
            },
            {
              text: "Find a step size that overshoots.",
              done: ({ climb }) => climb === "plain" && overshoot(lesson.climb.whole) > 0,
            },
          ]
        : [
            { text: "Set a to 0: does similarity still matter?", done: ({ a }) => Math.abs(a) < 0.05 },
            { text: "Place the pupils by their links.", done: ({ by }) => by === "links" },
          ]),
    ];
  }

  // ---- acting ----------------------------------------------------------------------------------------

  /** Leave the climb where it is, and go on from there by hand. */
  #set(given) {
    const { a, b } = this.lesson.climb;
    this.#stop();
    this.page.change({ a, b, climb: "none", ...given });
  }

  #move(i, values) {
    if (this.lesson.class.isLarge) return;
    const kept = values.map((v, k) => held(this.data.attributes[k], v));
    this.page.change({ pupil: i + 1, moved: { ...this.page.state.moved, [i + 1]: kept }, look: "class" });
  }

  /** Follow the gradient: on from where it came to, or from where a climb of the other kind began. The
   * picture takes every step; at the maximum, where nothing would be seen, it starts anew. */
  #climb(kind) {
    const { data, lesson, page } = this;
    this.#stop();
    const { a, b, value } = lesson.climb;
    const goesOn = [kind, "none"].includes(page.state.climb);
    const from = goesOn && data.log_likelihood - value < 0.01 ? data.start : goesOn ? { a, b } : {};
    page.change({ ...from, climb: kind, look: "likelihood" });
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    lesson.shown = 0;
    const step = () => {
      lesson.shown += 1;
      if (page.state.climb !== kind || lesson.shown >= lesson.climb.steps) this.#stop();
      else this.clock = setTimeout(step, PACE[lesson.shown < 10 ? 0 : 1]);
      page.draw();
    };
    this.clock = setTimeout(step, PACE[0]);
  }

  #stop() {
    clearTimeout(this.clock);
    this.lesson.shown = Infinity;
  }

  leave() {
    this.#stop();
  }

  // ---- drawing ---------------------------------------------------------------------------------------

  draw() {
    const { state } = this.page;
    const { lesson } = this;
    const now = lesson.class;
    const { pupils, chosen, isLarge } = now;
    const byLinks = state.by === "links" && !isLarge;
    const name = lesson.nameOf(chosen);
    this.#drawChoice(now);
    for (const show of this.shows) show(state, now);
    this.stage[0].dataset.look = this.climb ? state.look : "class";
    this.about.textContent = `${byLinks ? "Shade: chance" : "Chance"} of a link with ${name}`;
    const drawn = lesson.graph ? `links of graph ${state.graph} of the data` : "links drawn by these chances";
    const lines = `Lines: ${state.lines === "chances" ? "chances of links" : drawn}`;
    this.lines.textContent = `${lines}${byLinks ? "" : this.#saidOfDots(state)}`;
    this.hint.textContent = isLarge
      ? `${pupils.length.toLocaleString("en")} nodes are too many to move (at most ${MOST_PUPILS}). Press one to see its links.`
      : byLinks
        ? "Friends are drawn near each other. A drag moves the dot, and does not change the features."
        : `Drag a dot to change its features. The shade is for a ${this.word} at that place whose other features are those of the chosen one.`;
    this.plane.show({
      ...now,
      name: lesson.graph?.names ? name : String(chosen + 1),
      axes: [state.across, state.up === state.across ? -1 : state.up],
      attributes: this.data.attributes,
      byLinks,
      asChances: state.lines === "chances",
      label: `A class of ${pupils.length} pupils. ${isLarge ? "" : "Arrow keys move the chosen one."}`,
    });
    this.#drawEquation(now);
    this.#drawFacts(now);
    this.climb?.show({ ...lesson.climb, near: state.range === "near" });
  }

  /** Why a dot has another colour than the plane around it. */
  #saidOfDots({ across, up }) {
    const rest = this.data.attributes.filter((_, k) => k !== across && k !== up);
    if (!rest.length) return "";
    return `. The colour of a dot also depends on ${rest.length > 1 ? "its other features" : `its ${rest[0].name}`}.`;
  }

  #drawChoice({ pupils, chosen }) {
    const { input } = this.pupilChoice;
    const of = `${this.page.state.graph} ${pupils.length}`;
    if (input.dataset.of !== of)
      input.replaceChildren(...pupils.map((_, i) => el("option", { value: i + 1 }, this.lesson.nameOf(i))));
    input.dataset.of = of;
    this.pupilChoice.set(chosen + 1);
  }

  /** The equation with the numbers of the likeliest link of the chosen pupil. */
  #drawEquation({ links, chosen, a, b }) {
    if (!links.length) return this.equation.replaceChildren();
    const { i, j, s, p } = ofPupil(links, chosen).reduce((best, link) => (link.p > best.p ? link : best));
    const [one, other] = [chosen, i + j - chosen].map((k) => this.lesson.nameOf(k));
    const eta = `−(${fixed(a)} × ${fixed(s)} ${b < 0 ? "−" : "+"} ${fixed(Math.abs(b))})`;
    const likely = [`p(${one}, ${other}) = 1 / (1 + e`, el("sup", {}, eta), `) = ${fixed(p)}`];
    return this.equation.replaceChildren(...likely);
  }

  #drawFacts({ links, isLarge, chosen, a, b }) {
    const said = (some) => {
      const expected = some.reduce((sum, { p }) => sum + p, 0);
      return `${some.filter(isLinked).length} (${fixed(expected, 1)} expected)`;
    };
    const own = { [`Links of ${this.lesson.nameOf(chosen)}`]: said(ofPupil(links, chosen)) };
    if (isLarge) showFacts(this.facts, own);
    else
      showFacts(this.facts, {
        ...own,
        "All links": said(links),
        "log p(links)": `${fixed(logDensity(links, a, b), 1)} nats`,
      });
  }

  // ---- files -------------------------------------------------------------------------------------------

  pictures() {
    const pictures = [{ name: "Class", svg: () => standalone(this.plane.plot.svg) }];
    if (this.climb) pictures.push({ name: "Likelihood", svg: () => standalone(this.climb.plot.svg) });
    return pictures;
  }

  tables() {
    return this.lesson.tables();
  }
}

const ofPupil = (links, pupil) => links.filter(({ i, j }) => i === pupil || j === pupil);
const isLinked = (link) => link.isLinked;
