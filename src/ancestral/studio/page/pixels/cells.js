// The pixels that the reader sets: buttons, pressed, painted over, or reached by the arrow keys.

import { el, follow } from "../kit.js";

const WORDY = 12; // columns of a table, up to which there is room for their names

export class Cells {
  /** @param on { next(i), value(i), set(i, value) }: what a press would make of a pixel, what it is,
   *  and what to do. */
  constructor({ m, shape: [, width], words, columns }, on) {
    const isWordy = columns.length && width <= WORDY;
    Object.assign(this, { width, on, words: isWordy && words });
    this.cells = Array.from({ length: m }, (_, i) => {
      const cell = el("button", { type: "button", class: "cell", tabindex: i ? -1 : 0 });
      cell.dataset.index = i;
      if (isWordy) cell.append(el("small", {}, columns[i]), el("span"));
      return cell;
    });
    this.node = el("div", { class: "cells handle", role: "group", "aria-label": "Your pixels" }, this.cells);
    this.#paint();
    this.node.addEventListener("keydown", (event) => this.#press(event));
  }

  #paint() {
    let value = null;
    const cellAt = ({ clientX, clientY }) => document.elementFromPoint(clientX, clientY)?.closest(".cell");
    follow(this.node, {
      start: (event) => {
        const cell = event.target.closest(".cell");
        if (!cell) return false;
        this.#focus(cell);
        value = this.on.next(cell.dataset.index);
        this.on.set(Number(cell.dataset.index), value);
        return true;
      },
      move: (event) => {
        const cell = cellAt(event);
        if (cell && this.node.contains(cell) && this.on.value(cell.dataset.index) !== value)
          this.on.set(Number(cell.dataset.index), value);
      },
    });
  }

  #press(event) {
    const i = Number(event.target.dataset.index);
    const column = i % this.width;
    const last = Math.min(this.cells.length, i - column + this.width) - 1;
    const to = {
      ArrowLeft: Math.max(i - 1, i - column),
      ArrowRight: Math.min(i + 1, last),
      ArrowUp: i - this.width,
      ArrowDown: i + this.width,
      Home: i - column,
      End: last,
    }[event.key];
    const sets = { " ": "next", Enter: "next", 1: 1, 0: 0, "-": -1, Backspace: -1, Delete: -1 }[event.key];
    if (event.ctrlKey || event.metaKey || (to === undefined && sets === undefined)) return;
    event.preventDefault();
    if (to === undefined) this.on.set(i, sets === "next" ? this.on.next(i) : sets);
    else if (this.cells[to]) this.#focus(this.cells[to]);
  }

  #focus(cell) {
    for (const each of this.cells) each.tabIndex = each === cell ? 0 : -1;
    cell.focus({ preventScroll: true });
  }

  /** Show what is set; `words(i)` says all of a pixel. */
  show(set, words) {
    this.cells.forEach((cell, i) => {
      cell.dataset.level = set[i];
      cell.setAttribute("aria-label", words(i));
      if (this.words) cell.lastChild.textContent = (this.words[i] ?? this.words[0])[set[i]] ?? "?";
    });
  }
}
