// The faces of the data, two rows deep and as long as it takes: a press shows one, and one that is
// dragged onto the big face is what that turns into. Those that were never in sight are not made.

import { Picture, choice, el } from "../kit.js";

const DEEP = 2; // rows
const MOST_THUMBS = 300; // that are kept once they were in sight
const HOLD = 300; // ms that a finger rests before it drags: a swipe scrolls

export class Strip {
  constructor({ data, images, target, act, onshow, onturn }) {
    Object.assign(this, { data, images, target, onshow, onturn, thumbs: new Map() });
    const { n } = data;
    this.inner = el("div", { class: "thumbs" });
    this.scroller = el(
      "div",
      {
        class: "strip",
        role: "group",
        "aria-label": "Faces of the data. Arrow keys step through them.",
        onscroll: () => this.#fill(),
        onkeydown: (event) => this.#step(event),
      },
      this.inner,
    );
    this.number = el("input", {
      type: "number",
      min: 1,
      max: n,
      "aria-label": `Face number, 1 to ${n}`,
      onchange: () => this.number.value && this.#pick(Number(this.number.value) - 1),
    });
    this.press = choice({
      label: "A press",
      options: [
        ["show", "shows it"],
        ["turn", "turns the face into it"],
      ],
      value: "show",
      onchange: (press) => act({ press }),
    });
    this.hint = el("p", { class: "hint" });
    this.count = el("span", { class: "count" });
    this.node = el(
      "div",
      { class: "faces-strip", hidden: !n },
      this.scroller,
      el(
        "div",
        { class: "row" },
        this.press.node,
        el("label", { class: "field" }, "Face", this.number, this.count),
      ),
      this.hint,
    );
    this.scroller.addEventListener("pointerdown", (event) => this.#hold(event));
    this.scroller.addEventListener("touchmove", (event) => this.isDragged && event.preventDefault(), {
      passive: false,
    });
    new ResizeObserver(() => this.#fill()).observe(this.scroller);
  }

  #pick(i) {
    const within = Math.min(this.images.n - 1, Math.max(0, i));
    if (this.shown.press === "turn") this.onturn(within);
    else this.onshow(within);
  }

  // ---- those in sight ------------------------------------------------------------------------------

  /** Make the faces in sight and a few beside them, and forget the others. */
  #fill() {
    const { clientWidth, scrollLeft } = this.scroller;
    if (!clientWidth || !this.shown) return;
    const unit = parseFloat(getComputedStyle(this.inner).getPropertyValue("font-size")) * 2.9;
    this.unit = unit;
    const { n } = this.images;
    this.inner.style.setProperty("width", `${Math.ceil(n / DEEP) * unit}px`);
    const first = DEEP * Math.max(0, Math.floor(scrollLeft / unit) - 2);
    const last = Math.min(n, DEEP * Math.ceil((scrollLeft + clientWidth) / unit + 2));
    for (const [i, thumb] of this.thumbs.size > MOST_THUMBS ? this.thumbs : [])
      if ((i < first || i >= last) && !thumb.node.contains(document.activeElement)) {
        thumb.node.remove();
        this.thumbs.delete(i);
      }
    for (let i = first; i < last; i++) {
      if (!this.thumbs.has(i)) this.thumbs.set(i, this.#made(i));
      const thumb = this.thumbs.get(i);
      const chunk = thumb.isHere ? null : this.images.chunkOf(i);
      if (chunk) {
        thumb.picture.grey(chunk.row(i), this.data.grey);
        thumb.isHere = true;
      } else if (!thumb.isHere) this.images.want(i);
    }
    this.#mark();
  }

  #made(i) {
    const picture = new Picture(this.data.shape, "", { role: "presentation", "aria-label": null });
    const node = el(
      "button",
      {
        type: "button",
        class: "thumb",
        "aria-label": `Face ${i + 1} of ${this.data.n}`,
        onclick: () => !this.wasDragged && this.#pick(i),
      },
      picture.canvas,
    );
    node.style.setProperty("left", `${Math.floor(i / DEEP) * this.unit}px`);
    node.style.setProperty("top", `${(i % DEEP) * this.unit}px`);
    this.inner.append(node);
    return { node, picture, isHere: false };
  }

