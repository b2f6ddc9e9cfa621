// Distribution: held-out log densities of several models, compared row by row.

import { unpack, unpackMatrix, row } from "../arrays.js";
import {
  Picture,
  button,
  csv,
  el,
  fixed,
  follow,
  onScheme,
  panel,
  select,
  showFacts,
  significant,
  standalone,
  svg,
} from "../kit.js";
import { Plot, padded } from "../plot.js";

export function openCompare(body, data, page) {
  const room = new Compare(body, data, page);
  room.build();
  return room;
}

/** Mean and standard error (divisor n - 1) of the mean. */
export function summary(values) {
  const n = values.length;
  const mean = values.reduce((a, b) => a + b, 0) / n;
  let square = 0;
  for (const v of values) square += (v - mean) ** 2;
  return { mean, error: Math.sqrt(square / (n - 1) / n) };
}

/** How far a model is behind another, row by row; rows both find impossible differ by nothing. */
export function behind(values, best) {
  return summary(Array.from(values, (v, i) => (v === best[i] ? 0 : best[i] - v)));
}

class Compare {
  constructor(body, data, page) {
    Object.assign(this, { body, data, page });
    this.models = data.models.map(({ name, kind, n_parameters, values }) => {
      const found = unpack(values).data;
      return { name, kind, parameters: n_parameters, values: found, ...summary(found) };
    });
    this.models.sort((a, b) => b.mean - a.mean);
    this.images = data.images && unpackMatrix(data.images);
    [this.first, this.second] = [0, Math.min(1, this.models.length - 1)];
    this.chosen = 0;
  }

