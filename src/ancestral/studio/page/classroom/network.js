// A class as a picture: pupils as dots, links as lines, placed by features or by who knows whom.

import { diverging, el, follow, svg } from "../kit.js";

const MARGIN = 26;
const HIT = 16; // px around a pupil's middle that still take it

export class Network {
  /** @param onmove (i, [u, v], isDone): a pupil was dragged, in layout coordinates of [-1, 1].
   *  @param onchoose (i): a pupil was pressed. */
  constructor({ onmove, onchoose, onkey }) {
    this.lines = svg("g");
    this.hits = svg("g"); // what a finger needs around each pupil
    this.dots = svg("g");
    this.axes = svg("g", { class: "axes", "aria-hidden": "true" });
    this.svg = svg(
      "svg",
      { class: "plot network", role: "application", tabindex: 0, "aria-label": "The class" },
      this.axes,
      this.lines,
      this.hits,
      this.dots,
    );
    this.node = el("div", { class: "plot-frame" }, this.svg);
    this.size = 0;
    this.byPair = new Map();
    new ResizeObserver(() => this.#fit()).observe(this.node);
    let held = null;
    follow(this.svg, {
      start: (event) => {
        const found = event.target.closest?.("[data-pupil]");
        if (!found) return false;
        held = Number(found.dataset.pupil);
        onchoose(held);
        return true;
      },
      move: (event) => onmove(held, this.#from(event), false),
      end: (event) => onmove(held, this.#from(event), true),
    });
    this.svg.addEventListener("keydown", onkey);
    // a finger on a pupil moves it; elsewhere it scrolls the page
    const hold = (event) => event.target.closest("[data-pupil]") && event.preventDefault();
    this.svg.addEventListener("touchstart", hold, { passive: false });
  }

  #fit() {
    const size = this.node.clientWidth;
    if (!size || size === this.size) return;
    this.size = size;
    this.unit = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
    this.height = Math.round(Math.min(size, Math.max(300 * this.unit, 0.78 * size)));
    this.svg.setAttribute("width", size);
    this.svg.setAttribute("height", this.height);
    this.redraw?.();
  }

  #x(u) {
    return MARGIN * this.unit + ((u + 1) / 2) * (this.size - 2 * MARGIN * this.unit);
  }

  #y(v) {
    return this.height - MARGIN * this.unit - ((v + 1) / 2) * (this.height - 2 * MARGIN * this.unit);
  }

