// A control for one column beside the stage: its level is chosen, its number slid or typed.

import { button, el, select, slider } from "../kit.js";
import { forward, hasLevels, inverse } from "./circuit.js";
import { daysOf, rounded, spelt } from "./words.js";

/** Return its nodes, and `set(value, mean)`; `fix(value)` fixes the column and returns what is held. */
export const editorOf = (column, fix) => (hasLevels(column) ? levelEditor : numberEditor)(column, fix);

function levelEditor({ levels }, fix) {
  const control = select({
    label: "fixed at",
    options: [["", "not fixed"], ...levels.map((level, k) => [k, level])],
    value: "",
    onchange: (k) => fix(k === "" ? null : Number(k)),
  });
  return { nodes: [control.node], set: (value) => control.set(value ?? "") };
}

function numberEditor(column, fix) {
  const { low, high, scale, of, name } = column;
  const on = (x) => (scale ? forward(scale, x) : x);
  const back = (y) => rounded(column, scale ? inverse(scale, y) : y);
  const free = button("Release", () => fix(null));
  free.disabled = true;
  const control = slider({
    label: "fixed at",
    name,
    min: on(low),
    max: on(high),
    step: (on(high) - on(low)) / 200,
    value: on(low),
    spelt: () => (free.disabled ? "free" : ""),
    oninput: (y) => fix(back(y)),
  });
  const isDate = of === "date";
  const typed = el("input", {
    type: isDate ? "date" : "number",
    step: "any",
    placeholder: "type a value",
    "aria-label": `${name}, typed`,
  });
  const show = (value) => (typed.value = value === null ? "" : isDate ? spelt(column, value) : String(value));
  typed.addEventListener("change", () => {
    const value = isDate ? daysOf(typed.value) : Number(typed.value);
    show(fix(typed.value === "" || !Number.isFinite(value) ? null : value));
  });
  const set = (value, mean) => {
    free.disabled = value === null;
    control.set(on(Math.min(high, Math.max(low, value ?? mean))));
    if (document.activeElement !== typed) show(value);
  };
  return { nodes: [control.node, el("div", { class: "row" }, typed, free)], set };
}