  build() {
    const left = el("div", { class: "stack span-7" }, this.#buildTable());
    const right = el("div", { class: "stack span-5" }, this.#buildRows());
    this.body.append(el("div", { class: "grid compare" }, left, right));
    onScheme(() => this.draw());
    this.draw();
  }

  #buildTable() {
    this.table = el("table", {});
    this.scroller = el(
      "div",
      { class: "scroller", tabindex: 0, role: "region", "aria-label": "Scores" },
      this.table,
    );
    this.dots = new Plot({
      label: "How far each model is behind the best, with two standard errors",
      x: { label: "Behind the best, nats per row; lines: two standard errors", low: 0, high: 1 },
      y: { label: "", low: 0, high: 1 },
      ratio: 0.2,
      least: 60 + 38 * this.models.length,
      margin: { left: 14 },
      paint: (plot) => this.#paintDots(plot),
    });
    const hint = this.data.fitted_here
      ? "Fitted to the other rows, scored on these. Open a table and saved models of your own to compare them."
      : "Means with standard errors; the differences are paired, row by row, and so much surer. A model that was fitted to these rows looks better than it is.";
    return panel("Mean log density", { hint }, this.scroller, this.dots.node);
  }

  #buildRows() {
    const options = this.models.map((model, i) => [String(i), model.name]);
    const choose = (label, key) =>
      select({
        label,
        options,
        value: String(this[key]),
        onchange: (i) => {
          this[key] = Number(i);
          this.draw();
          this.page.done();
        },
      });
    this.choices = { first: choose("Across", "first"), second: choose("Up", "second") };
    this.scatter = new Plot({
      label: "",
      x: { label: "", low: 0, high: 1 },
      y: { label: "", low: 0, high: 1 },
      ratio: 0.8,
      least: 260,
      margin: { left: 64 },
      focusable: true,
      paint: (plot) => this.#paintScatter(plot),
    });
    const pick = (event) => {
      this.#choose(this.#nearest(event));
      return true;
    };
    follow(this.scatter.svg, { start: pick, move: pick, end: () => this.page.done() });
    this.scatter.svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      this.#choose((this.chosen + step + this.data.n) % this.data.n);
      this.page.done();
    });
    this.picture = this.images && new Picture(this.data.shape, "The chosen row");
    this.rowFacts = el("dl", { class: "facts tall" });
    const worst = button("Hardest row", () => {
      this.#choose(argmin(this.models[this.first].values));
      this.page.done();
    });
    return panel(
      "Row by row",
      {
        tools: [worst],
        hint: "Above the diagonal, the second model finds the row likelier. Press a dot; the arrow keys step through the rows. Log densities are in nats.",
      },
      el("div", { class: "row" }, this.choices.first.node, this.choices.second.node),
      this.scatter.node,
      el("div", { class: "chosen-row" }, this.picture?.canvas, this.rowFacts),
    );
  }

  // ---- drawing -----------------------------------------------------------------------------------------

  draw() {
    this.#drawTable();
    this.dots.draw();
    this.#drawScatter();
    this.#drawRow();
  }

  #drawTable() {
    const best = this.models[0].values;
    for (const model of this.models) model.behind = behind(model.values, best);
    const head = ["Model", "Parameters", "Score, nats per row", "Behind the best"].map((text, k) =>
      el("th", { scope: "col", class: k ? "number" : null }, text),
    );
    const rows = this.models.map((model, i) => {
      const impossible = model.values.filter((v) => v === -Infinity).length;
      const score = impossible
        ? `−∞ (${impossible} impossible)`
        : `${fixed(model.mean, 2)} ± ${fixed(model.error, 2)}`;
      const cells = [
        model.parameters?.toLocaleString("en") ?? "–",
        score,
        i ? `${fixed(model.behind.mean, 2)} ± ${fixed(model.behind.error, 2)}` : "best",
      ];
      return el(
        "tr",
        { class: i ? null : "best" },
        el("th", { scope: "row" }, model.name),
        cells.map((text) => el("td", { class: "number" }, text)),
      );
    });
    this.table.replaceChildren(
      el("caption", { class: "out-of-sight" }, "Held-out scores, the best first"),
      el("thead", {}, el("tr", {}, head)),
      el("tbody", {}, rows),
    );
    const reach = this.models.map(({ behind: b }) => b.mean + 2 * (b.error || 0)).filter(Number.isFinite);
    Object.assign(this.dots.x, {
      low: -0.04 * Math.max(...reach, 0.1),
      high: 1.05 * Math.max(...reach, 0.1),
    });
    Object.assign(this.dots.y, { low: -this.models.length + 0.3, high: 0.7, hidden: true });
  }

  #paintDots(plot) {
    const { unit } = plot;
    const marks = this.models.flatMap(({ name, behind: b }, i) => {
      const y = plot.py(-i);
      const label = svg("text", { class: "name halo", x: plot.inner.left + 4 * unit, y: y - 8 * unit }, name);
      if (!Number.isFinite(b.mean))
        return [
          label,
          svg("text", { x: plot.inner.right, y: y + 4 * unit, "text-anchor": "end" }, "infinitely far"),
        ];
      const [low, high] = [b.mean - 2 * b.error, b.mean + 2 * b.error].map((v) => plot.px(v));
      return [
        svg("line", { class: "whisker", x1: low, x2: high, y1: y, y2: y }),
        svg("circle", { class: i ? "dot-first" : "now", cx: plot.px(b.mean), cy: y, r: 5 * unit }),
        label,
      ];
    });
    plot.data.replaceChildren(...marks);
  }

  #drawScatter() {
    const { x, y } = this.scatter;
    const [a, b] = [this.models[this.first], this.models[this.second]];
    const finite = [...a.values, ...b.values].filter(Number.isFinite);
    const [low, high] = finite.length ? padded(finite) : [-1, 1];
    Object.assign(x, { low, high, label: `log p, ${a.name}` });
    Object.assign(y, { low, high, label: `log p, ${b.name}` });
    this.scatter.svg.setAttribute(
      "aria-label",
      `Log density of each of ${this.data.n} rows under ${a.name} and ${b.name}. Arrow keys step through the rows.`,
    );
    this.scatter.draw();
  }

  #paintScatter(plot) {
    const [a, b] = [this.models[this.first].values, this.models[this.second].values];
    const { low, high } = plot.x;
    const diagonal = plot.line(
      [
        [low, low],
        [high, high],
      ],
      { class: "diagonal" },
    );
    const dots = Array.from(a, (v, i) => i).filter((i) => Number.isFinite(a[i]) && Number.isFinite(b[i]));
    const radius = (dots.length > 400 ? 2.2 : 3.6) * plot.unit;
    plot.data.replaceChildren(
      diagonal,
      ...dots.map((i) => svg("circle", { class: "point", cx: plot.px(a[i]), cy: plot.py(b[i]), r: radius })),
    );
    this.#paintChosen();
  }

  #paintChosen() {
    const plot = this.scatter;
    if (!plot.width) return;
    const [x, y] = [
      this.models[this.first].values[this.chosen],
      this.models[this.second].values[this.chosen],
    ];
    plot.front.replaceChildren(
      ...(Number.isFinite(x) && Number.isFinite(y)
        ? [svg("circle", { class: "now", cx: plot.px(x), cy: plot.py(y), r: 6 * plot.unit })]
        : []),
    );
  }

  #drawRow() {
    if (this.images) {
      this.picture.grey(row(this.images, this.chosen), [0, 255]);
      this.picture.describe(`Row ${this.chosen + 1} as an image`);
    }
    const facts = { Row: `${this.chosen + 1} of ${this.data.n}` };
    for (const { name, values } of this.models) facts[name] = `${significant(values[this.chosen], 5)} nats`;
    showFacts(this.rowFacts, facts);
  }

  // ---- acting, the address, files ------------------------------------------------------------------------

  #choose(i) {
    this.chosen = i;
    this.#drawRow();
    this.#paintChosen();
    this.page.moved();
  }

  #nearest(event) {
    const [a, b] = [this.models[this.first].values, this.models[this.second].values];
    const [x, y] = this.scatter.at(event);
    let [found, least] = [this.chosen, Infinity];
    for (let i = 0; i < a.length; i++) {
      const distance = Math.hypot(a[i] - x, b[i] - y);
      if (distance < least) [found, least] = [i, distance];
    }
    return found;
  }

  state() {
    return new URLSearchParams({
      row: this.chosen + 1,
      across: this.first + 1,
      up: this.second + 1,
    }).toString();
  }

  restore(q) {
    const index = (name, most, fallback) => {
      const k = Number(q.get(name)) - 1;
      return Number.isInteger(k) && k >= 0 && k < most ? k : fallback;
    };
    this.chosen = index("row", this.data.n, this.chosen);
    this.first = index("across", this.models.length, this.first);
    this.second = index("up", this.models.length, this.second);
    this.choices.first.set(String(this.first));
    this.choices.second.set(String(this.second));
    this.draw();
  }

  pictures() {
    return [
      { name: "Differences", svg: () => standalone(this.dots.svg) },
      { name: "Rows", svg: () => standalone(this.scatter.svg) },
    ];
  }

  tables() {
    const rows = () =>
      Array.from({ length: this.data.n }, (_, i) => [i + 1, ...this.models.map(({ values }) => values[i])]);
    const scores = () =>
      this.models.map((m) => [m.name, m.parameters ?? "", m.mean, m.error, m.behind.mean, m.behind.error]);
    return [
      {
        name: "Scores",
        csv: () => csv(["model", "parameters", "mean", "standard_error", "behind", "behind_error"], scores()),
      },
      { name: "Log densities", csv: () => csv(["row", ...this.models.map(({ name }) => name)], rows()) },
    ];
  }
}

function argmin(values) {
  let least = 0;
  values.forEach((v, i) => {
    if (v < values[least]) least = i;
  });
  return least;
}
