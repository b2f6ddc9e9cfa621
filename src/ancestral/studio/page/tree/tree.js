// Ask a table: its columns as a tree. Fix any of them, and the others become what they are given it.
//
// Answers are exact: sums over the hidden states of the trees (circuit.js), whatever is fixed.

import { Random, newSeed, unpack } from "../arrays.js";
import { button, el, fixed, panel, remembered, select, significant, svg } from "../kit.js";
import { csv, standalone } from "../saving.js";
import { entries, maybe, oneOf, real, whole, wholes } from "../state.js";
import { Card } from "./card.js";
import { Trees, hasLevels } from "./circuit.js";
import { editorOf } from "./editor.js";
import { BESIDE, cellsOf, gridFor, linksOf } from "./layout.js";
import { rangeOf, spelt, speltMoments } from "./words.js";

const ROWS = 200; // to which a drawn row is compared
const WORK = 1e6; // sums that these may take
const LISTED = 60; // columns
const CONTRADICT = Math.log(0.25); // of what is fixed: so much less likely together than apart
const STRANGE = 0.95; // of rows are less odd

export const room = {
  state: ({ columns }) => ({
    fixed: entries(
      Object.fromEntries(
        columns.map((column) => [
          column.name,
          hasLevels(column) ? oneOf(column.levels) : real(...rangeOf(column), column.low, 12),
        ]),
      ),
    ),
    column: whole(0, columns.length - 1),
    front: wholes({ most: 12 }, 0, columns.length - 1),
    seed: maybe(whole(0, 999999)),
  }),
  build: (data, page) => new Room(data, page),
};

class Room {
  constructor(data, page) {
    Object.assign(this, { data, page });
    this.trees = new Trees(data);
    this.columns = data.columns;
    this.before = this.trees.given(this.columns.map(() => NaN));
    this.information = unpack(data.information).data;
    this.heaviest = data.weights.indexOf(Math.max(...data.weights));
    this.parent = Array.from(this.trees.members[this.heaviest].parent);
    this.cards = [];
    this.row = remembered(() => this.columns.map((_, i) => this.#fixedAt(i) ?? NaN));
    this.answer = remembered((row) => this.trees.given(row));
    this.usual = remembered((row) => this.#usual(row));
    this.oddness = remembered((row, seed) => this.#draw(row, seed));
    this.#build();
  }

  prompts = [
    { text: "Fix one column: which other changes most?", done: ({ fixed }) => Object.keys(fixed).length > 0 },
    {
      text: "Fix two that contradict each other: log p falls.",
      done: (_, view) => view.together < CONTRADICT,
    },
    { text: "Draw rows until one is odder than 95 % of draws.", done: (_, view) => view.odd >= STRANGE },
  ];

  // ---- what is known ---------------------------------------------------------------------------------

  /** The row that the state fixes, NaN where it does not. */
  get #row() {
    return this.row(this.page.state.fixed);
  }

  #fixedAt(i) {
    const column = this.columns[i];
    const value = this.page.state.fixed[column.name];
    if (value === undefined) return null;
    return hasLevels(column) ? column.levels.indexOf(value) : value;
  }

  /** Fix a column at a value; null releases it. A row that is drawn follows, of the same seed. */
  fix(i, value) {
    const column = this.columns[i];
    const { [column.name]: _, ...rest } = this.page.state.fixed;
    const said = hasLevels(column) ? column.levels[value] : value;
    this.page.change({
      fixed: value === null ? rest : { ...rest, [column.name]: said },
      column: i,
    });
  }

  choose(i) {
    const { front } = this.page.state;
    this.page.change({ column: i, front: this.visible.includes(i) ? front : [i, ...front].slice(0, 12) });
  }

  /** Return log p of many rows drawn given what is fixed: to these a drawn row is compared. */
  #usual(row) {
    const { trees, columns } = this;
    const answer = this.answer(row);
    const sums = trees.members.length * columns.length * trees.members[0].k ** 2;
    const n = Math.min(ROWS, Math.max(20, Math.round(WORK / sums)));
    return Array.from({ length: n }, (_, s) => trees.logDensity(trees.draw(answer, new Random(s))));
  }

  /** Draw a row of a seed, and find how many of such rows are less odd. */
  #draw(row, seed) {
    const drawn = this.trees.draw(this.answer(row), new Random(seed));
    const own = this.trees.logDensity(drawn);
    const usual = this.usual(row);
    return { drawn, odd: usual.filter((v) => v > own).length / usual.length };
  }

