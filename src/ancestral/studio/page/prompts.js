// The prompts above a room: three short things to try, ticked off when they are done.

import { el } from "./kit.js";

/** Show a room's prompts; `done` are the places of those that are done. */
export function showPrompts(place, prompts, done) {
  const before = place.querySelector("details");
  const isOpen = before ? before.open : matchMedia("(min-width: 60em)").matches;
  const list = prompts.map(({ text }, k) => {
    const said = el("span", { class: "out-of-sight" }, done.has(k) ? " (done)" : "");
    const words = text[0].toUpperCase() + text.slice(1);
    return el("li", { class: done.has(k) ? "done" : "" }, words, said);
  });
  const summary = el("summary", {}, `To try: ${done.size} of ${list.length}`);
  place.replaceChildren(el("details", { open: isOpen }, summary, el("ol", {}, list)));
}

/** Add the prompts that a state fulfils to those done; tell whether there are more. */
export function tick(prompts, done, state, view) {
  const before = done.size;
  prompts.forEach((prompt, k) => prompt.done(state, view) && done.add(k));
  return done.size > before;
}
