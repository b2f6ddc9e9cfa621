// The sliders of the latents z, with the posterior as a band on each.

import { REACH } from "./dimensions.js";
import { Picture, button, diverging, el, fixed, panel, slider, subscript } from "../kit.js";

const N_SLIDERS = 16; // shown at first

export class LatentSliders {
  constructor(room) {
    this.room = room;
    this.node = this.#build();
  }

  #build() {
    this.list = el("div", { class: "sliders" });
    this.backButton = button("Posterior mean", () => this.room.act(() => (this.room.z = null)));
    this.hint = el("p", { class: "hint" });
    this.showsAll = false;
    this.moreButton = button(
      "",
      () => {
        this.showsAll = !this.showsAll;
        this.#showSome();
      },
      { kind: "quiet" },
    );
    return panel("Latents z", { tools: [this.backButton] }, this.hint, this.list, this.moreButton);
  }

  /** Make a slider for each latent, with what it adds to a face. */
  make() {
    const { model, shape } = this.room;
    this.loadings = Array.from({ length: model.d }, (_, k) => model.loading(k));
    this.sliders = this.loadings.map((loading, k) => {
      const picture = new Picture(shape, "", { role: "presentation", "aria-label": null });
      const reach = loading.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-12);
      picture.paint(loading, (v) => diverging(v / reach));
      return slider({
        label: `z${subscript(k + 1)}`,
        name: `z ${k + 1}`,
        min: -REACH,
        max: REACH,
        step: 0.01,
        picture: picture.canvas,
        oninput: (value) => this.#move(k, value),
        onchange: () => this.room.page.done(),
      });
    });
    this.list.replaceChildren(...this.sliders.map((s) => s.node));
    this.#showSome();
  }

  #showSome() {
    const { d } = this.room.model;
    this.sliders.forEach(({ node }, k) => (node.hidden = k >= N_SLIDERS && !this.showsAll));
    this.moreButton.hidden = d <= N_SLIDERS;
    this.moreButton.textContent = this.showsAll ? `Show the first ${N_SLIDERS}` : `Show all ${d}`;
  }

  #move(k, value) {
    this.room.morph.stop();
    this.room.z = Float64Array.from(this.room.latents);
    this.room.z[k] = value;
    this.room.refresh();
    this.room.page.moved();
  }

  draw() {
    const { latents, centre, sd, z, image } = this.room;
    this.sliders.forEach((control, k) =>
      control.set(latents[k], sd && [centre[k] - 2 * sd[k], centre[k] + 2 * sd[k]]),
    );
    this.backButton.disabled = !z || !image;
  }

  /** Say how surely the original is known in z. */
  sayHow() {
    const { sd } = this.room;
    const range = sd && [Math.min(...sd), Math.max(...sd)].map((v) => fixed(v, 2)).join(" to ");
    const band = range ? ` The band is the posterior, two of its own each way: they are ${range}.` : "";
    this.hint.textContent = `In prior standard deviations.${band}`;
  }
}
