// What the page tells its reader: in a line that goes by itself, or for as long as it is so.

import { el } from "./kit.js";

let timer = 0;

/** Tell the reader something: briefly, or until it is read. */
export function say(text, kind = "note") {
  const node = el("p", { class: `notice ${kind}` }, text);
  document.querySelector(".notices").replaceChildren(node);
  clearTimeout(timer);
  timer = setTimeout(() => node.remove(), kind === "problem" ? 12000 : 4000);
}

const STATUS = {
  gone: "The server has stopped. The rooms still work, because they compute in the browser. Start “ancestral studio” again to open files.",
  restarted:
    "The studio was started again, and does not know this page. Open the address that “ancestral studio” printed. This page still works as it is.",
};

/** Say that the server is "gone" or "restarted", until it is "alive". */
export function sayStatus(is) {
  document.querySelector(".gone")?.remove();
  if (is === "alive") return;
  document.querySelector("main").prepend(el("p", { class: "gone", role: "alert" }, STATUS[is]));
}
