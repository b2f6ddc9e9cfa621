// Completions of a partly known row, with a certificate; and draws from them.

import { Random, logSumExp } from "../arrays.js";

export const EXACT = 1e-12; // a share that is nothing but rounding

/** Completions of a partly known row, the most probable prefix first.
 *
 * Every prefix that agrees with what is known waits in a queue with its probability, those of a
 * model of several orders together. Those taken out and walked to their end are the completions
 * found; the mass still waiting bounds what can be missing. So after any number of steps
 *     found / (found + waiting)  <=  share of the posterior that is listed,
 * and once nothing waits the list is the whole posterior, exactly.
 */
export class Completions {
  /** @param evidence per variable 0, 1, or -1 where unknown. */
  constructor(model, evidence, { tolerance = 1e-3, most } = {}) {
    Object.assign(this, { model, evidence, tolerance });
    this.most = most ?? Math.max(...model.members.map(({ steps }) => steps.most));
    this.found = []; // { node, levels, logP }; levels -1 where every value is as likely as the other
    this.steps = 0;
    this.queue = new Queue();
    for (const { steps, order } of model.members) {
      const known = Int8Array.from(order, (i) => evidence[i]);
      const last = known.findLastIndex((level) => level >= 0);
      const member = { steps, order, known, last };
      const logP = -Math.log(model.members.length);
      this.queue.push({ member, state: steps.start(), logP, parent: null, level: -1 });
    }
  }

  /** Search on for so many milliseconds; return whether it is finished. */
  run(milliseconds = Infinity) {
    const end = performance.now() + milliseconds;
    while (!this.isDone) {
      for (let k = 0; k < 32 && this.queue.size; k++) this.#expand(this.queue.pop());
      if (this.steps % 128 < 32) {
        this.#weigh();
        this.isCertified = this.rest <= this.tolerance; // asked at these steps alone: the same on any machine
      }
      if (performance.now() > end) break;
    }
    this.#weigh();
    return this.isDone;
  }

  get isDone() {
    return !this.queue.size || this.steps >= this.most || Boolean(this.isCertified);
  }

  /** The most that is missing from the list, as a share of the posterior. */
  get rest() {
    if (!this.queue.size) return 0;
    return this.share ?? 1;
  }

  /** The most by which a draw can be wrong: what follows the last known variable is never searched. */
  get doubt() {
    const isOpen = ({ member, parent }) => (parent?.state.depth ?? -1) < member.last;
    return Math.exp(
      logSumExp(this.queue.items.filter(isOpen).map(({ logP }) => logP)) - this.logEvidence.high,
    );
  }

  get isImpossible() {
    return !this.queue.size && !this.found.length;
  }

  #weigh() {
    if (this.weighed === this.steps) return;
    this.weighed = this.steps;
    this.listed = this.means = null;
    const waiting = logSumExp(this.queue.items.map((node) => node.logP));
    this.logFound = logSumExp(this.found.map((row) => row.logP));
    this.logWaiting = waiting;
    this.share = waiting === -Infinity ? 0 : 1 / (1 + Math.exp(this.logFound - waiting));
  }

  #expand(node) {
    this.steps++;
    const { steps, known } = node.member;
    // stepping waits until the node is taken: most never are
    let state = (node.state ??= steps.next(node.parent.state, node.level));
    if (steps.skip) {
      const from = state.depth;
      state = node.state = steps.skip(state); // a run of certain levels is one step
      for (let i = from; i < state.depth; i++)
        if (known[i] >= 0 && known[i] !== steps.certain(state.stop, i)) return;
    }
    if (state.depth === this.model.m || state.isUniform) {
      this.found.push(this.#row(node));
      return;
    }
    for (const level of [0, 1]) {
      const set = known[state.depth];
      const logP = node.logP + state.logP[level];
      if ((set >= 0 && set !== level) || logP === -Infinity) continue;
      this.queue.push({ member: node.member, state: null, logP, parent: node, level });
    }
  }

  /** A row that is found. After an unseen prefix, known values halve its mass, unknown ones don't. */
  #row(node) {
    const { order, known } = node.member;
    const levels = new Int8Array(this.model.m);
    let { logP } = node;
    path(node).forEach((level, i) => {
      const isOpen = i >= node.state.depth;
      levels[order[i]] = isOpen ? known[i] : level;
      if (isOpen && known[i] >= 0) logP -= Math.LN2;
    });
    return { node, levels, logP };
  }

  /** The list, most probable first, each with its posterior probability (at most). */
  get rows() {
    this.#weigh();
    this.listed ??= this.#merged()
      .sort((r, s) => s.logP - r.logP)
      .map((row) => ({ ...row, p: Math.exp(row.logP - this.logFound) * (1 - this.rest) }));
    return this.listed;
  }

  /** The rows found, those that several orders found once. */
  #merged() {
    if (this.model.members.length === 1) return [...this.found];
    const merged = new Map();
    for (const { levels, logP } of this.found) {
      const id = levels.join("");
      const before = merged.get(id)?.logP ?? -Infinity;
      merged.set(id, { levels, logP: logSumExp([before, logP]) });
    }
    return [...merged.values()];
  }

  /** log p of what is known: at least `low`, at most `high`. */
  get logEvidence() {
    this.#weigh();
    const waiting = this.queue.size ? this.logWaiting : -Infinity;
    return { low: this.logFound, high: logSumExp([this.logFound, waiting]) };
  }

  /** p(x_i = 1 | known) of every variable: between `low` and `high`, which agree when certain. */
  marginals() {
    this.#weigh();
    this.means ??= this.#means();
    return this.means;
  }

  #means() {
    const ones = new Float64Array(this.model.m);
    for (const { levels, logP } of this.found) {
      const p = Math.exp(logP - this.logFound);
      for (let i = 0; i < ones.length; i++) ones[i] += p * (levels[i] < 0 ? 0.5 : levels[i]);
    }
    const rest = this.rest;
    return Array.from(ones, (p, i) => {
      if (this.evidence[i] >= 0) return { low: this.evidence[i], high: this.evidence[i] };
      return { low: p * (1 - rest), high: p * (1 - rest) + rest };
    });
  }

  /** Draw a row in a member's order, the member weighed by how well it explains what is known.
   *
   * The prefixes found and waiting are all that is possible: a draw goes through them, and from the
   * end of one on as the model steps.
   *
   * @returns the steps, each { i, p, level }: p = p(x_i = 1 | those before it, known).
   */
  draw(random) {
    const top = this.logEvidence.high;
    let parts = [
      ...this.found.map(({ node, logP }) => ({ node, logP })),
      ...this.queue.items.map((node) => ({ node, logP: node.logP })),
    ]
      .map(({ node, logP }) => ({ node, weight: Math.exp(logP - top) }))
      .filter(({ weight }) => weight > 0);
    const { steps, order, known } = pick(parts, random).node.member;
    parts = parts.filter(({ node }) => node.member.order === order);
    for (const part of parts) part.levels = path(part.node);
    let state = null;
    return Array.from(order, (at, i) => {
      if (!state && parts.length === 1) {
        const { node } = parts[0];
        const own = (node.state ??= steps.next(node.parent.state, node.level));
        if (own.depth === i) state = own;
      }
      let p = known[i];
      if (p < 0 && state) p = Math.exp(state.logP[1]);
      else if (p < 0) p = total(parts.filter(({ levels }) => levels[i])) / total(parts);
      const level = random.uniform() < p ? 1 : 0;
      if (state) state = steps.next(state, level);
      else parts = parts.filter(({ levels }) => levels[i] === level);
      return { i: at, p, level };
    });
  }
}

