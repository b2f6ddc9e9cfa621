// Elements and controls. Text goes in as text, never as HTML, so that names from files stay names.

/** Return an element: properties starting with "on" listen, others are attributes. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

let serial = 0;
const newId = (word) => `${word}-${++serial}`;

/** Return a number with a true minus sign and so many decimals. */
export function fixed(value, digits = 2) {
  if (!Number.isFinite(value)) return value === -Infinity ? "−∞" : value === Infinity ? "∞" : "–";
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

/** Return a number in so many significant digits, without an exponent in the usual range. */
export function significant(value, digits = 3) {
  if (!Number.isFinite(value) || value === 0) return fixed(value, 0);
  const size = Math.floor(Math.log10(Math.abs(value)));
  if (size < -4 || size > 6) return value.toExponential(digits - 1).replaceAll("-", "−");
  return fixed(value, Math.max(0, digits - 1 - size));
}

export const subscript = (n) => String(n).replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]);

// ---- controls ----------------------------------------------------------------------------------

/** A labelled range with its value beside it: `oninput` is called while it moves.
 *
 * `set(value, interval)` shows an interval as a band on the track, in the slider's units. `ends` are
 * nodes at its two ends, e.g. pictures. A pointer moves it by the track, so that a swipe that begins
 * there and goes down scrolls the page.
 */
export function slider({
  label,
  name = label,
  min,
  max,
  step = "any",
  value,
  digits = 2,
  oninput,
  picture,
  ends = [],
  spelt = (v) => fixed(v, digits),
}) {
  const id = newId("slider");
  const input = el("input", { type: "range", id, min, max, step, "aria-label": name });
  const output = el("output", { for: id });
  const band = el("span", { class: "band", "aria-hidden": "true" });
  const track = el("span", { class: "track" }, band, input);
  const node = el(
    "div",
    { class: "slider" },
    picture,
    el("label", { for: id }, label),
    ends.length ? el("span", { class: "between" }, ends[0], track, ends[1]) : track,
    output,
  );
  const say = () => {
    output.value = spelt(control.value);
    input.setAttribute("aria-valuetext", output.value);
  };
  const control = {
    node,
    input,
    get value() {
      return Number(input.value);
    },
    set(next, interval = null) {
      input.value = next;
      say();
      band.hidden = !interval;
      if (!interval) return;
      const place = (v) => Math.min(1, Math.max(0, (v - input.min) / (input.max - input.min)));
      band.style.setProperty("--from", place(interval[0]));
      band.style.setProperty("--to", place(interval[1]));
    },
  };
  input.addEventListener("input", () => {
    say();
    oninput?.(control.value);
  });
  const drag = (event) => {
    const box = track.getBoundingClientRect();
    const thumb = box.height / 1.5; // as the styles have it
    const share = Math.min(1, Math.max(0, (event.clientX - box.left - thumb / 2) / (box.width - thumb)));
    input.value = Number(input.min) + share * (input.max - input.min); // the input keeps to its step
    input.dispatchEvent(new Event("input"));
  };
  follow(track, {
    start(event) {
      if (input.disabled) return false;
      input.focus({ preventScroll: true, focusVisible: false });
      drag(event);
      return true;
    },
    move: drag,
  });
  control.set(value ?? 0);
  return control;
}

export function button(label, onclick, { kind = "", title, pressed } = {}) {
  return el("button", { type: "button", class: kind, title, onclick, "aria-pressed": pressed }, label);
}

/** A row of choices of which one holds. `options` is [value, label] pairs. */
export function choice({ label, options, value, onchange }) {
  const group = newId("choice");
  const inputs = options.map(([key, text]) => {
    const input = el("input", { type: "radio", name: group, value: key, id: newId("radio") });
    input.checked = key === value;
    input.addEventListener("change", () => onchange(key));
    return [input, el("label", { for: input.id }, text)];
  });
  return {
    node: el("fieldset", { class: "choice" }, el("legend", {}, label), ...inputs.flat()),
    set(next) {
      for (const [input] of inputs) input.checked = input.value === next;
    },
  };
}

