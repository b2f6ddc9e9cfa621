// Pixels as buttons: pressed, painted over, or reached by the arrow keys.

import { colour, el, fixed, mixed } from "../kit.js";
import { percent } from "./tree.js";

export class Cells {
  /** @param on { next(i), value(i), set(i, value), done() }: what a press would set a pixel to,
   *  what it is, and what to do. */
  constructor([height, width], label, on) {
    Object.assign(this, { shape: [height, width], on });
    this.cells = Array.from({ length: height * width }, (_, i) => {
      const cell = el("button", { type: "button", class: "cell", tabindex: i ? -1 : 0 });
      cell.dataset.index = i;
      return cell;
    });
    this.node = el("div", { class: "cells", role: "group", "aria-label": label }, this.cells);
    this.node.style.setProperty("--columns", width);
    this.node.classList.toggle("small", width > 8 || height > 8);
    this.#listen();
  }

  #listen() {
    const { node: grid, cells } = this;
    const [height, width] = this.shape;
    const { next, value: valueOf, set, done } = this.on;
    let value = null;
    const cellAt = (event) => document.elementFromPoint(event.clientX, event.clientY)?.closest(".cell");
    grid.addEventListener("pointerdown", (event) => {
      const cell = event.target.closest(".cell");
      if (!cell || event.button !== 0) return;
      event.preventDefault();
      cell.focus();
      value = next(cell.dataset.index);
      set(Number(cell.dataset.index), value);
      grid.setPointerCapture(event.pointerId);
    });
    grid.addEventListener("pointermove", (event) => {
      const cell = value !== null && cellAt(event);
      if (cell && grid.contains(cell) && valueOf(cell.dataset.index) !== value)
        set(Number(cell.dataset.index), value);
    });
    const end = () => {
      if (value !== null) {
        value = null;
        done();
      }
    };
    grid.addEventListener("pointerup", end);
    grid.addEventListener("pointercancel", end);
    grid.addEventListener("keydown", (event) => {
      const i = Number(event.target.dataset.index);
      const [r, c] = [Math.floor(i / width), i % width];
      const to = {
        ArrowLeft: [r, c - 1],
        ArrowRight: [r, c + 1],
        ArrowUp: [r - 1, c],
        ArrowDown: [r + 1, c],
        Home: [r, 0],
        End: [r, width - 1],
      }[event.key];
      const sets = { " ": "next", Enter: "next", 1: 1, 0: 0, "-": -1, Backspace: -1, Delete: -1 }[event.key];
      if (event.ctrlKey || event.metaKey || (!to && sets === undefined)) return;
      event.preventDefault();
      if (to) {
        const [row, column] = [
          Math.min(height - 1, Math.max(0, to[0])),
          Math.min(width - 1, Math.max(0, to[1])),
        ];
        const target = cells[row * width + column];
        cells.forEach((cell) => (cell.tabIndex = cell === target ? 0 : -1));
        target.focus();
      } else {
        set(i, sets === "next" ? next(i) : sets);
        done();
      }
    });
  }

  /** Show each pixel: `about(i)` gives { known, drawn, bounds }, null where there is none. */
  show(about) {
    const [paper, ink] = [colour("paper"), colour("ink")];
    this.cells.forEach((cell, i) => {
      const { known, drawn, bounds } = about(i);
      const p = drawn ?? (bounds ? (bounds.low + bounds.high) / 2 : 0.5);
      const shade = mixed(paper, ink, known >= 0 ? known : p).map(Math.round);
      cell.style.setProperty("--shade", `rgb(${shade})`);
      cell.style.setProperty("--over", readable(shade));
      cell.dataset.state = known >= 0 ? "known" : drawn !== null ? "drawn" : "open";
      const text = known >= 0 || drawn !== null || !bounds ? "" : shortPercent(bounds);
      if (cell.textContent !== text) cell.textContent = text;
      const unknown = bounds ? `unknown, on with ${percent(p)}` : "unknown";
      const said = known >= 0 ? (known ? "on" : "off") : unknown;
      const [r, c] = [Math.floor(i / this.shape[1]) + 1, (i % this.shape[1]) + 1];
      cell.setAttribute("aria-label", `Row ${r}, column ${c}: ${said}`);
    });
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
function shortPercent({ low, high }) {
  const [middle, half] = [50 * (low + high), 50 * (high - low)];
  if (half > 1) return `${fixed(middle, 0)}±${Math.ceil(half)}`;
  if (middle > 0.05 && middle < 1) return "<1";
  if (middle < 99.95 && middle > 99) return ">99";
  return fixed(middle, 0);
}
