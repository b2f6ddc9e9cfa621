// Turning one face into another: along the straight line between their latents,
//   z(t) = (1 - t) z_A + t z_B,
// where A is the face as it was before its latents were moved and B a face of the data, or a draw.
//
// t is not kept: it is where z lies nearest to that line, so that moving a latent moves it, too.

import { Random, newSeed } from "../arrays.js";
import { Picture, button, choice, el, slider } from "../kit.js";

const SECONDS = 2.5; // of the whole way
const FIRST_OTHER = 6; // among the faces sent first

export class Morph {
  constructor(room) {
    this.room = room;
    this.isDrawn = !room.examples.rows; // in a notebook there are no data
    this.first = this.isDrawn ? null : room.data.index[Math.min(FIRST_OTHER, room.examples.rows - 1)];
    this.other = this.first; // index among the data, or null
    this.seed = 2; // of the other face, where it is drawn
    this.picksOther = false;
    this.node = this.#build();
  }

  #build() {
    const end = (name) => new Picture(this.room.shape, name);
    this.ends = [end("This face, as the model draws it"), end("The other face, as the model draws it")];
    this.slider = slider({
      label: "t",
      name: "t, from this face to the other",
      min: 0,
      max: 1,
      step: 0.01,
      oninput: (t) => {
        this.stop();
        this.#set(t);
      },
      onchange: () => this.room.page.done(),
    });
    this.playButton = button("Play", () => this.#play());
    const another = button("Another", () => this.room.act(() => (this.seed = newSeed())));
    this.picks = choice({
      label: "A click picks",
      options: [
        ["this", "this face"],
        ["other", "the other"],
      ],
      value: "this",
      onchange: (v) => {
        this.picksOther = v === "other";
        this.room.drawAll();
      },
    });
    return el(
      "div",
      { class: "morph", role: "group", "aria-label": "Turn one face into another" },
      el(
        "div",
        { class: "panel-head" },
        el("h4", {}, "Turn one face into another"),
        el("div", { class: "panel-tools" }, this.isDrawn ? another : null, this.playButton),
      ),
      el("p", { class: "hint" }, "z(t) = (1 − t) z + t z′, with z of this face and z′ of the other."),
      el("div", { class: "way" }, this.ends[0].canvas, this.slider.node, this.ends[1].canvas),
      this.isDrawn ? null : this.picks.node,
    );
  }

  // ---- the line between two latents --------------------------------------------------------------

  get #to() {
    if (this.other !== null) return this.room.latentsOf(this.other);
    return new Random(this.seed).normals(this.room.model.d);
  }

  #set(t) {
    const [from, to] = [this.room.unmoved, this.#to];
    if (!to) return;
    // at its beginning the way is the posterior mean itself
    this.room.z = t === 0 && this.room.image ? null : from.map((v, k) => (1 - t) * v + t * to[k]);
    this.room.refresh();
    this.room.page.moved();
  }

  /** Where the latents lie nearest to the line, between its ends. */
  get #t() {
    return to01(nearest(this.room.latents, this.room.unmoved, this.#to));
  }

  // ---- acting ------------------------------------------------------------------------------------

  /** Make this face of the data the other one. */
  choose(index) {
    this.other = index;
  }

  #play() {
    if (this.frame) {
      this.stop();
      this.room.page.done();
      return;
    }
    const start = this.#t > 0.995 ? 0 : this.#t;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.#set(this.#t > 0.995 ? 0 : 1);
      this.room.page.done();
      return;
    }
    this.playButton.textContent = "Stop";
    let begun = null;
    const step = (now) => {
      begun ??= now;
      const t = Math.min(1, start + (now - begun) / (1000 * SECONDS));
      this.#set(t);
      this.frame = requestAnimationFrame(step);
      if (t < 1) return;
      this.stop();
      this.room.page.done();
    };
    this.frame = requestAnimationFrame(step);
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    this.playButton.textContent = "Play";
  }

  // ---- showing -----------------------------------------------------------------------------------

  draw() {
    if (!this.#to) return;
    this.slider.set(this.#t);
  }

  /** The faces at both ends: they change less often than z. */
  drawEnds() {
    const { model, grey, unmoved } = this.room;
    const to = this.#to;
    this.slider.input.disabled = this.playButton.disabled = !to;
    this.ends[0].grey(model.decode(unmoved), grey);
    if (to) this.ends[1].grey(model.decode(to), grey);
  }

  // ---- the address ---------------------------------------------------------------------------------

  write(q) {
    if (this.other !== this.first) q.set("other", this.other + 1);
    if (this.isDrawn && this.seed !== 2) q.set("other", this.seed);
  }

  read(q) {
    const given = Number(q.get("other"));
    if (this.isDrawn) this.seed = given || 2;
    else this.other = this.room.data.index.includes(given - 1) ? given - 1 : this.first;
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

const to01 = (t) => Math.min(1, Math.max(0, t));
