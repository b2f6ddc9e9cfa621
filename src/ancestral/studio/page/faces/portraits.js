// The face that z draws, the original, and their difference, with what they are and how they fit.

import { legend } from "./hiding.js";
import { Picture, diverging, el, fixed, showFacts } from "../kit.js";

export class Portraits {
  constructor(room) {
    this.room = room;
    this.nodes = this.#build();
  }

  #build() {
    const { shape, hiding } = this.room;
    this.pictures = {
      face: new Picture(shape, "The face that z draws"),
      original: new Picture(shape, "", { tabindex: 0, role: "application", class: "picture paintable" }),
      difference: new Picture(shape, "Face minus original"),
    };
    const { face, original, difference } = this.pictures;
    this.captions = { face: el("figcaption"), original: el("figcaption"), difference: el("figcaption") };
    const figure = (picture, caption) => el("figure", {}, picture.canvas, caption);
    hiding.makePaintable(original.canvas);
    this.facts = el("dl", { class: "facts" });
    const triple = el(
      "div",
      { class: "triple" },
      figure(face, this.captions.face),
      figure(original, this.captions.original),
      figure(difference, this.captions.difference),
    );
    return [triple, this.facts];
  }

  /** Show the face x that z draws, the original, and how they differ. */
  draw(x) {
    const { image: original, grey } = this.room;
    this.pictures.face.grey(x, grey);
    this.drawOriginal();
    const span = grey[1] - grey[0];
    const { difference } = this.pictures;
    if (original)
      difference.paint(
        x.map((v, i) => (v - original[i]) / (0.5 * span)),
        diverging,
      );
    else difference.paint(x, () => [127, 127, 127]);
    difference.canvas.classList.toggle("empty", !original);
    this.#caption(x);
  }

  /** The original, with what is hidden and where the keys are. */
  drawOriginal() {
    const { original } = this.pictures;
    const { image, model, shape, grey, cursor, hidden } = this.room;
    const width = shape[1];
    const [low, high] = grey;
    original.canvas.classList.toggle("empty", !image);
    if (!image) original.paint(model.mean, () => [127, 127, 127]);
    else
      original.paint(image, (value, i) => {
        if (cursor && i === cursor[0] * width + cursor[1]) return [213, 94, 0];
        if (hidden[i]) return hatch(i, width);
        return Array(3).fill((255 * (value - low)) / (high - low));
      });
    original.describe(
      image
        ? "The original. Paint on it to hide a part; arrow keys move, space hides or shows."
        : "No original",
    );
  }

  #caption(x) {
    const { z, image, face, custom, data, grey, model, latents, given } = this.room;
    const isPosterior = !z && image;
    this.captions.face.replaceChildren(el("b", {}, isPosterior ? "W E[z | x] + μ" : "W z + μ"));
    const name =
      face !== null ? `Face ${face + 1} of ${data.n}` : custom ? "Your image" : "None: this face is new";
    this.captions.original.replaceChildren(
      el("b", {}, image ? "Original" : "No original"),
      ` ${image ? name : ""}`,
    );
    const half = fixed((grey[1] - grey[0]) / 2, 1);
    this.captions.difference.replaceChildren(
      el("b", {}, "Difference"),
      image ? legend("diverging", `−${half}`, half) : "",
    );
    const square = latents.reduce((sum, v) => sum + v * v, 0);
    const facts = { "|z|²": `${fixed(square, 1)} (prior mean ${model.d})` };
    if (given) facts["log p(visible)"] = `${fixed(given.logDensity, 1)} nats`;
    else if (image) facts["log p(original)"] = `${fixed(model.logDensity(image), 1)} nats`;
    if (image) facts["RMS difference"] = fixed(rms(x, image), 4);
    showFacts(this.facts, facts);
  }

  /** The pictures as they are shown, for saving. */
  get shown() {
    const { face, original, difference } = this.pictures;
    const own = { canvas: face.canvas, caption: "Face" };
    if (!this.room.image) return [own];
    return [
      own,
      { canvas: original.canvas, caption: "Original" },
      { canvas: difference.canvas, caption: "Difference" },
    ];
  }
}

const rms = (x, y) => Math.sqrt(x.reduce((sum, v, i) => sum + (v - y[i]) ** 2, 0) / x.length);

/** A checkerboard in the accent's blue: no grey of a photograph. */
const hatch = (i, width) => ((Math.floor(i / width) + (i % width)) % 2 ? [86, 180, 233] : [0, 114, 178]);
