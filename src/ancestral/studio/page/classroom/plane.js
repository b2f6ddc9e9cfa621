// A class as a picture: pupils as dots in the plane of two attributes, or placed by who knows whom;
// links as lines. The plane is shaded by the probability to be linked with the chosen pupil.

import { sigmoid } from "../arrays.js";
import { arrows, colour, follow, mixed, svg } from "../kit.js";
import { Plot } from "../plot.js";
import { product, relax } from "./graphs.js";
import { held } from "./lesson.js";
import { labelled, shaded } from "./shade.js";

const GRID = 49; // of the shading, each way
const HIT = 16; // px around a pupil's middle that still take it
const CHANCES = [0.1, 0.5, 0.9]; // whose lines are drawn
const SHADES = 12; // of links, and of dots that are too many to be drawn one by one

export class Plane {
  /** @param onmove (i, values): a pupil was moved; @param onchoose (i): a pupil was pressed. */
  constructor({ onmove, onchoose, redraw }) {
    Object.assign(this, { onmove, redraw, places: [], held: null, rounds: 0 });
    this.plot = new Plot({
      label: "The class",
      x: { low: -1, high: 1 },
      y: { low: -1, high: 1 },
      fills: true,
      focusable: true,
      margin: { top: 8, right: 10 },
      paint: () => this.shown && this.#paint(),
    });
    this.plot.svg.classList.add("network");
    this.node = this.plot.node;
    follow(this.plot.svg, {
      start: (event) => {
        const i = this.#pressed(event);
        if (i === null) return false;
        this.held = this.shown.isLarge ? null : i;
        onchoose(i);
        return true;
      },
      move: (event) => this.held !== null && this.#drag(event),
      end: () => (this.held = null),
    });
    this.plot.svg.addEventListener("keydown", (event) => {
      const step = !this.shown.isLarge && arrows(event);
      if (!step) return;
      const { pupils, chosen, axes, attributes } = this.shown;
      const values = [...pupils[chosen]];
      axes.forEach((k, way) => {
        if (k >= 0) values[k] += step[way] * stepOf(attributes[k]);
      });
      onmove(chosen, values);
    });
  }

