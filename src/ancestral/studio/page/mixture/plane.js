// The plane: points in the colours of the parts that may have made them, and each part's ellipses.
//
// Presses, drags and keys are told to the room, which holds the points and the parts.

import { arrows, colour, follow, significant, svg } from "../kit.js";
import { Plot, ticks } from "../plot.js";
import { direction } from "./em.js";

const NEAR = 12; // px from a point that still take it
const BADGE = 9; // px, the radius of a centre
const TOUCH = 22; // the same under a finger
const TURN = Array.from({ length: 73 }, (_, i) => (i / 72) * 2 * Math.PI);
// One shape a part, so that colour is not all that tells them apart; each about 1 px in radius.
const SHAPES = [
  "M1 0A1 1 0 1 1 -1 0A1 1 0 1 1 1 0Z",
  "M-0.9 -0.9H0.9V0.9H-0.9Z",
  "M0 -1.2L1.1 0.8H-1.1Z",
  "M0 -1.3L1.1 0L0 1.3L-1.1 0Z",
  "M0 1.2L1.1 -0.8H-1.1Z",
  "M-0.4 -1.2H0.4V-0.4H1.2V0.4H0.4V1.2H-0.4V0.4H-1.2V-0.4H-0.4Z",
];

/** A plot of what lies in `ranges`, [low, high] on both axes; where it is even, the model's unit is
 * as long on one axis as on the other, so that what is round for the model looks round.
 */
class Plain extends Plot {
  draw() {
    [this.x, this.y].forEach((axis, j) => {
      if (this.ranges) [axis.low, axis.high] = this.ranges[j];
    });
    this.margin.left = 38 + 8 * Math.max(...ticks(this.y, 8).map(({ text }) => text.length));
    if (this.width && this.isEven) {
      const { left, right, top, bottom } = this.inner;
      const lengths = [right - left, bottom - top];
      const each = this.ranges.map(([low, high], j) => (high - low) / this.scale[j] / lengths[j]);
      const most = Math.max(...each);
      [this.x, this.y].forEach((axis, j) => {
        const middle = (this.ranges[j][0] + this.ranges[j][1]) / 2;
        const reach = (most * this.scale[j] * lengths[j]) / 2;
        Object.assign(axis, { low: middle - reach, high: middle + reach });
      });
    }
    super.draw();
  }
}

export class Plane {
  /** @param act { places(), point(i, place), centre(c, place), add(place), remove(i), begin(), redraw() };
   * places() is what the state says, { x, y, centres, tool }, drawn yet or not.
   */
  constructor(act) {
    this.act = act;
    this.chosen = null; // { kind: "point" | "centre", i }
    this.shown = null;
    this.plot = new Plain({
      label: "The plane of points and components",
      x: { label: "", low: 0, high: 1 },
      y: { label: "", low: 0, high: 1 },
      fills: true,
      focusable: true,
      paint: () => this.#paint(),
    });
    this.node = this.plot.node;
    follow(this.plot.svg, {
      start: (event) => this.#press(event),
      move: (event) => this.#move(this.plot.at(event)),
    });
    this.plot.svg.addEventListener("keydown", (event) => this.#key(event));
  }

  // ---- acting ----------------------------------------------------------------------------------------

  /** The centre under a press, or else the point, if one is near. */
  #nearest(event) {
    const { x, y, centres, tool } = this.act.places();
    const box = this.plot.svg.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    const isTouch = event.pointerType === "touch";
    const closest = (kind, places, near) => {
      let [found, least] = [null, (isTouch ? TOUCH : near) * this.plot.unit];
      places.forEach(([u, v], i) => {
        const distance = Math.hypot(this.plot.px(u) - px, this.plot.py(v) - py);
        if (distance < least) [found, least] = [{ kind, i }, distance];
      });
      return found;
    };
    const pairs = Array.from(x, (u, i) => [u, y[i]]);
    return (tool === "move" && closest("centre", centres, BADGE)) || closest("point", pairs, NEAR);
  }

