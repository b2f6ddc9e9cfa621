// Images as the page takes and keeps them: files made small and grey, bytes as text in the address.

import { areaAverage } from "../arrays.js";
import { el } from "../kit.js";

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
  context.drawImage(
    bitmap,
    (bitmap.width - w) / 2,
    (bitmap.height - h) / 2,
    w,
    h,
    0,
    0,
    canvas.width,
    canvas.height,
  );
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

/** Return bytes as text that an address can hold. */
export const toText = (bytes) =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");

/** Return the bytes of such a text; null where it is none. */
export function fromText(text) {
  if (!text) return null;
  try {
    return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  } catch {
    return null;
  }
}
