// Faces: sliders for the latents, the face they draw, and what a hidden part of a face can be.
//
// One state: the model's d, an original (from the data or the reader) or none, which of its pixels
// are hidden, z, and the other face that this one can be turned into. While z is untouched it is
// the posterior mean given what is visible; without an original, a draw or the mean face.

import { Random, newSeed, row, unpack, unpackMatrix } from "../arrays.js";
import {
  button,
  csv,
  el,
  fileButton,
  onScheme,
  panel,
  perFrame,
  picturesAsSvg,
  select,
  standalone,
} from "../kit.js";
import { Plane, Spectrum } from "./dimensions.js";
import { Hiding } from "./hiding.js";
import { bits, fromText, readImage, toText } from "./images.js";
import { LatentSliders } from "./latents.js";
import { Morph } from "./morph.js";
import { Portraits } from "./portraits.js";
import { Ppca } from "./ppca.js";
import { Strip } from "./strip.js";

export function openFaces(body, data, page) {
  const room = new Faces(body, data, page);
  room.build();
  return room;
}

class Faces {
  constructor(body, data, page) {
    Object.assign(this, { body, data, page, shape: data.shape, grey: data.grey });
    this.m = this.shape[0] * this.shape[1];
    this.models = data.models.map((sent) => readModel(sent));
    this.model = this.models[0];
    this.examples = unpackMatrix(data.examples);
    this.face = null; // index among the data
    this.image = null; // pixels of the original, from the data or the reader
    this.custom = null; // its 8-bit form, when it is the reader's
    this.hidden = new Uint8Array(this.m);
    this.z = null; // null: the posterior mean
    this.seed = 1;
    this.drawn = null; // the seed of a new face; null for the mean face
    this.cursor = null;
    this.takeFirst();
  }

  /** Make the first face of the data the original, if there are any. */
  takeFirst() {
    if (this.examples.rows) this.setFace(this.data.index[0]);
  }

  // ---- what is shown -------------------------------------------------------------------------

  get anyHidden() {
    return this.hidden.some(Boolean);
  }