export function select({ label, options, value, onchange }) {
  const id = newId("select");
  const input = el(
    "select",
    { id },
    options.map(([key, text]) => el("option", { value: key }, text)),
  );
  input.value = value;
  input.addEventListener("change", () => onchange(input.value));
  return {
    node: el("div", { class: "field" }, el("label", { for: id }, label), input),
    input,
    set: (next) => (input.value = next),
  };
}

export function checkbox({ label, value = false, onchange }) {
  const id = newId("check");
  const input = el("input", { type: "checkbox", id });
  input.checked = value;
  input.addEventListener("change", () => onchange(input.checked));
  return {
    node: el("div", { class: "check" }, input, el("label", { for: id }, label)),
    input,
    set: (next) => (input.checked = next),
  };
}

/** A button that opens the file dialogue; `onfiles` takes a list, of one file or, where `multiple`, more. */
export function fileButton(label, onfiles, { accept, multiple = false } = {}) {
  const input = el("input", {
    type: "file",
    accept,
    multiple,
    class: "out-of-sight",
    tabindex: "-1",
    "aria-label": label,
  });
  input.addEventListener("change", () => {
    if (input.files.length) onfiles([...input.files]);
    input.value = "";
  });
  return el(
    "span",
    { class: "file" },
    input,
    button(label, () => input.click()),
  );
}

export function panel(title, { hint, tools = [] } = {}, ...children) {
  const head = el(
    "div",
    { class: "panel-head" },
    el("h3", {}, title),
    el("div", { class: "panel-tools" }, tools),
  );
  return el("section", { class: "panel" }, head, hint ? el("p", { class: "hint" }, hint) : null, ...children);
}

/** A panel that unfolds. */
export function fold(title, { open = false, hint } = {}, ...children) {
  return el(
    "details",
    { class: "panel", open },
    el("summary", {}, title),
    hint ? el("p", { class: "hint" }, hint) : null,
    ...children,
  );
}

/** Fill a list of facts, name and value. */
export function showFacts(list, facts) {
  list.replaceChildren(
    ...Object.entries(facts).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
  );
}

/** Follow a pointer from press to release; coordinates are those of the event.
 *
 * A finger that goes down or up scrolls the page and presses nothing; it begins by going sideways,
 * presses by a tap, and holds at once what lies under a node of class "handle".
 */
export function follow(node, { start, move, end }) {
  const hold = (event) => event.target.closest(".handle") && event.preventDefault();
  node.addEventListener("touchstart", hold, { passive: false }); // of shapes, styles alone do not hold it
  node.addEventListener("pointerdown", (down) => {
    if (down.button !== 0) return;
    const isWaiting = down.pointerType === "touch" && !down.target.closest(".handle");
    let [hasBegun, last] = [false, down];
    const begin = (event) => {
      hasBegun = start(event) !== false;
      if (!hasBegun) return stop();
      if (!node.contains(document.activeElement)) node.focus?.({ preventScroll: true, focusVisible: false });
      node.setPointerCapture(down.pointerId);
    };
    const onmove = (event) => {
      if (event.pointerId !== down.pointerId) return;
      const [across, along] = [event.clientX - down.clientX, event.clientY - down.clientY];
      if (!hasBegun && Math.abs(across) > Math.max(8, 2 * Math.abs(along))) begin(down);
      if (!hasBegun) return;
      last = event;
      move?.(event);
    };
    const onend = (event) => {
      if (event.pointerId !== down.pointerId) return;
      const isTap = event.type === "pointerup" && !hasBegun;
      if (isTap) begin(event);
      stop();
      if (event.type === "pointerup") last = event; // a cancelled pointer has no place of its own
      if (hasBegun) end?.(last);
    };
    const stop = () => {
      node.removeEventListener("pointermove", onmove);
      node.removeEventListener("pointerup", onend);
      node.removeEventListener("pointercancel", onend);
    };
    node.addEventListener("pointermove", onmove);
    node.addEventListener("pointerup", onend);
    node.addEventListener("pointercancel", onend);
    if (isWaiting) return;
    begin(down);
    if (hasBegun) down.preventDefault();
  });
}

