// Faces: sliders for the latents, the face they draw, and what a hidden part of a face can be.
//
// The state says which model and d, the original (a face of the data, or `image`, the reader's or one
// drawn here) or none, which of its pixels are hidden, z, and the other face that this one is turned
// into. While z is null it is the posterior mean given what is visible, or else zero.

import { Random, newSeed, unpack, unpackMatrix } from "../arrays.js";
import { button, el, fileButton, panel, remembered, select, significant } from "../kit.js";
import { csv, picturesAsSvg, standalone } from "../saving.js";
import { bytes, flag, maybe, oneOf, reals, whole } from "../state.js";
import { Plane, Spectrum } from "./dimensions.js";
import { Images, bits, fromBits, fromRows, readImage } from "./images.js";
import { LatentSliders } from "./latents.js";
import { Morph } from "./morph.js";
import { Hiding } from "./hiding.js";
import { Ppca } from "./ppca.js";
import { Stage, rms } from "./stage.js";
import { Strip } from "./strip.js";
import { FaceSum } from "./sum.js";

const MOST_SEED = 1e6;
const NEAR = 0.1; // of the greys' range
const FAR = 20; // standard deviations: no face of any data lies beyond

export const room = {
  state({ shape, models, n }) {
    const m = shape[0] * shape[1];
    const most = Math.max(...models.map(({ eigenvalues }) => eigenvalues.shape[0]));
    return {
      model: whole(0, models.length - 1),
      d: whole(1, most, models[0].d),
      face: whole(0, n, Math.min(1, n)), // counted from 1; 0 is none
      image: maybe(bytes(m)),
      isNew: flag(), // whether the image was drawn here
      hidden: bytes(Math.ceil(m / 8)), // as bits
      z: maybe(reals({ most }, -FAR, FAR)),
      other: whole(0, n || MOST_SEED), // counted from 1; without data the seed of a drawn one
      from: reals({ most }, -FAR, FAR), // z of this face when the other was chosen
      seed: whole(0, MOST_SEED, 1), // of the draws of what is hidden
      noisy: flag(),
      brush: oneOf(["small", "medium", "large"], "medium"),
      press: oneOf(["show", "turn"]), // what a press on a face of the data does
      all: flag(), // sliders
    };
  },
  build: (data, page) => new Faces(data, page),
};

class Faces {
  get prompts() {
    const near = significant(NEAR * (this.data.grey[1] - this.data.grey[0]), 1);
    return [
      {
        text: "Cover the eyes: which draws could be the same face?",
        done: ({ hidden }) => this.hiding.coversEyes(hidden),
      },
      { text: "Find a latent that turns the head", done: () => this.sliders.haveTurned },
      {
        text: `Fewest latents with an RMS difference below ${near}`,
        done: () => this.#isFewest(),
      },
    ];
  }