  /** Refresh what depends on model, original and mask: the conditional and its mean. */
  #condition() {
    this.given = null;
    const { d } = this.model;
    this.centre = new Float64Array(d);
    this.sd = null;
    if (!this.image) return;
    if (this.anyHidden) {
      this.given = this.model.given(
        this.image,
        this.hidden.map((h) => 1 - h),
      );
      this.centre = this.given.z;
      this.sd = this.given.sd;
    } else {
      const { z, sd } = this.model.posterior(this.image);
      this.centre = z;
      this.sd = sd;
    }
  }

  get latents() {
    return this.z ?? this.centre;
  }

  /** The latents before they were moved: of the original, of the new face, or zeros. */
  get unmoved() {
    if (this.image || this.drawn === null) return this.centre;
    return new Random(this.drawn).normals(this.model.d);
  }

  /** The latents of a face of the data; null while it has not been loaded. */
  latentsOf(index) {
    const place = this.data.index.indexOf(index);
    if (place < 0 || place >= this.examples.rows) return null;
    return this.model.posterior(row(this.examples, place)).z;
  }

  // ---- building ------------------------------------------------------------------------------

  build() {
    this.refresh = perFrame(() => this.draw());
    this.hiding = new Hiding(this);
    this.spectrum = new Spectrum(this);
    this.plane = new Plane(this);
    this.morph = new Morph(this);
    this.portraits = new Portraits(this);
    this.strip = new Strip(this);
    this.sliders = new LatentSliders(this);
    const left = el("div", { class: "stack span-7" }, this.#buildFaces(), this.hiding.node);
    const right = el("div", { class: "stack span-5" }, this.sliders.node);
    this.body.append(el("div", { class: "grid faces" }, left, right, this.spectrum.node, this.plane.node));
    onScheme(() => this.drawAll());
    this.#condition();
    this.sliders.make();
    this.drawAll();
    this.#loadRest();
  }

  #buildFaces() {
    const tools = [
      button("New face", () => this.#newFace(), { kind: "main" }),
      button("Mean face", () =>
        this.act(() => {
          this.#clearOriginal();
          this.z = null;
        }),
      ),
      fileButton("Open an image", "image/*", (file) => this.openImage(file)),
    ];
    const choices =
      this.models.length > 1
        ? select({
            label: "Model",
            options: this.models.map((m, i) => [String(i), m.name]),
            value: "0",
            onchange: (i) => this.act(() => this.#chooseModel(Number(i))),
          })
        : null;
    this.modelChoice = choices;
    const part = panel(
      "Face",
      { tools },
      choices?.node,
      this.portraits.nodes,
      this.morph.node,
      this.strip.node,
    );
    part.classList.add("faces-main");
    return part;
  }

  // ---- acting ------------------------------------------------------------------------------------

  /** Do something that can be undone, and show it. */
  act(change) {
    this.morph.stop();
    change();
    this.drawAll();
    this.page.done();
  }

  setD(d) {
    if (d === this.model.d) return;
    const z = this.z && Float64Array.from({ length: d }, (_, k) => this.z[k] ?? 0);
    this.model.choose(d);
    this.z = z;
    this.#condition();
    this.sliders.make();
    this.drawAll();
    this.page.moved();
  }

  moveTo([z1, z2]) {
    this.morph.stop();
    this.z = Float64Array.from(this.latents);
    this.z[0] = z1;
    this.z[1] = z2;
    this.refresh();
    this.page.moved();
  }

  #newFace() {
    this.act(() => {
      this.#clearOriginal();
      this.drawn = newSeed();
      this.z = this.unmoved;
    });
  }

  #clearOriginal() {
    Object.assign(this, { face: null, image: null, custom: null, drawn: null });
    this.hidden.fill(0);
  }

  /** Make a face of the data the original, if it has been loaded. */
  setFace(index) {
    const place = this.data.index.indexOf(index);
    if (place < 0 || place >= this.examples.rows) return;
    Object.assign(this, {
      face: index,
      image: row(this.examples, place),
      custom: null,
      drawn: null,
      z: null,
    });
  }

  #setCustom(bytes) {
    const [low, high] = this.grey;
    Object.assign(this, { face: null, custom: bytes, drawn: null, z: null });
    this.image = Float64Array.from(bytes, (b) => low + (b / 255) * (high - low));
  }

  #chooseModel(i) {
    this.model = this.models[i];
    this.z = null;
    this.modelChoice?.set(String(i));
    this.spectrum.most = this.model.most;
    this.#condition();
    this.sliders.make();
  }

  /** Show an image of the reader's, at the model's size. */
  async openImage(file) {
    try {
      const bytes = await readImage(file, this.shape);
      this.act(() => {
        this.hidden.fill(0);
        this.#setCustom(bytes);
      });
      this.page.say(`${file.name} is shown as the model sees it: ${this.shape.join(" × ")} greys.`);
    } catch {
      this.page.say(
        `${file.name} is no image this browser can read: a PNG, JPEG, GIF or WebP is expected.`,
        "problem",
      );
    }
  }

  async #loadRest() {
    const rest = await this.page.load("faces-rest").catch(() => null);
    if (!rest || rest.problem) return;
    this.models.forEach(
      (model, i) => (model.directions = joined(model.directions, unpackMatrix(rest.directions[i]))),
    );
    this.examples = joined(this.examples, unpackMatrix(rest.examples));
    this.spectrum.most = this.model.most;
    this.strip.fill();
    if (this.pending) this.restore(this.pending);
    else this.drawAll();
  }

  // ---- drawing -----------------------------------------------------------------------------------

  /** Everything, the conditional included. */
  drawAll() {
    this.#condition();
    this.sliders.sayHow();
    this.hiding.draw();
    this.morph.drawEnds();
    this.strip.mark();
    const { model } = this;
    const plotted = [model.name, model.d, model.most].join();
    if (plotted !== this.plotted) {
      this.spectrum.draw();
      this.plane.draw();
    }
    this.plotted = plotted;
    this.draw();
  }

  /** What follows z: the face, the difference, the sliders, the point in the plane. */
  draw() {
    const x = this.model.decode(this.latents);
    this.current = x;
    this.portraits.draw(x);
    this.sliders.draw();
    this.plane.drawPoint();
    this.morph.draw();
  }

  // ---- the address, and files --------------------------------------------------------------------

  state() {
    const q = new URLSearchParams();
    if (this.models.length > 1) q.set("model", this.models.indexOf(this.model));
    q.set("d", this.model.d);
    if (this.face !== null) q.set("face", this.face + 1);
    if (this.custom) q.set("image", toText(this.custom));
    if (this.anyHidden) q.set("hidden", toText(bits(this.hidden)));
    if (this.anyHidden && this.seed !== 1) q.set("seed", this.seed);
    if (this.drawn !== null) q.set("drawn", this.drawn);
    this.morph.write(q);
    if (this.z) q.set("z", Array.from(this.z, (v) => Number(v.toFixed(3))).join(","));
    return q.toString().replaceAll("%2C", ",");
  }

  restore(q) {
    const wanted = Number(q.get("d"));
    const face = Number(q.get("face")) - 1;
    const isMissing =
      wanted > this.model.most || (q.has("face") && this.data.index.indexOf(face) >= this.examples.rows);
    this.pending = isMissing && !this.pending ? q : null; // tried once more when the rest is here
    const model = this.models[Number(q.get("model") ?? 0)] ?? this.model;
    if (model !== this.model) this.#chooseModel(this.models.indexOf(model));
    this.#clearOriginal();
    this.z = null;
    if (wanted >= 1) this.setD(Math.min(Math.round(wanted), this.model.most));
    this.#condition();
    if (q.has("face")) this.setFace(face);
    if (face >= 0 && !this.data.index.includes(face))
      this.page.say(`Face ${face + 1} is not among the ${this.data.index.length} on this page.`, "problem");
    const custom = fromText(q.get("image"));
    if (custom?.length === this.m) this.#setCustom(custom);
    const mask = fromText(q.get("hidden"));
    if (mask && this.image) this.hidden = this.hidden.map((_, i) => (mask[i >> 3] >> (i & 7)) & 1);
    this.seed = Number(q.get("seed")) || 1;
    const drawn = Number(q.get("drawn"));
    if (!this.image && q.has("drawn") && Number.isFinite(drawn)) this.drawn = drawn;
    this.morph.read(q);
    if (q.has("z")) {
      const given = q.get("z").split(",").map(Number);
      this.z = Float64Array.from({ length: this.model.d }, (_, k) =>
        Number.isFinite(given[k]) ? given[k] : 0,
      );
    }
    this.drawAll();
  }

  pictures() {
    const { shown } = this.portraits;
    const found = [{ name: "Faces", svg: () => picturesAsSvg(shown) }];
    if (this.given) found.push({ name: "Filled faces", svg: () => picturesAsSvg(this.hiding.pictures) });
    found.push(
      { name: "Spectrum", svg: () => standalone(this.spectrum.plot.svg) },
      { name: "Latent plane", svg: () => standalone(this.plane.plot.svg) },
    );
    return found;
  }

  tables() {
    const pixels = () => {
      const columns = [
        "row",
        "column",
        "face",
        ...(this.image ? ["original", "hidden"] : []),
        ...(this.given ? ["conditional_mean", "standard_deviation"] : []),
      ];
      const sd = this.given?.pixelSd;
      const rows = Array.from(this.current, (v, i) => [
        Math.floor(i / this.shape[1]),
        i % this.shape[1],
        v,
        ...(this.image ? [this.image[i], this.hidden[i]] : []),
        ...(this.given ? [this.hiding.filled[i], sd[i]] : []),
      ]);
      return csv(columns, rows);
    };
    return [
      { name: "Pixels", csv: pixels },
      {
        name: "Latents",
        csv: () =>
          csv(
            ["latent", "z", "posterior_mean", "posterior_sd"],
            Array.from(this.latents, (v, k) => [
              k + 1,
              v,
              this.image ? this.centre[k] : "",
              this.sd ? this.sd[k] : "",
            ]),
          ),
      },
    ];
  }
}

// ---- helpers ---------------------------------------------------------------------------------------

function readModel({ name, mean, directions, eigenvalues, noise, d, plane }) {
  const model = new Ppca({
    mean: unpack(mean).data,
    directions: unpackMatrix(directions),
    eigenvalues: unpack(eigenvalues).data,
    noise,
    d: 1,
  });
  model.choose(Math.min(d, model.most));
  return Object.assign(model, { name, plane: unpackMatrix(plane) });
}

function joined(above, below) {
  if (!below.rows) return above;
  const data = new Float64Array(above.data.length + below.data.length);
  data.set(above.data);
  data.set(below.data, above.data.length);
  return { rows: above.rows + below.rows, cols: below.cols, data };
}
