// The faces of the data: a press shows one, and one that is dragged onto the big face is what that
// turns into. Each is drawn once it comes in sight.

import { Picture, choice, el, follow } from "../kit.js";

const MOST = 10000; // in the list; those beyond are reached by their number

export class Strip {
  constructor({ data, images, target, act, onshow, onturn }) {
    Object.assign(this, { data, images, target, onshow, onturn, waiting: new Set(), marked: [] });
    const { n } = data;
    this.thumbs = Array.from({ length: Math.min(n, MOST) }, (_, i) =>
      el("button", {
        type: "button",
        class: "thumb",
        tabindex: -1,
        "data-i": i,
        "aria-label": `Face ${i + 1} of ${n}`,
        onclick: (event) => event.detail || this.#pick(i), // by a key; pointers are followed
      }),
    );
    const words = "Faces of the data. Arrow keys step through them.";
    const onkeydown = (event) => this.#step(event);
    this.list = el("div", { class: "strip", role: "group", "aria-label": words, onkeydown }, this.thumbs);
    this.number = el("input", {
      type: "number",
      min: 1,
      max: n,
      "aria-label": "Number of the face",
      onchange: () => {
        if (this.number.value) this.#pick(Number(this.number.value) - 1);
        if (this.shown.press === "turn") this.number.value = this.shown.face || ""; // it stays the original
      },
    });
    this.count = el("span");
    this.tools = el("label", { class: "field", hidden: !n }, "Face", this.number, this.count);
    this.press = choice({
      label: "On a press",
      options: [
        ["show", "show it"],
        ["turn", "turn into it"],
      ],
      onchange: (press) => act({ press }),
    });
    this.hint = el("p", { class: "hint" });
    this.node = el("div", { hidden: !n }, this.list, this.press.node, this.hint);
    const options = { root: this.list, rootMargin: "60px" };
    this.sight = new IntersectionObserver((seen) => {
      for (const { isIntersecting, target } of seen) if (isIntersecting) this.#drawThumb(target);
    }, options);
    for (const thumb of this.thumbs) this.sight.observe(thumb);
    this.#letDrag();
  }

  #pick(i) {
    const within = Math.min(this.images.n - 1, Math.max(0, i));
    if (this.shown.press === "turn") this.onturn(within);
    else this.onshow(within);
  }

  #drawThumb(thumb) {
    const i = Number(thumb.dataset.i);
    const chunk = this.images.chunkOf(i);
    if (!chunk) {
      this.waiting.add(thumb);
      this.images.want(i);
      return;
    }
    const picture = new Picture(this.data.shape, "", { role: "presentation", "aria-label": null });
    picture.grey(chunk.row(i), this.data.grey);
    thumb.replaceChildren(picture.canvas);
    this.waiting.delete(thumb);
    this.sight.unobserve(thumb);
  }

  #step(event) {
    const at = this.thumbs.indexOf(event.target.closest(".thumb"));
    const across = getComputedStyle(this.list).gridTemplateColumns.split(" ").length;
    const last = Math.min(this.images.n, this.thumbs.length) - 1;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across, Home: -at, End: last };
    const step = steps[event.key];
    if (at < 0 || step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.thumbs[Math.min(last, Math.max(0, at + step))].focus();
    this.#mark();
  }

  draw(shown) {
    const isNew = shown.face !== this.shown?.face;
    this.shown = shown;
    const { n } = this.images;
    this.press.set(shown.press);
    this.hint.textContent =
      shown.press === "show"
        ? "Drag one onto the big face: it turns into that face."
        : "The big face turns into the one you press, or drag onto it.";
    if (n !== this.n) this.thumbs.forEach((thumb, i) => (thumb.hidden = i >= n));
    this.n = n;
    this.count.textContent = `of ${n.toLocaleString("en")}`;
    if (document.activeElement !== this.number) this.number.value = shown.face || "";
    if (shown.face && !shown.original) this.images.want(shown.face - 1);
    if (shown.other && !shown.to) this.images.want(shown.other - 1);
    for (const thumb of this.waiting)
      if (this.images.chunkOf(Number(thumb.dataset.i))) this.#drawThumb(thumb);
    this.#mark();
    const own = this.thumbs[shown.face - 1];
    if (isNew && own && !this.list.contains(document.activeElement))
      this.list.scrollTop = own.offsetTop - this.list.offsetTop - own.offsetHeight / 2;
  }

  /** Frame this face and the other; let Tab reach one only: arrow keys go on from there. */
  #mark() {
    const { face, other, image } = this.shown;
    const [own, next] = [image ? null : this.thumbs[face - 1], this.thumbs[other - 1]];
    const focused = this.list.contains(document.activeElement) ? document.activeElement : null;
    const reached = focused ?? own ?? this.thumbs[0];
    for (const thumb of this.marked) {
      thumb.classList.remove("this", "other");
      thumb.tabIndex = -1;
      thumb.removeAttribute("aria-pressed");
    }
    this.marked = [own, next, reached].filter(Boolean);
    own?.classList.add("this");
    own?.setAttribute("aria-pressed", "true");
    next?.classList.add("other");
    if (reached) reached.tabIndex = 0;
  }

  #letDrag() {
    let [thumb, from, ghost] = [null, null, null];
    const isOver = ({ clientX: x, clientY: y }) => {
      const box = this.target.getBoundingClientRect();
      return x > box.left && x < box.right && y > box.top && y < box.bottom;
    };
    follow(this.list, {
      start: (event) => {
        [thumb, from] = [event.target.closest(".thumb"), event];
        return thumb !== null;
      },
      move: (event) => {
        if (!ghost && Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) < 6) return;
        if (!ghost) {
          const [height, width] = this.data.shape;
          ghost = el("canvas", { class: "picture ghost", width, height });
          const drawn = thumb.querySelector("canvas");
          if (drawn) ghost.getContext("2d").drawImage(drawn, 0, 0);
          this.node.append(ghost);
        }
        ghost.style.setProperty("left", `${event.clientX}px`);
        ghost.style.setProperty("top", `${event.clientY}px`);
        this.target.classList.toggle("over", isOver(event));
      },
      end: (event) => {
        const i = Number(thumb.dataset.i);
        if (!ghost) this.#pick(i);
        else if (isOver(event)) this.onturn(i);
        thumb.focus({ preventScroll: true });
        this.target.classList.remove("over");
        ghost = ghost?.remove() ?? null;
      },
    });
  }
}