  /** The pupil under the pointer; of many dots the nearest. */
  #pressed(event) {
    const found = event.target.closest?.("[data-pupil]");
    if (found) return Number(found.dataset.pupil);
    if (!this.shown.isLarge) return null;
    const box = this.plot.svg.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const far = this.at.map(([u, v]) => Math.hypot(u - x, v - y));
    const nearest = far.reduce((held, d, i) => (d < far[held] ? i : held), 0);
    return far[nearest] < HIT * this.plot.unit ? nearest : null;
  }

  #drag(event) {
    const place = this.plot.at(event);
    if (this.shown.byLinks) {
      this.places[this.held] = place.map((c) => Math.min(1, Math.max(-1, c)));
      this.redraw();
      return;
    }
    const values = [...this.shown.pupils[this.held]];
    this.shown.axes.forEach((k, way) => {
      if (k >= 0) values[k] = place[way];
    });
    this.onmove(this.held, values);
  }

  /** Let the layout by links begin again from the features. */
  startAnew() {
    this.places = [];
  }

  /** Show { pupils, links, chosen, chances, axes, attributes, scale, a, b, byLinks, isLarge, ... }. */
  show(shown) {
    this.shown = shown;
    const { axes, attributes, byLinks, label } = shown;
    axes.forEach((k, way) => Object.assign(this.plot["xy"[way]], axisOf(byLinks ? null : attributes[k])));
    const { names, low, high } = this.plot.y;
    const longest = Math.max(...(names ?? [low.toFixed(), high.toFixed()]).map(({ length }) => length), 4);
    this.plot.margin.left = 30 + 8 * Math.min(12, longest); // the ticks' names, and the axis' own
    this.plot.svg.classList.toggle("by-links", byLinks);
    this.plot.svg.setAttribute("aria-label", label);
    if (byLinks) this.#settle();
    this.plot.draw();
  }

  #paint() {
    const { plot, shown } = this;
    const { pupils, axes, attributes, byLinks } = shown;
    const place = (x, i, way) => {
      if (byLinks) return this.places[i][way];
      const k = axes[way];
      return k < 0 ? 1.6 * spread(i, 0) : x[k] + (isSpread(attributes[k]) ? 0.7 * spread(i, way) : 0);
    };
    this.at = pupils.map((x, i) => [plot.px(place(x, i, 0)), plot.py(place(x, i, 1))]);
    const { back, names } = byLinks ? { back: [], names: [] } : this.#shading();
    plot.back.replaceChildren(...back);
    plot.data.replaceChildren(plot.clipped(...this.#lines()), ...names);
    if (shown.isLarge) plot.front.replaceChildren(...this.#specks());
    else this.#drawPupils();
    const name = svg("text", { class: "halo pupil-name", "text-anchor": "middle" }, shown.name);
    const [x, y] = this.at[shown.chosen];
    const above = y > plot.inner.top + 34 * plot.unit ? -18 : 30;
    name.setAttribute("x", Math.min(plot.inner.right - 20, Math.max(plot.inner.left + 20, x)));
    name.setAttribute("y", y + above * plot.unit);
    this.name?.remove();
    plot.front.append((this.name = name));
  }

  /** The probability of a link with the chosen pupil, for one like her in all but the axes. */
  #shading() {
    const { pupils, chosen, axes, attributes, scale, a, b, isLarge } = this.shown;
    const her = pupils[chosen];
    const along = axes.map((k, way) => {
      const { low, high } = this.plot["xy"[way]];
      return Array.from({ length: GRID }, (_, g) => {
        if (k < 0) return 0;
        const at = low + (g / (GRID - 1)) * (high - low);
        return product([her[k]], [attributes[k].whole ? held(attributes[k], at) : at], [attributes[k]]);
      });
    });
    const rest = attributes.map((_, k) => k).filter((k) => !axes.includes(k));
    const pick = (of) => rest.map((k) => of[k]);
    const others = product(pick(her), pick(her), pick(attributes));
    const values = Float64Array.from({ length: GRID * GRID }, (_, k) =>
      sigmoid(a * scale * (others + along[0][k % GRID] + along[1][Math.floor(k / GRID)]) + b),
    );
    const [from, to] = [colour("paper"), colour("second")];
    const levels = CHANCES.map((level) => ({ level, text: `${100 * level} %` }));
    const taken = isLarge ? [] : this.at;
    const { lines, names } = labelled(this.plot, values, GRID, levels, ([x, y]) => x - 0.5 * y, taken);
    return { back: [shaded(this.plot, values, GRID, (p) => mixed(from, to, 0.75 * p)), ...lines], names };
  }

  /** A path for each shade of the links, those of the chosen pupil apart. */
  #lines() {
    const { links, chosen, asChances } = this.shown;
    const paths = new Map();
    for (const { i, j, p, isLinked } of links) {
      const shade = asChances ? Math.round(SHADES * p) : isLinked ? SHADES : 0;
      if (!shade) continue;
      const key = shade + (i === chosen || j === chosen ? 100 : 0);
      const [[x1, y1], [x2, y2]] = [this.at[i], this.at[j]];
      if (!paths.has(key)) paths.set(key, []);
      paths.get(key).push(`M${round(x1)} ${round(y1)}L${round(x2)} ${round(y2)}`);
    }
    return [...paths.keys()]
      .sort((one, two) => one - two)
      .map((key) =>
        svg("path", {
          class: key > 100 ? "link own" : "link",
          opacity: (key % 100) / SHADES,
          d: paths.get(key).join(""),
        }),
      );
  }

  #fill(share) {
    return `rgb(${mixed(colour("paper"), colour("second"), share).map(Math.round)})`;
  }

  #drawPupils() {
    const { pupils, chosen, chances } = this.shown;
    const { unit } = this.plot;
    if (this.dots?.parentNode !== this.plot.front || this.plot.front.children.length > 3) {
      [this.dots, this.hits] = [svg("g"), svg("g")]; // dots, and what a finger needs around each
      this.plot.front.replaceChildren(this.dots, this.hits);
    }
    for (const [group, name] of [
      [this.dots, "pupil"],
      [this.hits, "hit handle"],
    ]) {
      while (group.children.length > pupils.length) group.lastChild.remove();
      while (group.children.length < pupils.length)
        group.append(svg("circle", { class: name, "data-pupil": group.children.length }));
    }
    const radius = unit * (pupils.length > 100 ? 5 : pupils.length > 30 ? 7 : 10);
    this.at.forEach(([x, y], i) => {
      const [dot, hit] = [this.dots.children[i], this.hits.children[i]];
      for (const node of [dot, hit]) {
        node.setAttribute("cx", round(x));
        node.setAttribute("cy", round(y));
      }
      hit.setAttribute("r", Math.max(radius, HIT * unit));
      dot.setAttribute("r", i === chosen ? radius * 1.25 : radius);
      dot.setAttribute("fill", i === chosen ? "" : this.#fill(0.75 * chances[i]));
      dot.classList.toggle("chosen", i === chosen);
    });
  }

  /** Dots too many to be held one by one: a path for each shade. */
  #specks() {
    const { chosen, chances } = this.shown;
    const paths = Array.from({ length: SHADES + 1 }, () => []);
    this.at.forEach(([x, y], i) => {
      if (i !== chosen) paths[Math.round(SHADES * chances[i])].push(`M${round(x)} ${round(y)}h0`);
    });
    const [x, y] = this.at[chosen];
    return [
      ...paths.map((d, k) =>
        svg("path", { class: "specks", d: d.join(""), stroke: this.#fill(0.25 + (0.75 * k) / SHADES) }),
      ),
      svg("circle", { class: "pupil chosen", cx: x, cy: y, r: 8 * this.plot.unit }),
    ];
  }

  /** Start from the features, then let links pull: a little now, the rest over the next frames. */
  #settle() {
    const { pupils, links, attributes, axes } = this.shown;
    if (this.places.length !== pupils.length)
      this.places = pupils.map((x, i) =>
        axes.map((k, way) => {
          const { low, high } = attributes[Math.max(k, 0)];
          const at = k < 0 ? spread(i, 0) : (x[k] - low) / (high - low || 1) - 0.5;
          return 1.2 * at + 0.05 * spread(i, way);
        }),
      );
    const signature = links.map(({ isLinked }) => (isLinked ? 1 : 0)).join("");
    if (signature !== this.signature) this.rounds = 160;
    this.signature = signature;
    if (this.rounds > 0 || this.held !== null) {
      relax(this.places, links, this.held, 3);
      this.rounds -= 3;
      this.redraw();
    }
  }
}

const round = (v) => Math.round(10 * v) / 10;

/** A number in (-1/2, 1/2) that spreads pupils evenly, another way on the second axis. */
const spread = (i, way) => (((((i + 1) * [0.618034, 0.754878][way]) % 1) + 1) % 1) - 0.5;

const isSpread = (attribute) => Boolean(attribute.levels || attribute.spread);

const stepOf = ({ whole, low, high }) => (whole ? 1 : (high - low) / 100);

/** An axis with room for the dots at its ends; without an attribute it only spreads them. */
function axisOf(attribute) {
  if (!attribute) return { label: "", names: null, whole: false, low: -1, high: 1, hidden: true };
  const { name, low, high, levels, whole } = attribute;
  const margin = isSpread(attribute) ? 0.5 : 0.05 * (high - low);
  return { label: name, names: levels, whole, low: low - margin, high: high + margin, hidden: false };
}