  // ---- building --------------------------------------------------------------------------------------

  #build() {
    this.links = svg("g");
    this.dots = svg("g");
    this.places = svg("g");
    this.svg = svg("svg", {
      class: "tree-plot",
      role: "group",
      "aria-label": "Tree of the table's columns",
    });
    this.svg.append(this.links, this.dots, this.places);
    this.frame = el("div", { class: "tree-frame" }, this.svg);
    this.facts = el("span", { role: "status" });
    this.legend = el("span", { class: "tree-legend" });
    const told = el("p", { class: "tree-facts" }, this.legend, this.facts);
    this.stage = [el("div", { class: "tree-stage" }, this.frame, told)];
    new ResizeObserver(() => this.page.draw()).observe(this.frame);
    this.releaseAll = button("Release all", () => this.page.change({ fixed: {}, seed: null }));
    this.editor = el("div", { class: "tree-editor" });
    this.column = select({
      label: "Column",
      options: this.columns.map(({ name }, i) => [i, name]),
      value: 0,
      onchange: (i) => this.choose(Number(i)),
    });
    this.showMoved = button("Show those first", () =>
      this.page.change({ front: this.moved.slice(0, 12).map(([i]) => i) }),
    );
    this.equation = el("p");
    this.listTitle = el("p", { class: "hint" });
    this.list = el("div", { class: "tree-list" });
    this.controls = [
      panel(
        "A row",
        { hint: "Fixed columns stay; the others are drawn, from the root of the tree down." },
        el(
          "div",
          { class: "row" },
          button("Draw a row", () => this.page.change({ seed: newSeed() }), { kind: "main" }),
          this.releaseAll,
        ),
      ),
      panel("A column", {}, this.column.node, this.editor),
      panel(
        "The columns",
        { tools: [this.showMoved] },
        this.listTitle,
        this.list,
        el("p", { class: "hint" }, this.#aboutFit()),
      ),
    ];
  }

