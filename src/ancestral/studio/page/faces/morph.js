// Turning one face into another: along the straight line between their latents,
//   z(t) = (1 - t) z_A + t z_B,
// where A is this face when the other was dropped on it, and B a face of the data, or a draw.
//
// t is not kept: it is where z lies nearest to that line, so that moving a latent moves it, too.

import { Picture, button, el, remembered, slider } from "../kit.js";

const SECONDS = 2.5; // of the whole way

export class Morph {
  constructor({ shape, grey, page }) {
    Object.assign(this, { grey, page, moving: null });
    this.ends = ["This face", "The other face"].map(
      (name) => new Picture(shape, `${name}, as the model draws it`),
    );
    this.slider = slider({
      label: "t",
      name: "t, from this face to the other",
      min: 0,
      max: 1,
      step: 0.01,
      ends: this.ends.map(({ canvas }) => canvas),
      oninput: (t) => {
        this.cancel();
        page.change({ z: this.#at(t) });
      },
    });
    this.playButton = button("Play", () => (this.moving === null ? this.play() : this.stop()));
    this.drawEnds = remembered((model, from, to) => {
      this.ends[0].grey(model.decode(from), this.grey);
      this.ends[1].grey(model.decode(to), this.grey);
    });
    this.node = el(
      "div",
      { class: "morph", role: "group", "aria-label": "Turn one face into another" },
      this.slider.node,
      this.playButton,
    );
  }

  #at(t) {
    const { from, to } = this.shown;
    return from.map((v, k) => (1 - t) * v + t * to[k]);
  }

  /** Go to the other face, from where it is or from the beginning.
   *
   * The state is there at once, as one change; what is drawn follows, but for those who want no motion.
   */
  play() {
    const start = this.#t > 0.995 ? 0 : this.#t;
    this.page.change({ z: this.shown.to });
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    this.moving = start;
    this.playButton.textContent = "Stop";
    let begun = null;
    const step = (now) => {
      begun ??= now;
      this.moving = start + (now - begun) / (1000 * SECONDS);
      if (this.moving < 1) this.frame = requestAnimationFrame(step);
      else this.cancel();
      this.page.draw();
    };
    this.frame = requestAnimationFrame(step);
  }

  /** z on its way; null when it stands. */
  get onTheWay() {
    return this.moving === null ? null : this.#at(this.moving);
  }

  /** Stay where it is. */
  stop() {
    const z = this.onTheWay;
    this.cancel();
    if (z) this.page.change({ z });
  }

  cancel() {
    cancelAnimationFrame(this.frame);
    this.moving = null;
    this.playButton.textContent = "Play";
  }

  /** Where the latents lie nearest to the line, between its ends. */
  get #t() {
    const { now, from, to } = this.shown;
    return Math.min(1, Math.max(0, nearest(now, from, to)));
  }

  draw(shown) {
    this.shown = shown;
    this.node.hidden = !shown.other;
    this.slider.input.disabled = !shown.to;
    if (!shown.to) return;
    this.drawEnds(shown.model, Array.from(shown.from), shown.to);
    this.slider.set(this.#t);
  }
}

/** Return t of the point of the line from `a` (0) to `b` (1) that is nearest to z. */
export function nearest(z, a, b) {
  let [along, length] = [0, 0];
  for (let k = 0; k < z.length; k++) {
    along += (z[k] - a[k]) * (b[k] - a[k]);
    length += (b[k] - a[k]) ** 2;
  }
  return length > 0 ? along / length : 0;
}
