// Where the reader stands: all that follows from the state, computed once for each that it has.

import { unpack, unpackMatrix } from "../arrays.js";
import { remembered } from "../kit.js";
import { padded } from "../plot.js";
import { Climb, expectation, startAt } from "./em.js";

export const MOST_PARTS = 6; // as many colours as all common colour vision tells apart

/** Parts as the address has them: those that are no distributions make no sense. */
export const heldParts = {
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

export class Standing {
  constructor(data, page) {
    Object.assign(this, { data, page });
    this.values = unpackMatrix(data.values);
    this.models = data.models.map((model) => ({
      ...model,
      weights: unpack(model.weights).data,
      means: unpackMatrix(model.means),
      covariances: unpack(model.covariances).data,
    }));
    this.#remember();
  }

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

  /** The parts as they stand, to go on from: they stay while the points change. */
  kept() {
    const { climb, step } = this.now;
    if (!climb) return { held: null, n: 0 };
    return { held: climb.at(step).parts, n: Math.min(1, this.page.state.n) };
  }
}
