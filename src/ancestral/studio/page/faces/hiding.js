// Hiding a part of the face, and how its draws are made.

import { newSeed } from "../arrays.js";
import { button, checkbox, choice, el, panel } from "../kit.js";
import { fromBits } from "./images.js";

// parts of a face, as shares of the picture's height and width
const EYES = (r, c) => r >= 0.26 && r < 0.5 && c >= 0.08 && c < 0.92;
const EACH_EYE = [0.2, 0.56].map((left) => (r, c) => r >= 0.3 && r < 0.42 && c >= left && c < left + 0.22);
const MOUTH = (r, c) => r >= 0.64 && r < 0.88 && c >= 0.2 && c < 0.8;
const LOWER = (r) => r >= 0.5;

export class Hiding {
  constructor({ shape, act, onhide }) {
    Object.assign(this, { shape, eyes: EACH_EYE.map((eye) => this.#part(shape, eye)) });
    const hide = (name, test) => button(name, () => onhide(this.#part(shape, test)));
    this.showAll = button("Show all", () => onhide(this.#part(shape, () => false)));
    this.brush = choice({
      label: "Brush",
      options: ["small", "medium", "large"].map((size) => [size, size]),
      value: "medium",
      onchange: (brush) => act({ brush }),
    });
    this.noise = checkbox({ label: "Add pixel noise σ", onchange: (noisy) => act({ noisy }) });
    this.again = button("Draw again", () => act({ seed: newSeed() }));
    const row = (...nodes) => el("div", { class: "row" }, nodes);
    const tools = [hide("Eyes", EYES), hide("Mouth", MOUTH), hide("Lower half", LOWER), this.showAll];
    this.draws = row(this.again, this.noise.node);
    this.node = panel(
      "Hide a part",
      {
        hint: "Or paint on the big face. The draws are exact, given what is visible. If this leaves little choice, the draws agree: then hide more, or add noise.",
      },
      row(...tools),
      row(this.brush.node),
      this.draws,
    );
    this.node.classList.add("hiding");
  }

  #part([height, width], test) {
    return Uint8Array.from({ length: height * width }, (_, i) =>
      Number(test((Math.floor(i / width) + 0.5) / height, ((i % width) + 0.5) / width)),
    );
  }

  /** Whether bits hide most of each eye. */
  coversEyes(hidden) {
    const mask = fromBits(hidden, this.eyes[0].length);
    const count = (eye, isIn) => eye.reduce((sum, on, i) => sum + (on && isIn(i)), 0);
    return this.eyes.every((eye) => count(eye, (i) => mask[i]) > 0.6 * count(eye, () => 1));
  }

  draw({ given, brush, noisy }) {
    this.brush.set(brush);
    this.noise.set(noisy);
    this.showAll.disabled = !given;
    this.draws.hidden = !given;
  }
}