  /** Frame this face and the other; let Tab reach one only: arrow keys go on from there. */
  #mark() {
    const { face, other, image } = this.shown;
    const keep = this.inner.contains(document.activeElement) ? document.activeElement : null;
    const reached = keep ?? this.thumbs.get(face - 1)?.node ?? this.thumbs.values().next().value?.node;
    for (const [i, { node }] of this.thumbs) {
      node.tabIndex = node === reached ? 0 : -1;
      node.setAttribute("aria-pressed", String(i + 1 === face && !image));
      node.classList.toggle("this", i + 1 === face && !image);
      node.classList.toggle("other", i + 1 === other);
    }
  }

  #step(event) {
    const at = [...this.thumbs].find(([, { node }]) => node === event.target.closest(".thumb"))?.[0];
    const last = this.images.n - 1;
    const to = {
      ArrowLeft: at - DEEP,
      ArrowUp: at - 1,
      ArrowRight: at + DEEP,
      ArrowDown: at + 1,
      Home: 0,
      End: last,
    }[event.key];
    if (at === undefined || to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const next = Math.min(last, Math.max(0, to));
    this.#show(next);
    this.thumbs.get(next).node.focus({ preventScroll: true });
    this.#mark();
  }

  /** Scroll a face into sight. */
  #show(i) {
    if (!this.unit) return;
    const [left, width] = [Math.floor(i / DEEP) * this.unit, this.scroller.clientWidth];
    const { scrollLeft } = this.scroller;
    if (left < scrollLeft || left + this.unit > scrollLeft + width)
      this.scroller.scrollLeft = left - (width - this.unit) / 2;
    this.#fill();
  }

  draw(shown) {
    this.shown = shown;
    this.press.set(shown.press);
    this.hint.textContent =
      shown.press === "show"
        ? "Or drag one onto the big face, which then turns into it."
        : "The big face turns into the one that you press, or drag onto it.";
    const { n } = this.images;
    this.count.textContent = `of ${n.toLocaleString("en")}`;
    this.number.max = n;
    if (document.activeElement !== this.number) this.number.value = shown.face || "";
    if (shown.face && !shown.original) this.images.want(shown.face - 1);
    if (shown.other && !shown.to) this.images.want(shown.other - 1);
    if (shown.face !== this.face && shown.face) this.#show(shown.face - 1);
    else this.#fill();
    this.face = shown.face;
  }

  // ---- dragging one onto the big face --------------------------------------------------------------

  #hold(event) {
    const thumb = event.target.closest(".thumb");
    if (!thumb || event.button !== 0) return;
    const [i] = [...this.thumbs].find(([, { node }]) => node === thumb);
    const isTouch = event.pointerType === "touch";
    let ghost = null;
    this.wasDragged = false;
    const begin = () => {
      this.isDragged = this.wasDragged = true;
      ghost = el("canvas", { class: "picture ghost", width: this.data.shape[1], height: this.data.shape[0] });
      ghost.getContext("2d").drawImage(this.thumbs.get(i).picture.canvas, 0, 0);
      this.target.closest(".stage").append(ghost);
      thumb.setPointerCapture(event.pointerId);
      move(event);
    };
    const timer = isTouch ? setTimeout(begin, HOLD) : 0;
    const isOver = ({ clientX: x, clientY: y }) => {
      const box = this.target.getBoundingClientRect();
      return x > box.left && x < box.right && y > box.top && y < box.bottom;
    };
    const move = (now) => {
      const far = Math.hypot(now.clientX - event.clientX, now.clientY - event.clientY) > 6;
      if (!ghost && far && isTouch) return end(now);
      if (!ghost && far) begin();
      if (!ghost) return;
      ghost.style.setProperty("left", `${now.clientX}px`);
      ghost.style.setProperty("top", `${now.clientY}px`);
      this.target.classList.toggle("over", isOver(now));
    };
    const end = (last) => {
      clearTimeout(timer);
      for (const [name, listen] of listeners) thumb.removeEventListener(name, listen);
      ghost?.remove();
      this.isDragged = false;
      this.target.classList.remove("over");
      if (ghost && last.type === "pointerup" && isOver(last)) this.onturn(i);
    };
    const listeners = [
      ["pointermove", move],
      ["pointerup", end],
      ["pointercancel", end],
    ];
    for (const [name, listen] of listeners) thumb.addEventListener(name, listen);
    if (!isTouch) thumb.setPointerCapture(event.pointerId);
  }
}
