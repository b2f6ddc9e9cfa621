// What follows from the room's state: the climb as far as it has come, and the class under its a and b.

import { row, sigmoid, unpack, unpackMatrix } from "../arrays.js";
import { remembered } from "../kit.js";
import { csv } from "../saving.js";
import { PairSums, drawPupils, fixedSteps, lineSearch, linked, pairsOf, product } from "./graphs.js";

export const MOST_PUPILS = 200; // that are held one by one, with all their pairs: 19,900
const STEPS = 100; // of plain gradient ascent

export class Lesson {
  constructor(data, page) {
    const { attributes } = data;
    Object.assign(this, { data, page, scale: 10 ** data.unit });
    this.sums = data.sums && new PairSums(data.sums);
    this.graphs = data.graphs ? readGraphs(data.graphs) : [];
    this.shown = Infinity; // steps of the climb, while it is under way
    const rows = { rows: unpackMatrix(data.rows), counts: unpack(data.counts).data };
    this.plain = remembered((a, b, size) => fixedSteps(this.sums, [a, b], size / data.n_pairs, STEPS));
    this.search = remembered((a, b) => lineSearch(this.sums, [a, b]));
    this.drawn = remembered((n, seed) => drawPupils(rows, n, seed));
    this.pupils = remembered((base, moved) =>
      base.map((x, i) => moved[i + 1]?.map((v, k) => held(attributes[k], v)) ?? x),
    );
    this.pairs = remembered((pupils, seed, graph, only) =>
      pairsOf(pupils, attributes, this.scale, { seed, mark: graph?.mark, only }),
    );
    this.links = remembered(linked);
  }

  /** The graph of the data that is shown, or null for a class drawn from the model. */
  get graph() {
    return this.graphs[this.page.state.graph - 1] ?? null;
  }

  /** The climb as far as it is shown, the point that it has come to, and the climb of the other kind. */
  get climb() {
    const { a, b, climb: kind, size } = this.page.state;
    if (!this.sums) return { a, b };
    if (kind === "none")
      return { a, b, kind, value: this.sums.logLikelihood(a, b), path: [], other: [], steps: 0 };
    const paths = { plain: this.plain(a, b, size), search: this.search(a, b) };
    const path = paths[kind].slice(0, this.shown + 1);
    const other = kind === "plain" ? "search" : "plain";
    return {
      ...path.at(-1),
      kind,
      path,
      other: paths[other],
      steps: paths[kind].length - 1,
      whole: paths[kind],
      within: paths[kind].findIndex((step) => this.data.log_likelihood - step.value < 1),
    };
  }

  /** The class: its pupils, its links, and each one's chance to be linked with the chosen pupil. */
  get class() {
    const { graph, scale } = this;
    const { state } = this.page;
    const { a, b } = this.climb;
    const pupils = this.pupils(graph?.pupils ?? this.drawn(state.n, state.pupils), state.moved);
    const isLarge = pupils.length > MOST_PUPILS;
    const chosen = Math.min(state.pupil, pupils.length) - 1;
    const links = this.links(this.pairs(pupils, state.links, graph, isLarge ? chosen : undefined), a, b);
    const chance = (x) => sigmoid(a * scale * product(x, pupils[chosen], this.data.attributes) + b);
    return { pupils, isLarge, chosen, links, chances: pupils.map(chance), a, b, scale };
  }

  nameOf(i) {
    return this.graph?.names?.[i] ?? `${this.data.is_own ? "node" : "pupil"} ${i + 1}`;
  }

  tables() {
    const { attributes, unit } = this.data;
    const { path = [] } = this.climb;
    const told = (v, k) => attributes[k].levels?.[v] ?? v;
    const name = (i) => this.graph?.names?.[i] ?? i + 1;
    const pair = ({ i, j, s, p, isLinked }) => [name(i), name(j), s / this.scale, p, Number(isLinked)];
    const step = ({ a, b, value }, k) => [k, a * 10 ** unit, b, value];
    const columns = ["pupil", ...attributes.map((one) => one.name)];
    return [
      {
        name: "Pupils",
        csv: () =>
          csv(
            columns,
            this.class.pupils.map((x, i) => [name(i), ...x.map(told)]),
          ),
      },
      {
        name: "Pairs",
        csv: () => csv(["i", "j", "inner_product", "p", "linked"], this.class.links.map(pair)),
      },
      { name: "Climb", csv: () => csv(["step", "a", "b", "log_likelihood"], path.map(step)) },
    ].slice(0, path.length > 1 ? 3 : 2);
  }
}

/** A value in an attribute's range, whole where all are. */
export function held({ low, high, whole }, value) {
  const within = Math.min(high, Math.max(low, value));
  return whole ? Math.round(within) : within;
}

/** Graphs of the data: pupils, names, and whether two are linked (1, 0; -1 where nobody knows). */
function readGraphs({ sizes, values, links, counts, names }) {
  const [rows, ends] = [unpackMatrix(values), unpackMatrix(links)];
  let [from, next] = [0, 0];
  return sizes.map((size, g) => {
    const pupils = Array.from({ length: size }, (_, i) => Array.from(row(rows, from + i)));
    const marks = new Map();
    for (const end = next + counts[g]; next < end; next++) {
      const [i, j, mark] = row(ends, next);
      marks.set(i * size + j, mark);
    }
    from += size;
    const called = names.length ? names.slice(from - size, from) : null;
    return { pupils, names: called, mark: (i, j) => marks.get(i * size + j) ?? 0 };
  });
}