  #from(event) {
    const box = this.svg.getBoundingClientRect();
    const margin = MARGIN * this.unit;
    const u = ((event.clientX - box.left - margin) / (this.size - 2 * margin)) * 2 - 1;
    const v = 1 - ((event.clientY - box.top - margin) / (this.height - 2 * margin)) * 2;
    return [u, v].map((c) => Math.min(1, Math.max(-1, c)));
  }

  /** Show pupils at `places` with `shades` in [-1, 1], and pairs { i, j, p, linked }. */
  show({ places, shades, links, chosen, faint, names }) {
    this.redraw = () => this.show({ places, shades, links, chosen, faint, names });
    if (!this.size) return;
    const at = places.map(([u, v]) => [this.#x(u), this.#y(v)]);
    this.svg.classList.toggle("crowded", isCrowded(places));
    this.#drawAxes(names);
    this.#drawLinks(at, links, chosen, faint);
    this.#drawPupils(at, shades, chosen);
  }

  #drawAxes(names) {
    const { unit, size, height } = this;
    if (!names) {
      this.axes.replaceChildren();
      return;
    }
    this.axes.replaceChildren(
      svg("line", { class: "grid", x1: this.#x(0), x2: this.#x(0), y1: this.#y(1), y2: this.#y(-1) }),
      svg("line", { class: "grid", x1: this.#x(-1), x2: this.#x(1), y1: this.#y(0), y2: this.#y(0) }),
      svg(
        "text",
        { class: "name", x: size - 4 * unit, y: this.#y(0) - 6 * unit, "text-anchor": "end" },
        names[0],
      ),
      names[1] ? svg("text", { class: "name", x: this.#x(0) + 7 * unit, y: 14 * unit }, names[1]) : "",
    );
    this.axes.dataset.height = height;
  }

  /** Lines are kept from one drawing to the next, so that a link fades in and out; a pair that
   * never was linked has none. */
  #drawLinks(at, links, chosen, faint) {
    const seen = new Set();
    for (const { i, j, p, linked } of links) {
      const id = i * 1000 + j;
      const shade = faint ? p : linked ? 1 : 0;
      let kept = this.byPair.get(id);
      if (!kept && shade < 0.002) continue;
      seen.add(id);
      if (!kept) {
        kept = { line: svg("line", {}) };
        this.byPair.set(id, kept);
        this.lines.append(kept.line);
      }
      this.#drawLink(kept, at[i], at[j], shade.toFixed(3), i === chosen || j === chosen);
    }
    for (const [id, { line }] of this.byPair) {
      if (seen.has(id)) continue;
      line.remove();
      this.byPair.delete(id);
    }
  }

  /** Set what has changed since the line was last drawn. */
  #drawLink(kept, [x1, y1], [x2, y2], shade, isOwn) {
    const place = `${x1},${y1},${x2},${y2}`;
    if (kept.place !== place) {
      kept.place = place;
      const ends = { x1, y1, x2, y2 };
      for (const name in ends) kept.line.setAttribute(name, ends[name]);
    }
    if (kept.shade !== shade) kept.line.style.opacity = kept.shade = shade;
    if (kept.isOwn !== isOwn) kept.line.setAttribute("class", isOwn ? "link own" : "link");
    kept.isOwn = isOwn;
  }

  #drawPupils(at, shades, chosen) {
    const { dots, hits, unit } = this;
    for (const [group, name] of [
      [dots, "pupil"],
      [hits, "hit"],
    ]) {
      while (group.children.length > at.length) group.lastChild.remove();
      while (group.children.length < at.length)
        group.append(svg("circle", { class: name, "data-pupil": group.children.length }));
    }
    const radius = Math.min((isCrowded(at) ? 8 : 11) * unit, this.size / 42);
    at.forEach(([x, y], i) => {
      const [dot, hit] = [dots.children[i], hits.children[i]];
      hit.setAttribute("cx", x);
      hit.setAttribute("cy", y);
      hit.setAttribute("r", Math.max(radius, HIT * unit));
      dot.setAttribute("cx", x);
      dot.setAttribute("cy", y);
      dot.setAttribute("r", i === chosen ? radius * 1.25 : radius);
      dot.setAttribute("fill", `rgb(${diverging(0.75 * shades[i]).map(Math.round)})`);
      dot.classList.toggle("chosen", i === chosen);
    });
  }
}

/** Whether pupils are so many that dots are small and links come and go at once, unfaded. */
const isCrowded = (places) => places.length > 30;

/** Let linked pupils pull and all push for a while; places stay within [-1, 1]. */
export function relax(places, links, held, rounds = 1) {
  const n = places.length;
  const rest = 2.1 / Math.sqrt(n); // the distance at which pull and push balance
  for (let round = 0; round < rounds; round++) {
    const force = places.map(([u, v]) => [-0.12 * u, -0.12 * v]);
    for (const { i, j, linked } of links) {
      const [dx, dy] = [places[j][0] - places[i][0], places[j][1] - places[i][1]];
      const d = Math.max(0.02, Math.hypot(dx, dy));
      const pull = (linked ? (1.6 * d) / rest : 0) - (0.5 * rest * rest) / (d * d);
      for (const [k, sign] of [
        [i, 1],
        [j, -1],
      ]) {
        force[k][0] += (sign * pull * dx) / d;
        force[k][1] += (sign * pull * dy) / d;
      }
    }
    places.forEach((place, k) => {
      if (k === held) return;
      const size = Math.hypot(...force[k]) || 1;
      const step = Math.min(0.02, 0.02 * size); // small steps: no jitter
      place[0] = Math.min(1, Math.max(-1, place[0] + (force[k][0] / size) * step));
      place[1] = Math.min(1, Math.max(-1, place[1] + (force[k][1] / size) * step));
    });
  }
}