  #aboutFit() {
    const { source, used, members, weights, left_out: out } = this.data;
    const { k } = this.trees.members[0];
    const from = used ? `Fitted here to ${used}` : "A saved model";
    const first = `${source ? `${source}. ` : ""}${from}: each column has a hidden state, one of ${k}.`;
    const share = fixed(100 * weights[this.heaviest], 0);
    const trees =
      members.length > 1
        ? ` The picture shows the heaviest of its ${members.length} trees (${share} %); answers use all.`
        : "";
    const left = out.length ? ` Left out, because empty or text that hardly repeats: ${out.join(", ")}.` : "";
    return `${first}${trees}${left}`;
  }

  // ---- the stage -------------------------------------------------------------------------------------

  /** Return which columns are shown: those fixed, those asked for, then those that tell most. */
  #ranking() {
    const { columns } = this;
    const d = columns.length;
    const total = (i) => columns.reduce((sum, _, j) => sum + (j === i ? 0 : this.information[i * d + j]), 0);
    this.ranked ??= columns.map((_, i) => i).sort((i, j) => total(j) - total(i));
    const isFixed = columns.map((_, i) => i).filter((i) => this.#fixedAt(i) !== null);
    return [...new Set([...isFixed, ...this.page.state.front, ...this.ranked])];
  }

  /** Place the cards where they are not those of before, or the stage has another size. */
  #arrange() {
    const { clientWidth: width, clientHeight: height } = this.frame;
    if (!width || !height) return false;
    const unit = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
    const grid = gridFor(this.columns.length, width, height, unit);
    this.visible = this.#ranking()
      .slice(0, grid.shown)
      .sort((a, b) => a - b);
    const key = [width, height, unit, ...this.visible].join();
    if (key === this.arranged) return true;
    this.arranged = key;
    Object.assign(this, { unit, gap: grid.gap[1] });
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    const links = linksOf(this.parent, this.visible);
    const cells = cellsOf(this.visible, links, grid.cols, grid.rows);
    this.visible.forEach((i, n) => {
      const [across, down] = [cells[n] % grid.cols, Math.floor(cells[n] / grid.cols)];
      this.cards[i] ??= new Card(this, i);
      this.cards[i].place({
        x: across * (grid.w + grid.gap[0]) + 1,
        y: down * (grid.h + grid.gap[1]) + grid.gap[1],
        w: grid.w - 2,
        h: grid.h - 2,
        unit,
      });
    });
    this.places.replaceChildren(...this.visible.map((i) => this.cards[i].node));
    this.#drawLinks(links);
    return true;
  }

  /** Where a column's hidden state lies. */
  #dot(i) {
    const { x, y, w } = this.cards[i];
    return [x + w / 2, y - 0.42 * this.gap];
  }

  #drawLinks(links) {
    const n = this.columns.length;
    const most = Math.max(...links.map(([i, j]) => this.information[i * n + j]), 1e-9);
    this.links.replaceChildren(
      ...links.map(([i, j, isLong]) => {
        const [[x1, y1], [x2, y2]] = [this.#dot(i), this.#dot(j)];
        const width = (1.5 + (4 * Math.max(0, this.information[i * n + j])) / most) * this.unit;
        // Between the cards, not behind them: along one row of dots, and between two columns to the other.
        const between = (x1 < x2 ? this.cards[j].x : this.cards[i].x) - BESIDE * this.unit * 0.5 - 1;
        const d = x1 === x2 ? `M${x1} ${y1}V${y2}` : `M${x1} ${y1}H${between}V${y2}H${x2}`;
        return svg("path", { class: isLong ? "link long" : "link", d, "stroke-width": width });
      }),
    );
    const dashed = links.some(([, , isLong]) => isLong) ? ", dashed: others between" : "";
    this.legend.textContent = `○ hidden state of a column · wide line: strong link${dashed}`;
    this.dots.replaceChildren(
      ...this.visible.map((i) => {
        const [x, y] = this.#dot(i);
        const stem = svg("path", { class: "link", d: `M${x} ${y}V${this.cards[i].y}`, "stroke-width": 1.5 });
        return svg("g", {}, stem, svg("circle", { class: "state", cx: x, cy: y, r: 4.5 * this.unit }));
      }),
    );
  }

  // ---- drawing ---------------------------------------------------------------------------------------

  draw() {
    const { fixed, seed, column } = this.page.state;
    const row = this.#row;
    const answer = this.answer(row);
    const isPossible = answer.logP > -Infinity;
    const { drawn, odd } = seed === null || !isPossible ? { drawn: null, odd: 0 } : this.oddness(row, seed);
    this.odd = odd;
    this.drawn = drawn;
    const alone = row.map((v, i) => (Number.isNaN(v) ? 0 : this.#logAlone(i, v)));
    this.together = answer.logP - alone.reduce((a, b) => a + b, 0);
    if (this.#arrange())
      for (const i of this.visible)
        this.cards[i].draw(
          isPossible ? answer : this.before,
          this.#fixedAt(i),
          drawn ? drawn[i] : null,
          i === column,
        );
    this.releaseAll.disabled = !Object.keys(fixed).length && seed === null;
    this.#drawFacts(answer, Object.keys(fixed).length);
    this.column.set(column);
    this.#drawEditor(column);
    this.#drawList(answer, isPossible && Object.keys(fixed).length > 0);
    this.#drawEquation(answer, isPossible);
  }

  #logAlone(i, value) {
    return this.trees.logDensity(this.columns.map((_, j) => (j === i ? value : NaN)));
  }

  #drawFacts({ logP }, n) {
    const parts = [];
    if (this.visible?.length < this.columns.length)
      parts.push(`${this.visible.length} of ${this.columns.length} columns`);
    if (n) parts.push(`log p(fixed) = ${fixed(logP, 2)} nats`, "outline: before");
    if (n > 1) parts.push(`${significant(Math.exp(this.together), 2)} × as likely together as apart`);
    if (this.drawn) parts.push(`◆\u00a0odder than ${fixed(100 * this.odd, 0)}\u00a0% of draws`);
    this.legend.classList.toggle("beside", n > 0 || this.drawn !== null);
    this.legend.hidden = parts.length > 2; // it would make a second line, and move the cards
    this.facts.textContent = parts.join(" · ");
  }

  /** What a column is, given what is fixed: of the chosen one, or of the one that moved most. */
  #drawEquation(answer, isPossible) {
    const { columns, trees } = this;
    const known = (i) => this.#fixedAt(i) !== null;
    const at = (column, value) => `${column.name} = ${spelt(column, value)}`;
    const given = columns.flatMap((column, i) => (known(i) ? [at(column, this.#fixedAt(i))] : []));
    const { column: chosen } = this.page.state;
    const i = known(chosen) ? this.moved[0]?.[0] : chosen;
    const when = given.length ? ` | ${given.join(", ")}` : "";
    const shares = (i) => {
      const p = [...trees.masses(i, answer)].map((share, level) => [share, level]);
      const likely = p.sort(([a], [b]) => b - a).slice(0, 3);
      const told = likely.map(([share, k]) => `p(${at(columns[i], k)}${when}) = ${fixed(share, 3)}`);
      return told.join("; ");
    };
    const says = (i) =>
      hasLevels(columns[i])
        ? shares(i)
        : `mean and sd of ${columns[i].name}${when}: ${speltMoments(columns[i], trees.moments(i, answer))}`;
    this.equation.textContent = isPossible && i !== undefined ? says(i) : "";
  }

  /** The chosen column's own control: built when another is chosen. */
  #drawEditor(i) {
    const column = this.columns[i];
    if (this.edited !== i) {
      this.edited = i;
      this.edit = editorOf(column, (value) => (this.fix(i, value), this.#fixedAt(i)));
      this.editor.replaceChildren(...this.edit.nodes);
    }
    const { mean } = hasLevels(column) ? {} : this.trees.moments(i, this.answer(this.#row));
    this.edit.set(this.#fixedAt(i), mean);
  }

  /** The columns by how far they moved; while nothing is fixed, by what they tell of the chosen one. */
  #drawList(answer, isFixed) {
    const { column } = this.page.state;
    const d = this.columns.length;
    this.listTitle.textContent = isFixed
      ? "How much each changed from the whole table, in nats (Kullback–Leibler):"
      : `What each tells about ${this.columns[column].name}, in nats (mutual information):`;
    const found = this.columns
      .map((_, i) => i)
      .filter((i) => (isFixed ? this.#fixedAt(i) === null : i !== column))
      .map((i) => [
        i,
        isFixed ? this.trees.change(i, answer, this.before) : Math.max(0, this.information[column * d + i]),
      ]);
    found.sort((a, b) => b[1] - a[1]);
    const most = Math.max(found[0]?.[1] ?? 0, 0.05);
    this.moved = found;
    this.showMoved.hidden = !(this.visible?.length < d);
    found.slice(0, LISTED).forEach(([i, nats], n) => {
      const node = this.list.children[n] ?? this.#listRow(n);
      node.dataset.column = i;
      const [name, bar, value] = node.children;
      node.setAttribute("aria-label", this.columns[i].name);
      node.setAttribute("aria-description", `${fixed(nats, 2)} nats`);
      name.textContent = name.title = this.columns[i].name;
      bar.style.setProperty("--share", nats / most);
      value.textContent = fixed(nats, 2);
    });
    [...this.list.children].forEach((node, n) => (node.hidden = n >= found.length));
  }

  #listRow(n) {
    const node = button("", () => this.choose(Number(node.dataset.column)), { kind: "quiet" });
    node.append(el("span"), el("span", { class: "nats" }), el("span"));
    this.list.append(node);
    return this.list.children[n];
  }

  // ---- files -----------------------------------------------------------------------------------------

  pictures() {
    return [{ name: "Tree", svg: () => standalone(this.svg) }];
  }

  tables() {
    const marginals = () => {
      const answer = this.answer(this.#row);
      return this.columns.flatMap((column, i) => {
        const value = this.#fixedAt(i);
        const isFixed = value !== null;
        if (!hasLevels(column)) {
          const { mean, sd } = isFixed ? { mean: value, sd: 0 } : this.trees.moments(i, answer);
          return [[column.name, "", "", mean, sd, isFixed]];
        }
        const p = this.trees.masses(i, answer);
        return column.levels.map((level, k) => [
          column.name,
          level,
          isFixed ? Number(k === value) : p[k],
          "",
          "",
          isFixed,
        ]);
      });
    };
    const names = ["column", "level", "probability", "mean", "standard_deviation", "is_fixed"];
    const row = () => [
      this.columns.map((column, i) => (hasLevels(column) ? spelt(column, this.drawn[i]) : this.drawn[i])),
    ];
    const found = [{ name: "Marginals", csv: () => csv(names, marginals()) }];
    if (this.drawn)
      found.push({
        name: "Drawn row",
        csv: () =>
          csv(
            this.columns.map(({ name }) => name),
            row(),
          ),
      });
    return found;
  }
}