  constructor(data, page) {
    Object.assign(this, { data, page });
    const { shape, grey, n } = data;
    this.m = shape[0] * shape[1];
    this.sent = data.models.map(readModel);
    this.images = new Images(data, { load: page.load, draw: page.draw, say: page.say });
    this.fit = remembered((sent, directions, d) => new Ppca({ ...sent, d: Math.min(d, directions.rows) }));
    this.ofData = remembered((i, chunk) => (chunk ? chunk.row(i) : null));
    this.ofImage = remembered((image) =>
      Float64Array.from(image, (b) => grey[0] + (b / 255) * (grey[1] - grey[0])),
    );
    this.without = remembered((sent, d, x) => {
      const model = new Ppca({ ...sent, d });
      return rms(x, model.decode(model.posterior(x).z));
    });
    this.mask = remembered((hidden) => {
      const mask = fromBits(hidden, this.m);
      return mask.some(Boolean) ? mask : null;
    });
    this.seen = remembered((model, x, mask) => {
      if (!x) return null;
      return mask
        ? model.given(
            x,
            mask.map((h) => 1 - h),
          )
        : model.posterior(x);
    });
    this.otherOf = remembered((model, other, chunk) => {
      if (!n) return new Random(other).normals(model.d);
      return chunk ? model.posterior(chunk.row(other - 1)).z : null;
    });

    const act = (given) => {
      this.morph.stop();
      page.change(given);
    };
    this.portrait = new Stage({ shape, grey, n, onhide: (mask) => this.hide(mask) });
    this.sliders = new LatentSliders({ shape, grey, act });
    this.hiding = new Hiding({ shape, act, onhide: (mask) => this.hide(mask) });
    this.morph = new Morph({ shape, grey, isDrawn: !n, page });
    this.strip = new Strip({
      data,
      images: this.images,
      target: this.portrait.target,
      act,
      onshow: (i) => act({ face: i + 1, image: null, isNew: false, z: null, other: 0, from: [] }),
      onturn: (i) => this.turnInto(i + 1),
    });
    this.spectrum = new Spectrum({ most: this.sent[0].most, act });
    this.plane = new Plane({ act });
    this.sum = new FaceSum({ shape, grey });

    this.stage = [this.portrait.node];
    this.equation = this.sum.node;
    const buttons = [
      button("New face", () => act({ ...this.nothing, z: this.newLatents() }), { kind: "main" }),
      button("Mean face", () => act({ ...this.nothing, z: null })),
      fileButton("Open an image", ([file]) => this.openImage(file), { accept: "image/*" }),
    ];
    if (!n) buttons.push(button("Turn it into another", () => this.turnInto(1 + newSeed())));
    this.choice = select({
      label: "Model",
      options: this.sent.map(({ name }, i) => [String(i), name]),
      onchange: (i) => act({ model: Number(i), d: this.sent[i].d, z: null }),
    });
    this.choice.node.hidden = this.sent.length === 1;
    const row = el("div", { class: "row" }, buttons);
    const { strip, morph } = this;
    this.controls = [
      panel("Faces", { tools: [strip.tools] }, row, this.choice.node, strip.node, morph.node),
      ...[this.sliders, this.hiding, this.spectrum, this.plane].map(({ node }) => node),
    ];
    this.#loadRest();
  }

  /** A state without an original. */
  get nothing() {
    return {
      face: 0,
      image: null,
      isNew: false,
      hidden: new Uint8Array(Math.ceil(this.m / 8)),
      other: 0,
      from: [],
    };
  }

  newLatents() {
    return new Random(newSeed()).normals(this.latest.model.d);
  }

