// The big face that z draws, painted on to hide a part of it; small beside it the original, the
// difference, and what the hidden part can be.

import { Random } from "../arrays.js";
import {
  Picture,
  arrows,
  diverging,
  el,
  fixed,
  follow,
  mixed,
  remembered,
  showFacts,
  significant,
  svg,
} from "../kit.js";

const N_DRAWS = 3;
const AGREE = 0.1; // of the greys' range: draws that differ by less look alike
const BRUSHES = { small: 0.4, medium: 1, large: 2 }; // radius in 24ths of the image

export class Stage {
  constructor({ shape, grey, n, onhide }) {
    Object.assign(this, { shape, grey, n, onhide, cursor: null });
    const picture = (label, attributes) => new Picture(shape, label, attributes);
    this.face = picture("The face that z draws. Paint on it to hide a part; arrow keys move, space hides.", {
      tabindex: 0,
      role: "application",
      class: "picture handle",
    });
    this.original = picture("");
    this.difference = picture("Face minus original");
    this.spread = picture("Standard deviation of what is hidden");
    this.draws = Array.from({ length: N_DRAWS }, (_, k) => picture(`Draw ${k + 1} of what is hidden`));
    this.drawsOf = remembered((given, seed, noisy) => {
      const random = new Random(seed);
      return { sd: given.pixelSd({ noisy }), draws: this.draws.map(() => given.draw(random, { noisy })) };
    });

    const [height, width] = shape;
    this.outline = svg("path");
    this.spot = svg("rect", { hidden: true });
    const over = { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" };
    const div = (name, ...children) => el("div", { class: name }, ...children);
    this.captions = {};
    const figure = (node, key, text = "") =>
      el("figure", { class: key }, node, (this.captions[key] = el("figcaption", {}, text)));
    this.target = div("canvas", this.face.canvas, svg("svg", over, this.outline, this.spot));
    const words = "Paint on the face to hide a part of it. Here you see what it could be.";
    this.invitation = el("p", { class: "hint" }, words);
    this.could = div(
      "could",
      this.draws.map(({ canvas }, k) => figure(canvas, `draw-${k}`, `Could be ${k + 1}`)),
      figure(this.spread.canvas, "spread"),
    );
    this.facts = el("dl", { class: "facts" });
    const pair = [figure(this.original.canvas, "original"), figure(this.difference.canvas, "difference")];
    const guesses = div("guesses", this.invitation, this.could);
    const layout = div("layout", figure(this.target, "drawn"), div("pair", pair), guesses, this.facts);
    this.node = div("faces-stage", layout);
    this.node.style.setProperty("--aspect", width / height);
    this.#letPaint();
  }

  // ---- painting ------------------------------------------------------------------------------------

  #letPaint() {
    const { canvas } = this.face;
    const [height, width] = this.shape;
    const cell = (event) => {
      const box = canvas.getBoundingClientRect();
      return [
        Math.floor(((event.clientY - box.top) / box.height) * height),
        Math.floor(((event.clientX - box.left) / box.width) * width),
      ];
    };
    let [mask, value, last] = [null, 1, null];
    const stroke = (event) => {
      const at = cell(event);
      const steps = Math.max(1, Math.abs(at[0] - last[0]), Math.abs(at[1] - last[1]));
      for (let k = 0; k <= steps; k++) {
        const [r, c] = last.map((from, axis) => Math.round(from + (k / steps) * (at[axis] - from)));
        this.#dab(mask, r, c, value);
      }
      last = at;
      this.onhide(mask);
    };
    follow(canvas, {
      start: (event) => {
        mask = this.#mask();
        last = cell(event);
        value = 1 - mask[last[0] * width + last[1]];
        stroke(event);
      },
      move: stroke,
    });
    canvas.addEventListener("keydown", (event) => {
      const step = arrows(event);
      this.cursor ??= [height >> 1, width >> 1];
      const [r, c] = this.cursor;
      if (step)
        this.cursor = [
          Math.min(height - 1, Math.max(0, r - Math.sign(step[1]))),
          Math.min(width - 1, Math.max(0, c + Math.sign(step[0]))),
        ];
      else if (event.key === " " || event.key === "Enter") {
        event.preventDefault();
        mask = this.#mask();
        this.#dab(mask, r, c, 1 - mask[r * width + c]);
        this.onhide(mask);
      }
      this.#showSpot();
    });
    const forget = () => this.#showSpot((this.cursor = null));
    canvas.addEventListener("blur", forget);
    canvas.addEventListener("pointerleave", forget);
    canvas.addEventListener(
      "pointermove",
      (event) => event.pointerType === "mouse" && this.#showSpot((this.cursor = cell(event))),
    );
  }

