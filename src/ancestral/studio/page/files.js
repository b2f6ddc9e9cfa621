// What is open: name, kind and shape of each file, where it shows or why it does not.

import { button, el } from "./kit.js";

/** Fill the dialogue. `open`, `close` and `goTo` are what its buttons do. */
export function showFiles(dialog, { shelf, refused, verb, canOpen, open, close, goTo }) {
  const mine = shelf.items.filter((item) => !item.built_in);
  const ours = shelf.items.filter((item) => item.built_in);
  const entry = (item) =>
    el(
      "li",
      {},
      el("p", { class: "name" }, el("b", {}, item.name), ` ${item.about}`),
      item.shown.map((at) =>
        el(
          "p",
          {},
          button(verb(at.room), () => goTo(at.room, at.of), { kind: "quiet" }),
          at.used ? ` ${at.used}` : " all of it",
        ),
      ),
      item.not_shown.map((not) =>
        el("p", { class: "why" }, not.room && el("b", {}, `${verb(not.room)}: `), not.why),
      ),
      !item.built_in && canOpen
        ? button("Close", () => close(item.id), { title: `Close ${item.name}` })
        : null,
    );
  const wrong = refused.map(({ name, why }) =>
    el(
      "li",
      { class: "wrong" },
      el("p", { class: "name" }, el("b", {}, name), " not opened"),
      el("p", {}, why),
    ),
  );
  const list = (title, items) => (items.length ? [el("h3", {}, title), el("ul", {}, items)] : []);
  dialog.replaceChildren(
    el(
      "div",
      { class: "row" },
      el("h2", {}, "Files"),
      canOpen ? fileButton("Open files", open) : null,
      button("Done", () => dialog.close(), { kind: "main" }),
    ),
    el(
      "p",
      { class: "hint" },
      canOpen
        ? "Saved models, images, tables, graphs: drop them anywhere on the page. They stay on this machine."
        : "This page holds its data. To open files of your own, run “ancestral studio”.",
    ),
    ...list("Yours", [...wrong, ...mine.map(entry)]),
    ...list("Built in, where nothing of yours stands in", ours.map(entry)),
  );
}

/** A button that opens the file dialogue. */
function fileButton(label, onfiles) {
  const input = el("input", { type: "file", multiple: true, class: "out-of-sight", tabindex: "-1" });
  input.setAttribute("aria-label", label);
  input.addEventListener("change", () => {
    onfiles([...input.files]);
    input.value = "";
  });
  return el(
    "span",
    { class: "file" },
    input,
    button(label, () => input.click()),
  );
}
