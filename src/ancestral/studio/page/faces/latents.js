// The sliders of the latents z: at their ends the mean face moved along each, the posterior as a band.

import { Picture, button, el, fixed, panel, slider, subscript } from "../kit.js";

export const REACH = 3; // of latents, in prior standard deviations
const END = 2; // of the faces at the ends
const HINT = `Ends: the mean face with this latent at ±${END}. Band: the probable values, given the original.`;
const TURNED = 1; // of a latent, from which on it is seen to turn a face
const N_SLIDERS = 16; // shown at first

export class LatentSliders {
  constructor({ shape, grey, act }) {
    Object.assign(this, { shape, grey, act, sliders: [], turned: new Set() });
    this.list = el("div", { class: "sliders" });
    this.back = button("Back to the original", () => act({ z: null }));
    this.more = button("", () => act({ all: !this.shown.all }), { kind: "quiet" });
    this.node = panel("Latents z", { tools: [this.back], hint: HINT }, this.list, this.more);
  }

  #made(k) {
    const ends = [-END, END].map((at) => {
      const attributes = {
        role: "presentation",
        "aria-label": null,
        title: `z${subscript(k + 1)} = ${fixed(at, 0)}`,
        onclick: () => this.#move(k, at),
      };
      return new Picture(this.shape, "", attributes);
    });
    const control = slider({
      label: `z${subscript(k + 1)}`,
      name: `z ${k + 1}`,
      min: -REACH,
      max: REACH,
      step: 0.01,
      ends: ends.map(({ canvas }) => canvas),
      oninput: (value) => this.#move(k, value),
    });
    return { ...control, ends, set: control.set };
  }

  #move(k, value) {
    if (Math.abs(value) >= TURNED) this.turned.add(k);
    this.act({ z: this.shown.now.with(k, value) });
  }

  /** Whether a latent was moved that changes left and right against each other, most of all. */
  get haveTurned() {
    return [...this.turned].some((k) => k < this.shown.model.d && this.#turns(this.shown.model.loading(k)));
  }

  #turns(loading) {
    const width = this.shape[1];
    const mirrored = loading.map((_, i) => loading[i - (i % width) + width - 1 - (i % width)]);
    const square = (f) => loading.reduce((sum, v, i) => sum + f(v, mirrored[i]) ** 2, 0);
    return square((v, w) => v - w) > square((v, w) => v + w);
  }

  draw(shown) {
    this.shown = shown;
    const { model, now, centre, seen, z, original, all } = shown;
    const count = all ? model.d : Math.min(model.d, N_SLIDERS);
    if (model !== this.model || count !== this.count) this.#fill(model, count);
    this.sliders.slice(0, count).forEach((control, k) => {
      const sd = seen?.sd[k];
      control.set(now[k], seen && [centre[k] - 2 * sd, centre[k] + 2 * sd]);
    });
    this.back.disabled = !z || !original;
    this.more.hidden = model.d <= N_SLIDERS;
    this.more.textContent = all ? `Show the first ${N_SLIDERS}` : `Show all ${model.d}`;
  }

  /** As many sliders as are wanted, and at their ends the mean face two standard deviations on. */
  #fill(model, count) {
    Object.assign(this, { model, count });
    while (this.sliders.length < count) this.sliders.push(this.#made(this.sliders.length));
    this.list.replaceChildren(...this.sliders.slice(0, count).map(({ node }) => node));
    for (let k = 0; k < count; k++) {
      const loading = model.loading(k);
      [-END, END].forEach((at, end) =>
        this.sliders[k].ends[end].grey(
          model.mean.map((v, i) => v + at * loading[i]),
          this.grey,
        ),
      );
    }
  }
}
