// What is open: name, kind and shape of each file, where it shows or why it does not.

import { button, el, fileButton } from "./kit.js";

/** Fill the dialogue. `open`, `close` and `goTo` are what its buttons do. */
export function showFiles(dialog, { shelf, refused, verb, canOpen, open, close, goTo }) {
  const mine = shelf.items.filter((item) => !item.built_in);
  const ours = shelf.items.filter((item) => item.built_in);
  const link = (at) =>
    el(
      "li",
      {},
      button(verb(at.room), () => goTo(at.room, at.of), { kind: "link" }),
      at.used ? `: ${at.used}` : null,
    );
  const entry = (item) =>
    el(
      "li",
      {},
      el(
        "div",
        { class: "name" },
        el("p", {}, el("b", {}, item.name), ` ${item.about}`),
        !item.built_in && canOpen
          ? button("Close", () => close(item.id), { kind: "quiet", title: `Close ${item.name}` })
          : null,
      ),
      item.shown.length
        ? el("ul", { class: "where", "aria-label": "Where it shows" }, item.shown.map(link))
        : null,
      item.not_shown.map(({ room, why }) =>
        el("p", { class: "why" }, room ? el("b", {}, `Not in ${verb(room)}: `) : null, why),
      ),
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
      canOpen ? fileButton("Open files", open, { multiple: true }) : null,
      button("Done", () => dialog.close(), { kind: "main" }),
    ),
    el(
      "p",
      { class: "hint" },
      canOpen
        ? "Drop saved models, images, tables or graphs anywhere on the page. They stay on this machine."
        : "This page contains its own data. To open files of your own, run “ancestral studio”.",
    ),
    ...list("Yours", [...wrong, ...mine.map(entry)]),
    ...list("Built in", ours.map(entry)),
  );
}
