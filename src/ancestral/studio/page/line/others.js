// Curves beside the fitted one: saved models, and a network that is trained when it is first shown.

import { button, checkbox, el, fixed, panel } from "../kit.js";
import { logLikelihood, savedCurve } from "./curves.js";

export class Others {
  /** `take` is called with the columns, by place, that a curve was fitted to. */
  constructor(data, page, take) {
    Object.assign(this, { data, page });
    const saved = data.curves.map((curve) => ({ ...curve, ...savedCurve(curve) }));
    const [x, y] = [data.x, data.y].map((k) => data.columns[k].name);
    const network = data.network === null ? [{ name: "NeuralGaussian", x, y, isTrained: true }] : [];
    this.rows = [...saved, ...network].map((curve, k) => ({
      curve,
      box: checkbox({ label: curve.name, onchange: (on) => this.#show(curve, k, on) }),
      value: el("output"),
      take: button("Take its columns", () => take(this.#columnsOf(curve))),
    }));
    const nodes = this.rows.map(({ box, value, take }) =>
      el("div", { class: "line-other" }, box.node, value, take),
    );
    const why = data.network ? [el("p", { class: "hint" }, data.network)] : [];
    this.node = panel("Other curves", { hint: "Log-likelihood of the points shown, in nats." }, nodes, why);
    this.node.hidden = !nodes.length && !why.length;
  }

  #show({ isTrained }, k, on) {
    const { off } = this.page.state;
    const rest = off.filter((each) => each !== k);
    this.page.change(isTrained ? { network: on } : { off: on ? rest : [...rest, k] });
  }

  /** The places of a curve's columns: one without a name takes what is shown, one not there has -1. */
  #columnsOf(curve) {
    const at = (axis) =>
      curve[axis] ? this.data.columns.findIndex(({ name }) => name === curve[axis]) : this.page.state[axis];
    return { x: at("x"), y: at("y") };
  }

  #isOf(curve) {
    const { x, y } = this.#columnsOf(curve);
    return x === this.page.state.x && y === this.page.state.y;
  }

  #isOn({ isTrained }, k) {
    const { network, off } = this.page.state;
    return isTrained ? network : !off.includes(k);
  }

  /** Return the curves to draw; the network is asked for if it is one of them. */
  shown() {
    const wanted = this.rows.map(({ curve }) => curve).filter((c, k) => this.#isOn(c, k) && this.#isOf(c));
    wanted.filter((curve) => !curve.mean && !curve.isComing).forEach((curve) => this.#train(curve));
    return wanted.filter((curve) => curve.mean);
  }

  async #train(curve) {
    curve.isComing = true;
    try {
      const sent = await this.page.load("network");
      if (sent.problem) throw new Error(sent.problem);
      Object.assign(curve, sent, savedCurve(sent));
    } catch (error) {
      this.page.say(error.message, "problem");
      this.page.change({ network: false });
    }
    curve.isComing = false;
    this.page.draw();
  }

  draw({ x, y }) {
    this.rows.forEach(({ curve, box, value, take }, k) => {
      const isOf = this.#isOf(curve);
      box.set(this.#isOn(curve, k));
      box.input.disabled = !isOf;
      take.hidden = isOf || Object.values(this.#columnsOf(curve)).includes(-1);
      value.value = isOf ? this.#said(curve, x, y) : `${curve.y ?? "y"} given ${curve.x ?? "x"}`;
    });
  }

  #said(curve, x, y) {
    if (!curve.mean) return curve.isComing ? "in training …" : "trained on all points when it is shown";
    const trained = curve.isTrained ? ` (trained on ${curve.n.toLocaleString("en")} points)` : "";
    return fixed(logLikelihood(curve, x, y), 2) + trained;
  }
}
