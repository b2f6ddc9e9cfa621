// Hiding a part of a face: a brush on the original, and the exact conditional of what it hides.

import { Random, newSeed } from "../arrays.js";
import {
  Picture,
  arrows,
  button,
  checkbox,
  choice,
  el,
  fixed,
  follow,
  mixed,
  panel,
  perFrame,
} from "../kit.js";

const N_DRAWS = 3;

export class Hiding {
  constructor(room) {
    this.room = room;
    this.node = this.#build();
  }

  #build() {
    const [height, width] = this.room.shape;
    const hide = (name, test) => button(name, () => this.room.act(() => this.hide(test)));
    this.brush = 1;
    this.parts = [
      hide("Lower half", (r) => r >= height / 2),
      hide("Right half", (r, c) => c >= width / 2),
      hide("Eyes", (r) => r >= 0.24 * height && r < 0.52 * height),
    ];
    this.showAll = button("Show all", () => this.room.act(() => this.room.hidden.fill(0)));
    const tools = [...this.parts, this.showAll];
    const brush = choice({
      label: "Brush",
      options: [
        ["0", "1 pixel"],
        ["1", "3 × 3"],
        ["2", "5 × 5"],
      ],
      value: "1",
      onchange: (v) => (this.brush = Number(v)),
    });
    const names = [
      "Conditional mean",
      "Standard deviation",
      ...Array.from({ length: N_DRAWS }, (_, k) => `Draw ${k + 1}`),
    ];
    this.fills = names.map((name) => ({
      picture: new Picture(this.room.shape, name),
      caption: el("figcaption", {}, name),
      name,
    }));
    this.noisy = false;
    const noise = checkbox({
      label: "Add pixel noise σ",
      onchange: (on) => {
        this.noisy = on;
        this.room.drawAll();
      },
    });
    const again = button("Draw again", () => this.room.act(() => (this.room.seed = newSeed())));
    this.hideHint = el("p", { class: "hint" });
    this.fillRow = el(
      "div",
      { class: "five" },
      this.fills.map(({ picture, caption }) => el("figure", {}, picture.canvas, caption)),
    );
    this.hideControls = el("div", { class: "row" }, brush.node, noise.node, again);
    return panel("Hide a part", { tools }, this.hideHint, this.fillRow, this.hideControls);
  }

  /** Hide the pixels (r, c) that pass a test; without an original, of the first face of the data. */
  hide(test) {
    if (!this.room.image) this.room.takeFirst();
    const width = this.room.shape[1];
    this.room.hidden = this.room.hidden.map((_, i) => (test(Math.floor(i / width), i % width) ? 1 : 0));
    this.room.z = null;
  }

  makePaintable(canvas) {
    const [height, width] = this.room.shape;
    const cell = (event) => {
      const box = canvas.getBoundingClientRect();
      return [
        Math.floor(((event.clientY - box.top) / box.height) * height),
        Math.floor(((event.clientX - box.left) / box.width) * width),
      ];
    };
    let value = 1;
    const stroke = (event) => {
      this.#paint(...cell(event), value);
      this.refreshAll();
    };
    this.refreshAll = perFrame(() => this.room.drawAll());
    follow(canvas, {
      start: (event) => {
        if (!this.room.image) return false;
        const [r, c] = cell(event);
        value = this.room.hidden[r * width + c] ? 0 : 1;
        this.room.cursor = null;
        this.room.z = null;
        stroke(event);
        return true;
      },
      move: stroke,
      end: () => this.room.page.done(),
    });
    canvas.addEventListener("keydown", (event) => {
      if (!this.room.image) return;
      const step = arrows(event);
      this.room.cursor ??= [height >> 1, width >> 1];
      const [r, c] = this.room.cursor;
      if (step)
        this.room.cursor = [
          Math.min(height - 1, Math.max(0, r - Math.sign(step[1]))),
          Math.min(width - 1, Math.max(0, c + Math.sign(step[0]))),
        ];
      else if (event.key === " " || event.key === "Enter") {
        event.preventDefault();
        this.room.z = null;
        this.#paint(r, c, this.room.hidden[r * width + c] ? 0 : 1);
        this.room.page.done();
      } else return;
      this.room.drawAll();
    });
    canvas.addEventListener("blur", () => {
      this.room.cursor = null;
      this.room.portraits.drawOriginal();
    });
  }

  #paint(r, c, value) {
    const [height, width] = this.room.shape;
    for (let i = Math.max(0, r - this.brush); i <= Math.min(height - 1, r + this.brush); i++)
      for (let j = Math.max(0, c - this.brush); j <= Math.min(width - 1, c + this.brush); j++)
        this.room.hidden[i * width + j] = value;
  }

  draw() {
    const show = Boolean(this.room.given);
    this.fillRow.hidden = this.hideControls.hidden = !show;
    for (const part of this.parts) part.disabled = !this.room.image && !this.room.examples.rows;
    this.showAll.disabled = !show;
    this.hideHint.textContent = !this.room.image
      ? "Pick a face of the data, or open an image, to hide a part of it."
      : show
        ? `Given the ${this.room.given.count} visible pixels, the other ${this.room.m - this.room.given.count} have this exact conditional distribution.`
        : "Paint on the original with the mouse, or choose a part here: the model fills it.";
    if (!show) return;
    const random = new Random(this.room.seed);
    const sd = this.room.given.pixelSd;
    const most = Math.max(...sd);
    const draws = Array.from({ length: N_DRAWS }, () => this.room.given.draw(random, { noisy: this.noisy }));
    this.filled = this.room.given.mean;
    this.fills[0].picture.grey(this.filled, this.room.grey);
    this.fills[1].picture.paint(sd, (v) => mixed([255, 255, 255], [6, 56, 92], v / most));
    this.fills[1].caption.replaceChildren("Std. dev.", legend("rising", "0", fixed(most, 2)));
    draws.forEach((x, k) => this.fills[2 + k].picture.grey(x, this.room.grey));
  }

  /** The pictures as they are shown, for saving. */
  get pictures() {
    return this.fills.map(({ picture, caption }) => ({
      canvas: picture.canvas,
      caption: caption.firstChild.textContent,
    }));
  }
}

/** A colour scale with its two ends. */
export const legend = (kind, low, high) =>
  el("span", { class: "legend" }, low, el("i", { class: kind }), high);