  #press(event) {
    const found = this.#nearest(event);
    if (this.act.places().tool === "remove") {
      if (found) this.#remove(found.i);
      return false;
    }
    this.act.begin();
    if (found) this.chosen = found;
    else this.#add(this.plot.at(event));
    this.act.redraw();
    return true;
  }

  #add(place) {
    this.chosen = { kind: "point", i: this.act.places().x.length };
    this.act.add(this.#within(place));
  }

  #remove(i) {
    this.chosen = null;
    this.act.remove(i);
  }

  #move(place) {
    if (this.chosen) this.act[this.chosen.kind](this.chosen.i, this.#within(place));
  }

  #within([x, y]) {
    const held = (v, { low, high }) => Math.min(high, Math.max(low, v));
    return [held(x, this.plot.x), held(y, this.plot.y)];
  }

  #key(event) {
    const { x, y, centres } = this.act.places();
    const { chosen, plot } = this;
    const letter = event.ctrlKey || event.metaKey || event.altKey ? "" : event.key.toLowerCase();
    const step = chosen && arrows(event);
    const isPoint = chosen?.kind === "point";
    if (step) {
      const [u, v] = isPoint ? [x[chosen.i], y[chosen.i]] : centres[chosen.i];
      const unit = ({ low, high }) => (high - low) / 200;
      this.act.begin();
      this.#move([u + step[0] * unit(plot.x), v + step[1] * unit(plot.y)]);
    } else if ((letter === "n" || letter === "p") && x.length) {
      const order = Array.from(x, (_, i) => i).sort((i, j) => x[i] - x[j]);
      const at = isPoint ? order.indexOf(chosen.i) : -1;
      const next = letter === "n" ? at + 1 : Math.max(at, 0) - 1;
      this.chosen = { kind: "point", i: order.at(next % order.length) };
    } else if (centres[Number(letter || NaN) - 1]) this.chosen = { kind: "centre", i: Number(letter) - 1 };
    else if ((event.key === "Delete" || event.key === "Backspace") && isPoint) this.#remove(chosen.i);
    else if (letter === "a") this.#add([(plot.x.low + plot.x.high) / 2, (plot.y.low + plot.y.high) / 2]);
    else return;
    event.preventDefault();
    this.act.redraw();
  }

  // ---- drawing ---------------------------------------------------------------------------------------

  /** Show { x, y, names, ranges, scale, isEven, k, shares, parts, saved }; parts are in units of the scale. */
  draw(shown) {
    const { plot } = this;
    const { names, ranges, scale, isEven, parts, x } = shown;
    this.shown = { ...shown, centres: parts.map(([, u, v]) => [u * scale[0], v * scale[1]]) };
    if (this.chosen && !(this.chosen.i < (this.chosen.kind === "point" ? x : parts).length))
      this.chosen = null;
    Object.assign(plot, { ranges, scale, isEven });
    [plot.x.label, plot.y.label] = names;
    plot.svg.setAttribute("aria-description", this.#describe());
    plot.draw();
  }

  #describe() {
    const { x, y, parts, centres } = this.shown;
    const places = centres.map(([u, v], c) => `${c + 1} at ${significant(u)}, ${significant(v)}`).join("; ");
    const held =
      this.chosen?.kind === "point"
        ? ` Chosen: the point at ${significant(x[this.chosen.i])}, ${significant(y[this.chosen.i])}.`
        : this.chosen
          ? ` Chosen: centre ${this.chosen.i + 1}.`
          : "";
    return `${x.length} points and ${parts.length} components: ${places}.${held} N and P choose a point, digits a centre; arrows move it, Delete removes a point, A adds one.`;
  }

  #paint() {
    if (!this.shown) return;
    const { plot } = this;
    const { parts, saved, scale } = this.shown;
    plot.back.replaceChildren(
      plot.clipped(
        ...parts.flatMap((part, c) => this.#ellipses(part, scale, c)),
        ...saved.flatMap((part) => [1, 2].map((r) => this.#ellipse(part, [1, 1], r, "part-saved"))),
      ),
    );
    this.#paintPoints();
    this.#paintCentres();
  }

  #paintPoints() {
    const { plot } = this;
    const colours = SHAPES.map((_, c) => colour(`part-${c + 1}`));
    const { x, y, k, shares } = this.shown;
    const dots = plot.data;
    while (dots.children.length > x.length) dots.lastChild.remove();
    while (dots.children.length < x.length) dots.append(svg("path", { class: "part-point handle" }));
    const isCrowded = x.length > 250 || plot.width < 480 * plot.unit;
    const radius = (isCrowded ? 3.4 : 4.6) * plot.unit;
    const quiet = colour("quiet");
    for (let i = 0; i < x.length; i++) {
      const own = shares?.subarray(i * k, (i + 1) * k);
      const [rgb, shape] = own
        ? [blend(own, colours), SHAPES[own.indexOf(Math.max(...own))]]
        : [quiet, SHAPES[0]];
      const isChosen = this.chosen?.kind === "point" && this.chosen.i === i;
      const size = radius * (isChosen ? 1.6 : 1);
      update(dots.children[i], {
        d: shape,
        transform: `translate(${plot.px(x[i]).toFixed(2)} ${plot.py(y[i]).toFixed(2)}) scale(${size.toFixed(2)})`,
        fill: `rgb(${rgb.map(Math.round)})`,
        class: isChosen ? "part-point handle chosen" : "part-point handle",
      });
    }
  }

  /** One and two standard deviations, and the latent line W z + mu for z from -2 to 2. */
  #ellipses(part, scale, c) {
    const [u, v] = direction(part);
    const end = (z) => [(part[1] + z * u) * scale[0], (part[2] + z * v) * scale[1]];
    const rings = [2, 1].map((r) => this.#ellipse(part, scale, r, `part-ring part-${c + 1}`));
    const isLong = Math.hypot(u, v) > 0;
    return isLong
      ? [...rings, this.plot.line([end(-2), end(2)], { class: `part-axis part-${c + 1}` })]
      : rings;
  }

  #ellipse([, m1, m2, a, b, c], [s1, s2], r, name) {
    const l1 = Math.sqrt(a);
    const l2 = Math.sqrt(Math.max(0, c - (b / l1) ** 2));
    const at = (t) => [
      (m1 + r * l1 * Math.cos(t)) * s1,
      (m2 + r * ((b / l1) * Math.cos(t) + l2 * Math.sin(t))) * s2,
    ];
    return this.plot.line(TURN.map(at), { class: name });
  }

  /** Numbered centres: nodes that stay, since one of them may be held. */
  #paintCentres() {
    const { plot } = this;
    const badges = plot.front;
    const { centres } = this.shown;
    while (badges.children.length > centres.length) badges.lastChild.remove();
    while (badges.children.length < centres.length)
      badges.append(
        svg(
          "g",
          {},
          svg("circle", { r: BADGE }),
          svg("text", { y: 4.5, "text-anchor": "middle" }, String(badges.children.length + 1)),
        ),
      );
    centres.forEach(([u, v], c) => {
      const isChosen = this.chosen?.kind === "centre" && this.chosen.i === c;
      update(badges.children[c], {
        transform: `translate(${plot.px(u).toFixed(2)} ${plot.py(v).toFixed(2)}) scale(${(isChosen ? 1.3 : 1) * plot.unit})`,
        class: `part-centre part-${c + 1} handle`,
      });
    });
  }
}

function blend(shares, colours) {
  const rgb = [0, 0, 0];
  shares.forEach((share, c) => colours[c].forEach((v, j) => (rgb[j] += share * v)));
  return rgb;
}

/** Set those attributes of a dot that differ from what it was last given. */
function update(dot, look) {
  for (const name in look) if (dot.look?.[name] !== look[name]) dot.setAttribute(name, look[name]);
  dot.look = look;
}