/** Where completions are too many to list: the share of draws in which each variable is 1.
 *
 * Draws are exact where nothing is known, or a beginning; elsewhere `canAnswer` is false.
 */
export class Draws {
  most = 400;
  n = 0;

  constructor(model, evidence) {
    Object.assign(this, { evidence, ones: new Float64Array(model.m), random: new Random(1) });
    this.search = new Completions(model, evidence);
    while (this.search.doubt > EXACT && this.search.steps < model.m) this.search.run(0);
    this.canAnswer = this.search.doubt <= EXACT;
  }

  run(milliseconds) {
    const end = performance.now() + milliseconds;
    while (!this.isDone && performance.now() < end) {
      for (const { i, level } of this.search.draw(this.random)) this.ones[i] += level;
      this.n++;
    }
  }

  get isDone() {
    return !this.canAnswer || this.n >= this.most;
  }

  /** Shares, two standard errors to either side (of a share of (ones + 1) / (n + 2), which is not 0). */
  marginals() {
    return Array.from(this.ones, (ones, i) => {
      if (this.evidence[i] >= 0) return { low: this.evidence[i], high: this.evidence[i] };
      const p = (ones + 1) / (this.n + 2);
      const two = 2 * Math.sqrt((p * (1 - p)) / this.n);
      return { low: Math.max(0, p - two), high: Math.min(1, p + two) };
    });
  }
}

const total = (parts) => parts.reduce((sum, { weight }) => sum + weight, 0);

/** Draw one of the parts by its weight. */
function pick(parts, random) {
  let left = random.uniform() * total(parts);
  return parts.find(({ weight }) => (left -= weight) <= 0) ?? parts.at(-1);
}

/** The levels on the way to a node, in its member's order; -1 after it. */
function path(node) {
  const { known, steps } = node.member;
  const levels = new Int8Array(known.length).fill(-1);
  for (let at = node; at; at = at.parent) {
    const start = at.parent ? at.parent.state.depth + 1 : 0;
    if (at.parent) levels[start - 1] = at.level;
    for (let i = start; i < (at.state?.depth ?? start); i++) levels[i] = steps.certain(at.state.stop, i);
  }
  return levels;
}

/** A binary heap, the most probable on top. */
class Queue {
  items = [];

  get size() {
    return this.items.length;
  }

  push(node) {
    const { items } = this;
    let i = items.push(node) - 1;
    while (i > 0) {
      const above = (i - 1) >> 1;
      if (items[above].logP >= node.logP) break;
      items[i] = items[above];
      i = above;
    }
    items[i] = node;
  }

  pop() {
    const { items } = this;
    const top = items[0];
    const last = items.pop();
    if (items.length) this.#sink(last);
    return top;
  }

  #sink(node) {
    const { items } = this;
    let i = 0;
    for (;;) {
      let below = 2 * i + 1;
      if (below >= items.length) break;
      if (below + 1 < items.length && items[below + 1].logP > items[below].logP) below++;
      if (items[below].logP <= node.logP) break;
      items[i] = items[below];
      i = below;
    }
    items[i] = node;
  }
}