/** Turn arrow keys into steps (dx, dy); Shift makes them ten times as large. */
export function arrows(event) {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return null;
  event.preventDefault();
  return step.map((s) => s * (event.shiftKey ? 10 : 1));
}

/** Return a function that computes anew only when it is given something else. */
export function remembered(compute) {
  let [given, result] = [null, null];
  return (...values) => {
    if (!given || !values.every((value, k) => isSame(value, given[k]))) {
      result = compute(...values);
      given = values;
    }
    return result;
  };
}

const isSame = (a, b) =>
  Object.is(a, b) ||
  (Array.isArray(a) && Array.isArray(b) && a.length < 100 && JSON.stringify(a) === JSON.stringify(b));

/** Call once per frame, however often it is asked for; `now` calls at once what is due. */
export function perFrame(draw) {
  let isDue = false;
  const now = () => {
    if (!isDue) return;
    isDue = false;
    draw();
  };
  const ask = () => {
    if (!isDue) requestAnimationFrame(now);
    isDue = true;
  };
  return Object.assign(ask, { now });
}

// ---- colours -------------------------------------------------------------------------------------

const colours = new Map(); // read from the styles once a theme: asking lays the page's styles out
export const forgetColours = () => colours.clear();

/** Return one of the style sheet's colours, by its name, as [r, g, b]. */
export function colour(name) {
  if (!colours.has(name)) {
    const probe = el("i", { hidden: true });
    document.body.append(probe);
    probe.style.color = `var(--${name})`;
    colours.set(
      name,
      getComputedStyle(probe)
        .color.match(/[\d.]+/g)
        .slice(0, 3)
        .map(Number),
    );
    probe.remove();
  }
  return colours.get(name);
}

export const mixed = (from, to, share) => from.map((v, k) => v + (to[k] - v) * share);

// ---- images --------------------------------------------------------------------------------------

/** A canvas of one pixel per value, enlarged without smoothing. */
export class Picture {
  constructor([height, width], label, attributes = {}) {
    this.canvas = el("canvas", {
      width,
      height,
      class: "picture",
      role: "img",
      "aria-label": label,
      ...attributes,
    });
    this.context = this.canvas.getContext("2d");
    this.image = this.context.createImageData(width, height);
  }

  /** Paint each value by a function that gives [r, g, b]. */
  paint(values, rgb) {
    const { data } = this.image;
    for (let i = 0; i < values.length; i++) {
      const [r, g, b] = rgb(values[i], i);
      data.set([r, g, b, 255], 4 * i);
    }
    this.context.putImageData(this.image, 0, 0);
  }

  /** Paint greys, black at `low` and white at `high`. */
  grey(values, [low, high]) {
    const { data } = this.image;
    const scale = 255 / (high - low);
    for (let i = 0, at = 0; i < values.length; i++, at += 4) {
      data[at] = data[at + 1] = data[at + 2] = (values[i] - low) * scale; // clamped by the array
      data[at + 3] = 255;
    }
    this.context.putImageData(this.image, 0, 0);
  }

  describe(label) {
    this.canvas.setAttribute("aria-label", label);
  }
}

/** Blue below zero, white at it, vermillion above: told apart by all common colour vision. */
export function diverging(share) {
  const t = Math.min(1, Math.abs(share));
  const ends =
    share < 0
      ? [
          [0, 114, 178],
          [8, 58, 94],
        ]
      : [
          [213, 94, 0],
          [107, 47, 0],
        ];
  return t < 0.7 ? mixed([255, 255, 255], ends[0], t / 0.7) : mixed(ends[0], ends[1], (t - 0.7) / 0.3);
}