  async #loadRest() {
    const rest = await this.page.load("rest").catch(() => null);
    if (!rest || rest.problem) return;
    this.sent = this.sent.map((sent, i) => {
      const below = fromRows(rest.directions[i]);
      return below.rows ? { ...sent, directions: joined(sent.directions, below) } : sent;
    });
    this.images.add(rest.images);
    this.spectrum.heldout = rest.heldout;
    this.page.draw();
  }

  // ---- what is shown -------------------------------------------------------------------------------

  /** Everything that the parts draw, as the state has it. */
  look() {
    const { state } = this.page;
    const sent = this.sent[state.model];
    const model = this.fit(sent, sent.directions, state.d);
    const original = state.image ? this.ofImage(state.image) : this.faceOf(state.face);
    const mask = original && this.mask(state.hidden);
    const seen = this.seen(model, original, mask);
    const centre = seen?.z ?? new Float64Array(model.d);
    const z = this.morph.onTheWay ?? (state.z ? resized(state.z, model.d) : centre);
    const to = state.other ? this.otherOf(model, state.other, this.images.chunkOf(state.other - 1)) : null;
    const from = resized(state.from, model.d);
    const given = mask ? seen : null;
    return {
      ...state,
      sent,
      model,
      original,
      mask,
      seen,
      given,
      centre,
      now: z,
      x: model.decode(z),
      from,
      to,
    };
  }

  /** A face of the data, counted from 1; null for 0 or while it has not come. */
  faceOf(face) {
    return face ? this.ofData(face - 1, this.images.chunkOf(face - 1)) : null;
  }

  draw() {
    const shown = (this.latest = this.look());
    this.choice.set(String(this.page.state.model));
    const { portrait, sliders, hiding, morph, strip, spectrum, plane, sum } = this;
    for (const part of [portrait, sliders, hiding, morph, strip, spectrum, plane, sum]) part.draw(shown);
  }

  /** Whether the original is near what d latents make of it, and not near what one less does. */
  #isFewest() {
    const { original, mask, z, x, model, sent } = this.latest;
    const near = NEAR * (this.data.grey[1] - this.data.grey[0]);
    if (!original || mask || z || !(rms(x, original) < near)) return false;
    return model.d === 1 || this.without(sent, model.d - 1, original) >= near;
  }

  leave() {
    this.morph.cancel();
  }

  // ---- acting ------------------------------------------------------------------------------------

  /** Hide the pixels of a mask; a face without an original becomes its own. */
  hide(mask) {
    this.morph.stop();
    const { original, x } = this.look();
    const [low, high] = this.data.grey;
    const own = original
      ? {}
      : {
          isNew: true,
          image: Uint8Array.from(x, (v) => Math.min(255, Math.max(0, (255 * (v - low)) / (high - low)))),
        };
    this.page.change({ ...own, hidden: bits(mask), z: null, other: 0, from: [] });
  }

  async turnInto(other) {
    this.morph.stop();
    await this.images.want(other - 1);
    this.page.change({ other, from: this.latest.now });
    this.morph.draw((this.latest = this.look()));
    if (this.latest.to) this.morph.play();
  }

  /** Show an image of the reader's, at the model's size. */
  async openImage(file) {
    const { shape } = this.data;
    try {
      const image = await readImage(file, shape);
      this.morph.stop();
      this.page.change({ ...this.nothing, image, z: null });
      this.page.say(`${file.name} is shown as the model sees it: ${shape.join(" × ")} greys.`);
    } catch {
      this.page.say(
        `${file.name} is not an image that this browser can read. Open a PNG, JPEG, GIF or WebP.`,
        "problem",
      );
    }
  }

  // ---- files ---------------------------------------------------------------------------------------

  pictures() {
    const found = [{ name: "Faces", svg: () => picturesAsSvg(this.portrait.portraits) }];
    if (this.latest?.given)
      found.push({ name: "Filled faces", svg: () => picturesAsSvg(this.portrait.guesses) });
    return [
      ...found,
      { name: "Spectrum", svg: () => standalone(this.spectrum.plot.svg) },
      { name: "Latent plane", svg: () => standalone(this.plane.plot.svg) },
    ];
  }

  tables() {
    return [
      { name: "Pixels", csv: () => this.#pixels() },
      { name: "Latents", csv: () => this.#latents() },
    ];
  }

  #pixels() {
    const { original, mask, given, x } = this.latest;
    const [mean, sd] = [given?.mean, given?.pixelSd()];
    const columns = {
      row: (i) => Math.floor(i / this.data.shape[1]),
      column: (i) => i % this.data.shape[1],
      face: (i) => x[i],
      ...(original && { original: (i) => original[i], hidden: (i) => mask?.[i] ?? 0 }),
      ...(given && { conditional_mean: (i) => mean[i], standard_deviation: (i) => sd[i] }),
    };
    return csv(
      Object.keys(columns),
      Array.from(x, (_, i) => Object.values(columns).map((cell) => cell(i))),
    );
  }

  #latents() {
    const { now, seen } = this.latest;
    return csv(
      ["latent", "z", "posterior_mean", "posterior_sd"],
      Array.from(now, (v, k) => [k + 1, v, seen ? seen.z[k] : "", seen ? seen.sd[k] : ""]),
    );
  }
}

// ---- helpers ---------------------------------------------------------------------------------------

const resized = (z, d) => Float64Array.from({ length: d }, (_, k) => z[k] ?? 0);

export function readModel({ name, mean, scale, directions, eigenvalues, noise, d, plane }) {
  const values = unpack(eigenvalues).data;
  return {
    name,
    d,
    noise,
    most: values.length,
    mean: unpack(mean).data,
    scale: scale && unpack(scale).data,
    directions: fromRows(directions),
    eigenvalues: values,
    plane: unpackMatrix(plane),
  };
}

export function joined(above, below) {
  const data = new Float64Array(above.data.length + below.data.length);
  data.set(above.data);
  data.set(below.data, above.data.length);
  return { rows: above.rows + below.rows, cols: below.cols, data };
}