  #mask() {
    return Uint8Array.from(this.shown.mask ?? new Uint8Array(this.shape[0] * this.shape[1]));
  }

  #dab(mask, r, c, value) {
    const [height, width] = this.shape;
    const reach = this.#reach;
    for (let i = Math.max(0, r - reach); i <= Math.min(height - 1, r + reach); i++)
      for (let j = Math.max(0, c - reach); j <= Math.min(width - 1, c + reach); j++)
        mask[i * width + j] = value;
  }

  /** How far the brush goes beyond its middle, in pixels. */
  get #reach() {
    return Math.round((BRUSHES[this.shown.brush] * Math.max(...this.shape)) / 24);
  }

  /** Show what the brush covers, where the keys or the mouse have it. */
  #showSpot(at = this.cursor) {
    this.spot.toggleAttribute("hidden", !at);
    if (!at) return;
    const reach = this.#reach;
    const places = { x: at[1] - reach, y: at[0] - reach, width: 2 * reach + 1, height: 2 * reach + 1 };
    for (const [name, value] of Object.entries(places)) this.spot.setAttribute(name, value);
  }

  // ---- showing -------------------------------------------------------------------------------------

  draw(shown) {
    this.shown = shown;
    const { x, original, mask, given } = shown;
    const span = this.grey[1] - this.grey[0];
    this.face.grey(x, this.grey);
    this.outline.setAttribute("d", mask ? outlineOf(mask, this.shape) : "");
    if (this.brush && this.brush !== shown.brush) this.cursor = this.shape.map((side) => side >> 1);
    this.brush = shown.brush; // shown in the middle when it was just chosen
    this.#showSpot();
    this.#drawOriginal();
    if (original)
      this.difference.paint(
        x.map((v, i) => (v - original[i]) / (0.5 * span)),
        diverging,
      );
    for (const { canvas } of [this.original, this.difference])
      canvas.parentNode.classList.toggle("none", !original);
    this.invitation.hidden = Boolean(given);
    this.could.hidden = !given;
    if (given) this.#drawGuesses();
    this.#caption();
  }

  #drawOriginal() {
    const { original, mask } = this.shown;
    const [low, high] = this.grey;
    this.original.describe(original ? "The original" : "No original");
    if (!original) return;
    this.original.paint(original, (value, i) =>
      mask?.[i] ? hatch(i, this.shape[1]) : Array(3).fill((255 * (value - low)) / (high - low)),
    );
  }

  #drawGuesses() {
    const { given, seed, noisy } = this.shown;
    const { sd, draws } = this.drawsOf(given, seed, noisy);
    const most = sd.reduce((a, b) => Math.max(a, b), 0);
    draws.forEach((x, k) => this.draws[k].grey(x, this.grey));
    this.spread.paint(sd, (v) => mixed([255, 255, 255], [6, 56, 92], v / most));
    this.most = significant(most, 2);
    this.doAgree = most < AGREE * (this.grey[1] - this.grey[0]);
    this.captions.spread.replaceChildren(legend("rising", "up to"), `±${this.most}`);
  }

  #caption() {
    const { x, z, now, original, image, isNew, face, grey, model, given } = {
      ...this.shown,
      grey: this.grey,
    };
    const formula = z || !original ? "W z + μ" : given ? "W E[z | visible] + μ" : "W E[z | x] + μ";
    this.captions.drawn.replaceChildren(
      el("b", {}, el("span", {}, "Drawn by "), `${model.d} numbers z:`),
      formula,
    );
    const isComing = !original && face > 0;
    const name = isNew
      ? "as drawn"
      : image
        ? "yours"
        : isComing
          ? `${face} is coming …`
          : original
            ? `${face} of ${this.n}`
            : "";
    this.captions.original.replaceChildren(
      el("b", {}, isNew ? "New face" : original || isComing ? "Original" : "No original"),
      name,
    );
    const half = significant((grey[1] - grey[0]) / 2, 1);
    const isShown = original ? [el("b", {}, "Difference"), legend("diverging"), `±${half}`] : [];
    this.captions.difference.replaceChildren(...isShown);
    const facts = {};
    if (given) facts["log p(visible)"] = `${fixed(given.logDensity, 1)} nats`;
    else if (original) facts["log p(original)"] = `${fixed(model.logDensity(original), 1)} nats`;
    if (given) facts[this.doAgree ? "draws agree within" : "draws differ by up to"] = `±${this.most}`;
    if (original) facts["RMS difference"] = fixed(rms(x, original), 4);
    const square = now.reduce((sum, v) => sum + v * v, 0);
    if (!given) facts["|z|²"] = `${fixed(square, 1)} (prior mean ${model.d})`;
    showFacts(this.facts, facts);
  }

  /** The pictures as they are shown, for saving. */
  get portraits() {
    const own = { canvas: this.face.canvas, caption: "Face" };
    if (!this.shown.original) return [own];
    return [
      own,
      { canvas: this.original.canvas, caption: "Original" },
      { canvas: this.difference.canvas, caption: "Difference" },
    ];
  }

  get guesses() {
    return [
      ...this.draws.map(({ canvas }, k) => ({ canvas, caption: `Draw ${k + 1}` })),
      { canvas: this.spread.canvas, caption: "Standard deviation" },
    ];
  }
}

/** Return the border of what a mask hides, as a path along the pixels' edges. */
function outlineOf(mask, [height, width]) {
  const at = (r, c) => r >= 0 && c >= 0 && r < height && c < width && mask[r * width + c];
  let d = "";
  for (let r = 0; r <= height; r++)
    for (let c = 0; c <= width; c++) {
      if (Boolean(at(r, c)) !== Boolean(at(r - 1, c))) d += `M${c} ${r}h1`;
      if (Boolean(at(r, c)) !== Boolean(at(r, c - 1))) d += `M${c} ${r}v1`;
    }
  return d;
}

export const rms = (x, y) => Math.sqrt(x.reduce((sum, v, i) => sum + (v - y[i]) ** 2, 0) / x.length);

/** A checkerboard in the accent's blue: no grey of a photograph. */
const hatch = (i, width) => ((Math.floor(i / width) + (i % width)) % 2 ? [86, 180, 233] : [0, 114, 178]);

/** A colour scale, and what is said before it. */
const legend = (kind, ...before) => el("span", { class: "legend" }, before, el("i", { class: kind }));
