// The strip of faces of the data: a click or a key takes one.

import { row } from "../arrays.js";
import { Picture, el } from "../kit.js";

export class Strip {
  constructor(room) {
    this.room = room;
    this.node = el("div", {
      class: "strip",
      role: "group",
      "aria-label": "Faces of the data. Arrow keys step through them.",
      onkeydown: (event) => this.#stepThumbs(event),
    });
    this.fill();
  }

  /** Show the faces there are: they come in two parts. */
  fill() {
    const { examples, data, shape, grey } = this.room;
    this.thumbs = Array.from({ length: examples.rows }, (_, i) => {
      const picture = new Picture(shape, "", { role: "presentation", "aria-label": null });
      picture.grey(row(examples, i), grey);
      const index = data.index[i];
      return el(
        "button",
        {
          type: "button",
          class: "thumb",
          "aria-label": `Face ${index + 1} of ${data.n}`,
          onclick: () => this.room.act(() => this.#take(index)),
        },
        picture.canvas,
      );
    });
    this.node.replaceChildren(...this.thumbs);
    this.node.hidden = !this.thumbs.length;
    this.#reach(0);
  }

  #take(index) {
    const { morph } = this.room;
    if (morph.picksOther) morph.choose(index);
    else this.room.setFace(index);
  }

  /** Let Tab reach one face only: arrow keys go on from there. */
  #reach(i) {
    this.thumbs.forEach((thumb, k) => (thumb.tabIndex = k === i ? 0 : -1));
  }

  #stepThumbs(event) {
    const at = this.thumbs.indexOf(event.target.closest(".thumb"));
    const last = this.thumbs.length - 1;
    const to = {
      ArrowLeft: at - 1,
      ArrowUp: at - 1,
      ArrowRight: at + 1,
      ArrowDown: at + 1,
      Home: 0,
      End: last,
    }[event.key];
    if (at < 0 || to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const next = Math.min(last, Math.max(0, to));
    this.#reach(next);
    this.thumbs[next].focus();
  }

  /** Frame this face and the other. */
  mark() {
    const { data, face, morph } = this.room;
    const { other, picksOther } = morph;
    this.thumbs.forEach((thumb, i) => {
      const index = data.index[i];
      const isPressed = index === (picksOther ? other : face);
      thumb.setAttribute("aria-pressed", String(isPressed));
      if (isPressed && !this.node.contains(document.activeElement)) this.#reach(i);
      thumb.classList.toggle("this", index === face);
      thumb.classList.toggle("other", index === other);
    });
  }
}
