// The equation as pictures: face = mean + z1 w1 + z2 w2 + ..., the largest terms each, the rest as one.

import { Picture, diverging, el, fixed, subscript } from "../kit.js";

const N_TERMS = 4;

export class FaceSum {
  constructor({ shape, grey }) {
    this.grey = grey;
    const picture = (label) => new Picture(shape, label);
    this.face = picture("Face, as a sum");
    this.mean = picture("The mean face");
    this.rest = picture("All other terms together");
    this.terms = Array.from({ length: N_TERMS }, () => ({ picture: picture(""), times: el("span", {}) }));
    const term = (canvas, name) => el("span", { class: "term" }, canvas, name);
    for (const one of this.terms) {
      one.name = el("span", {});
      one.node = el(
        "span",
        { class: "part" },
        one.times,
        el("span", { class: "term" }, one.picture.canvas, one.name),
      );
    }
    this.others = el("span", { class: "part" }, "+", term(this.rest.canvas, "the rest"));
    this.node = el(
      "div",
      { class: "face-sum" },
      term(this.face.canvas, "face"),
      "=",
      term(this.mean.canvas, "mean μ"),
      ...this.terms.map(({ node }) => node),
      this.others,
    );
  }

  draw({ model, now, x }) {
    this.face.grey(x, this.grey);
    this.mean.grey(model.mean, this.grey);
    const chosen = Array.from(now, (v, k) => [Math.abs(v) * model.scales[k], k])
      .sort(([a], [b]) => b - a)
      .slice(0, N_TERMS)
      .map(([, k]) => k)
      .sort((a, b) => a - b);
    const rest = x.map((v, i) => v - model.mean[i]);
    this.terms.forEach((term, j) => {
      const k = chosen[j];
      term.node.hidden = k === undefined;
      if (k === undefined) return;
      const loading = model.loading(k);
      if (term.k !== k || term.model !== model) this.#paint(term.picture, loading);
      Object.assign(term, { k, model });
      term.times.textContent = ` ${now[k] < 0 ? "−" : "+"} ${fixed(Math.abs(now[k]), 1)} ×`;
      term.name.textContent = `w${subscript(k + 1)}`;
      term.picture.describe(`Direction ${k + 1}`);
      for (let i = 0; i < rest.length; i++) rest[i] -= now[k] * loading[i];
    });
    this.others.hidden = model.d <= N_TERMS;
    if (!this.others.hidden) this.#paint(this.rest, rest, (this.grey[1] - this.grey[0]) / 2);
  }

  #paint(picture, values, reach = values.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-12)) {
    picture.paint(values, (v) => diverging(v / reach));
  }
}
