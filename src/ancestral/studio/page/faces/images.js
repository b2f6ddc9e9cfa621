// Images as the page takes and keeps them: rows in few digits, files made small and grey, masks as bits.

import { areaAverage, unpack } from "../arrays.js";
import { el } from "../kit.js";

/** Rows as they were sent, read one at a time: `small` in rooms/faces.py packs them. */
class Chunk {
  constructor({ values, low = 0, steps = null }, start = 0) {
    const { shape, data } = unpack(values);
    Object.assign(this, { data, start, low, steps: steps && unpack(steps).data });
    [this.rows, this.cols] = shape;
  }

  has(i) {
    return i >= this.start && i < this.start + this.rows;
  }

  row(i) {
    const k = i - this.start;
    const values = this.data.subarray(k * this.cols, (k + 1) * this.cols);
    return this.steps ? Float64Array.from(values, (v) => this.low + this.steps[k] * v) : values;
  }
}

/** Return all rows that were sent as one matrix. */
export function fromRows(sent) {
  const chunk = new Chunk(sent);
  const { rows, cols } = chunk;
  const data = new Float64Array(rows * cols);
  for (let k = 0; k < rows; k++) data.set(chunk.row(k), k * cols);
  return { rows, cols, data };
}

/** The images of the data: some are here, others come by pages when they are wanted. */
export class Images {
  constructor({ images, n, kept, page }, around) {
    Object.assign(this, { n, kept, page, around, chunks: [], asked: new Map() });
    this.add(images);
  }

  add(sent, start = this.chunks.reduce((sum, { rows }) => sum + rows, 0)) {
    this.chunks.push(new Chunk(sent, start));
  }

  chunkOf(i) {
    return this.chunks.find((chunk) => chunk.has(i)) ?? null;
  }

  /** Ask for the page that holds an image, once; the room is drawn when it has come. */
  want(i) {
    const k = Math.floor((i - this.kept) / this.page);
    if (k >= 0 && i < this.n && !this.asked.has(k)) this.asked.set(k, this.#fetch(k));
    return this.asked.get(k);
  }

  async #fetch(k) {
    const found = await this.around.load(`page-${k}`).catch((error) => ({ problem: error.message }));
    if (found.problem) {
      this.n = this.kept;
      const count = this.kept.toLocaleString("en");
      this.around.say(`Only the first ${count} faces are here. ${found.problem}`, "problem");
    } else this.add(found.images, this.kept + k * this.page);
    this.around.draw();
  }
}

/** Return a file's image as bytes: its middle, in grey, at the model's size. */
export async function readImage(file, [height, width]) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.max(width / bitmap.width, height / bitmap.height);
  const [w, h] = [width / scale, height / scale]; // the largest middle part of the right shape
  const fine = Math.max(1, Math.min(16, Math.floor(1 / scale))); // canvas pixels for each of ours
  const canvas = el("canvas", { width: width * fine, height: height * fine });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white"; // under transparent pixels
  context.fillRect(0, 0, canvas.width, canvas.height);
  const middle = [(bitmap.width - w) / 2, (bitmap.height - h) / 2, w, h];
  context.drawImage(bitmap, ...middle, 0, 0, canvas.width, canvas.height);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const grey = Float64Array.from(
    { length: canvas.width * canvas.height },
    (_, i) => 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2],
  );
  return Uint8Array.from(areaAverage(grey, [canvas.height, canvas.width], [height, width]), Math.round);
}

/** Return a mask as bits, eight to a byte. */
export function bits(mask) {
  const bytes = new Uint8Array(Math.ceil(mask.length / 8));
  mask.forEach((on, i) => {
    if (on) bytes[i >> 3] |= 1 << (i & 7);
  });
  return bytes;
}

export const fromBits = (bytes, length) =>
  Uint8Array.from({ length }, (_, i) => (bytes[i >> 3] >> (i & 7)) & 1);
