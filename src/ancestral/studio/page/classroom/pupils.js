// The pupils of a class: their network, by features or by links, and the features of the one chosen.

import { arrows, el, fixed, select, showFacts, slider } from "../kit.js";
import { logDensity } from "./graphs.js";
import { Network, relax } from "./network.js";

export class Pupils {
  constructor(room) {
    this.room = room;
    this.places = []; // of the layout by links
    this.held = null; // the pupil being dragged in it
    this.nodes = this.#build();
  }

  #build() {
    this.network = new Network({
      onchoose: (i) => this.#choose(i),
      onmove: (i, place, isDone) => this.#drag(i, place, isDone),
      onkey: (event) => this.#key(event),
    });
    this.facts = el("dl", { class: "facts" });
    this.pupilChoice = select({
      label: "Pupil",
      options: [],
      value: "0",
      onchange: (i) => this.#choose(Number(i)),
    });
    this.featureSliders = Array.from({ length: this.room.width }, (_, k) =>
      slider({
        label: `x${"₁₂₃₄₅₆₇₈₉"[k] ?? k + 1}`,
        name: `Feature ${k + 1} of the chosen pupil`,
        min: -1,
        max: 1,
        step: 0.01,
        oninput: (v) => {
          const x = [...this.room.features[this.room.pupil]];
          x[k] = v;
          this.#setFeatures(this.room.pupil, x);
        },
        onchange: () => this.room.page.done(),
      }),
    );
    const features = el(
      "div",
      { class: "sliders" },
      this.featureSliders.map((s) => s.node),
    );
    const one = el("div", { class: "pupil-box" }, this.pupilChoice.node, features);
    return [this.network.node, this.facts, one];
  }

  // ---- acting ----------------------------------------------------------------------------------------

  #choose(i) {
    this.room.pupil = i;
    this.room.refresh();
    this.room.page.moved();
  }

  #setFeatures(i, x) {
    this.room.moved.set(i, x);
    this.room.refresh();
    this.room.page.moved();
  }

  #drag(i, [u, v], isDone) {
    if (this.room.layout === "links") {
      this.places[i] = [u, v];
      this.held = isDone ? null : i;
      this.room.refresh();
      return;
    }
    const x = [...this.room.features[i]];
    x[0] = u;
    if (this.room.width > 1) x[1] = v;
    this.#setFeatures(i, x);
    if (isDone) this.room.page.done();
  }

  #key(event) {
    const step = arrows(event);
    if (!step) return;
    const x = [...this.room.features[this.room.pupil]];
    x[0] = clamp(x[0] + 0.02 * step[0]);
    if (this.room.width > 1) x[1] = clamp(x[1] + 0.02 * step[1]);
    this.#setFeatures(this.room.pupil, x);
    this.room.page.done();
  }

  /** Let the layout by links begin again from the features. */
  startAnew() {
    this.places = [];
  }

  // ---- drawing ---------------------------------------------------------------------------------------

  draw() {
    this.#drawNetwork();
    this.#drawFacts();
    this.#drawPupil();
  }

  #drawNetwork() {
    const { features, links, width, pupil, faint, layout } = this.room;
    const byLinks = layout === "links";
    if (byLinks) this.#settle();
    const places = byLinks
      ? this.places
      : features.map((x, i) => [clamp(x[0]), width > 1 ? clamp(x[1]) : 1.6 * (((i * 0.618) % 1) - 0.5)]);
    const shades = features.map((x) => clamp(x[Math.min(2, width - 1)]));
    this.network.show({
      places,
      shades,
      links,
      chosen: pupil,
      faint,
      names: byLinks ? null : ["x₁", width > 1 ? "x₂" : ""],
    });
    const n = links.filter((l) => l.linked).length;
    this.network.svg.setAttribute(
      "aria-label",
      `A class of ${places.length} pupils with ${n} links. Arrow keys move the chosen pupil.`,
    );
  }

  /** Start from the features, then let links pull: a little now, the rest over the next frames. */
  #settle() {
    const { features, links } = this.room;
    while (this.places.length < features.length) {
      const x = features[this.places.length];
      this.places.push([0.7 * clamp(x[0]), 0.7 * clamp(x[1] ?? Math.sin(this.places.length))]);
    }
    this.places.length = features.length;
    const signature = links.map((l) => (l.linked ? 1 : 0)).join("");
    if (signature !== this.signature) this.rounds = 160;
    this.signature = signature;
    if (this.rounds > 0 || this.held !== null) {
      relax(this.places, links, this.held, 3);
      this.rounds -= 3;
      this.room.refresh();
    }
  }

  #drawFacts() {
    const { links, a, b } = this.room;
    const present = links.filter((link) => link.linked).length;
    const expected = links.reduce((sum, { p }) => sum + p, 0);
    showFacts(this.facts, {
      Links: `${present} of ${links.length}`,
      Expected: fixed(expected, 1),
      "log p(E | X)": `${fixed(logDensity(links, a, b), 2)} nats`,
    });
  }

  #drawPupil() {
    const { input } = this.pupilChoice;
    const { features, pupil } = this.room;
    if (input.options.length !== features.length)
      input.replaceChildren(...features.map((_, i) => el("option", { value: i }, String(i + 1))));
    this.pupilChoice.set(String(pupil));
    this.featureSliders.forEach((control, k) => control.set(features[pupil][k]));
  }
}

const clamp = (v) => Math.min(1, Math.max(-1, v));
