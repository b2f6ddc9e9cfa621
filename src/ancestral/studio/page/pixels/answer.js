// What one model says of the pixels: how probable each is, those that are set, and those drawn.

import { colour, el, fixed, mixed } from "../kit.js";

const LEGIBLE = 22; // px of a cell, below which its percentage is not written

export class Answer {
  /** @param name "first" or "second": its colour. */
  constructor({ m, shape: [height, width], words }, name) {
    Object.assign(this, { m, height, width, about: () => ({}) });
    this.canvas = el("canvas", { role: "img" });
    this.title = el("span", { class: "model" });
    this.note = el("p", { class: "quiet-line" });
    this.says = el("span");
    this.percentage = `% ${words.length === 1 ? words[0][1] : "second level"}`;
    this.node = el(
      "figure",
      { class: `answer ${name}` },
      el("figcaption", {}, this.title, " – ", this.says),
      el("div", { class: "fit" }, this.canvas),
      this.note,
    );
    new ResizeObserver(() => this.#paint()).observe(this.canvas);
  }

  /** @param about gives { known, drawn, bounds } of a pixel; null where there is none. */
  show({ title, note, about, isDraw = false }) {
    this.title.textContent = this.title.title = title;
    this.says.textContent = isDraw ? "a draw" : this.percentage;
    if (this.note.textContent !== note) this.note.textContent = note;
    this.canvas.hidden = !about;
    this.about = about;
    this.canvas.setAttribute("aria-label", `${title}: ${note}`);
    this.#paint();
  }

  #paint() {
    const { canvas, width, height } = this;
    if (!this.about || !canvas.clientWidth) return;
    const scale = devicePixelRatio;
    const unit = Math.max(2, Math.floor((canvas.clientWidth * scale) / width));
    if (canvas.width !== unit * width) [canvas.width, canvas.height] = [unit * width, unit * height];
    const context = canvas.getContext("2d");
    const [paper, ink, accent, third, line] = ["paper", "ink", "accent", "third", "line"].map(colour);
    context.fillStyle = `rgb(${line})`;
    context.fillRect(0, 0, canvas.width, canvas.height);
    const gap = unit > 8 * scale ? Math.max(1, Math.round(0.04 * unit)) : 0;
    const frame = Math.max(1, Math.round(Math.min(3 * scale, 0.07 * unit)));
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let i = 0; i < this.m; i++) {
      const { known, drawn, bounds } = this.about(i);
      const level = known >= 0 ? known : (drawn ?? (bounds ? (bounds.low + bounds.high) / 2 : 0.5));
      const shade = mixed(paper, ink, level).map(Math.round);
      const [x, y, side] = [(i % width) * unit, Math.floor(i / width) * unit, unit - gap];
      context.fillStyle = `rgb(${shade})`;
      context.fillRect(x, y, side, side);
      if (known >= 0 || drawn !== null) {
        context.strokeStyle = `rgb(${known >= 0 ? accent : third})`;
        context.lineWidth = frame;
        context.setLineDash(known >= 0 ? [] : [frame, frame]);
        context.strokeRect(x + frame / 2, y + frame / 2, side - frame, side - frame);
      } else if (bounds && unit >= LEGIBLE * scale) {
        context.fillStyle = readable(shade);
        const text = shortPercent(bounds);
        const size = Math.min(16 * scale, (text.length > 3 ? 0.3 : 0.4) * unit);
        context.font = `${Math.round(size)}px system-ui, sans-serif`;
        context.fillText(text, x + side / 2, y + side / 2);
      }
    }
  }
}

/** Black or white, whichever stands out more on a colour (WCAG's relative luminance). */
function readable(rgb) {
  const [r, g, b] = rgb.map((v) =>
    v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4,
  );
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

/** A percentage for a cell; with its half-width while the search leaves more than a point open. */
export function shortPercent({ low, high }) {
  const [middle, half] = [50 * (low + high), 50 * (high - low)];
  if (half > 1) return `${fixed(middle, 0)}±${Math.ceil(half)}`;
  if (middle > 0.05 && middle < 1) return "<1";
  if (middle < 99.95 && middle > 99) return ">99";
  return fixed(middle, 0);
}
