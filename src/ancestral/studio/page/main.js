// The page around the rooms: which one is open, its state in the address, undo, files, notices.

import { button, download, el, fileButton, rasterised } from "./kit.js";
import { source } from "./source.js";
import { openClassroom } from "./classroom/classroom.js";
import { openCompare } from "./compare/compare.js";
import { openFaces } from "./faces/faces.js";
import { openLine } from "./line/line.js";
import { openPixels } from "./pixels/pixels.js";

const OPENERS = {
  faces: openFaces,
  pixels: openPixels,
  classroom: openClassroom,
  line: openLine,
  compare: openCompare,
};

const AFTERWARDS = { faces: ["faces-rest"], pixels: ["lstm"] }; // what a room asks for once it is open
const AHEAD = 1500; // ms after a room is shown

const page = {
  rooms: {}, // those opened, by name
  name: null, // the one shown
  undo: [], // { name, state } before each change, the latest last
  redo: [],
  last: {}, // each room's state at its latest commit
};

/** What a room may ask of the page around it. */
function around(name) {
  return {
    say,
    load: source.load,
    openFile,
    /** Something moved: the address follows. */
    moved: () => writeAddress(name),
    /** Something was done: it can be undone. */
    done() {
      const state = page.rooms[name]?.state();
      if (state === undefined || state === page.last[name]) return;
      page.undo.push({ name, state: page.last[name] });
      page.redo.length = 0;
      page.last[name] = state;
      writeAddress(name);
      showTools();
    },
  };
}

// ---- rooms ---------------------------------------------------------------------------------------

function nodeOf(name) {
  return document.getElementById(`room-${name}`);
}

async function show(name, state) {
  page.name = name;
  for (const other of names()) nodeOf(other).hidden = other !== name;
  for (const link of document.querySelectorAll(".tabs a")) {
    if (link.dataset.room === name) {
      link.setAttribute("aria-current", "page");
      link.parentElement.scrollLeft = link.offsetLeft - link.parentElement.offsetLeft - 40; // in sight on a phone
    } else link.removeAttribute("aria-current");
  }
  document.title = `${nodeOf(name).querySelector("h2").textContent} · Ancestral studio`;
  if (!page.rooms[name]) await open(name);
  const room = page.rooms[name];
  if (room && state) {
    room.restore(new URLSearchParams(state));
    page.last[name] = room.state();
  }
  fetchAhead();
  if (page.name === name) {
    room?.shown?.();
    showTools();
    writeAddress(name);
  }
}

const opening = {};

/** Fetch a room's data and build it, once. */
function open(name) {
  opening[name] ??= build(name).finally(() => delete opening[name]);
  return opening[name];
}

async function build(name) {
  const body = nodeOf(name).querySelector(".body");
  body.replaceChildren(el("p", { class: "loading" }, "Loading … (models are fitted when their room is first opened)"));
  body.setAttribute("aria-busy", "true");
  try {
    const data = await source.load(name);
    body.replaceChildren();
    if (data.problem) {
      body.append(el("div", { class: "problem" }, el("p", {}, data.problem)));
      return;
    }
    if (data.source) body.append(el("p", { class: "source" }, data.source));
    if (data.note) body.append(el("p", { class: "source note" }, data.note));
    page.rooms[name] = OPENERS[name](body, data, around(name));
    page.last[name] = page.rooms[name].state();
  } catch (error) {
    console.error(error);
    body.replaceChildren(problem(error, () => show(name)));
  } finally {
    body.removeAttribute("aria-busy");
  }
}

let coming = 0;

/** Once a room is seen, fetch what the others will ask for: they go on should the server stop. */
function fetchAhead() {
  clearTimeout(coming);
  const unseen = names().filter((name) => !page.rooms[name]);
  const parts = unseen.flatMap((name) => [name, ...(AFTERWARDS[name] ?? [])]);
  if (parts.length) coming = setTimeout(() => source.ahead(parts), AHEAD);
}

function problem(error, retry) {
  const isGone = error.name === "GoneError";
  const text = isGone ? error.message : `This room could not be opened: ${error.message}.`;
  return el("div", { class: "problem" }, el("p", {}, text), button("Try again", retry));
}

const names = () => Object.keys(OPENERS).filter(nodeOf);

// ---- the address -----------------------------------------------------------------------------------

let timer = 0;

/** Put the room's state into the address, at most eight times a second: browsers allow ten. */
function writeAddress(name) {
  if (name !== page.name) return;
  clearTimeout(timer);
  timer = setTimeout(() => {
    const state = page.rooms[name]?.state();
    try {
      history.replaceState(null, "", `#${name}${state ? `?${state}` : ""}`);
    } catch {
      // a page inside a notebook has no address of its own
    }
  }, 120);
}

function readAddress(address) {
  const [name, state] = decodeAddress(new URL(address).hash);
  show(names().includes(name) ? name : names()[0], state);
}

function decodeAddress(hash) {
  const text = hash.slice(1);
  const at = text.indexOf("?");
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
}

// Where the reader went is the event's to say: the room left may write its address in between.
addEventListener("hashchange", (event) => readAddress(event.newURL));

// ---- undo ------------------------------------------------------------------------------------------

async function step(from, to) {
  const entry = from.pop();
  if (!entry) return;
  to.push({ name: entry.name, state: page.last[entry.name] });
  page.last[entry.name] = entry.state;
  await show(entry.name, entry.state);
  page.last[entry.name] = entry.state;
  showTools();
}

const undo = () => step(page.undo, page.redo);
const redo = () => step(page.redo, page.undo);

addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
  const key = event.key.toLowerCase();
  const isUndo = key === "z" && !event.shiftKey;
  const isRedo = key === "y" || (key === "z" && event.shiftKey);
  if (isUndo || isRedo) {
    event.preventDefault();
    (isUndo ? undo : redo)();
  }
});

// ---- tools -----------------------------------------------------------------------------------------

const undoButton = button("Undo", undo, { kind: "quiet", title: "Ctrl+Z" });
const redoButton = button("Redo", redo, { kind: "quiet", title: "Ctrl+Shift+Z" });
const saveMenu = el("details", { class: "menu" }, el("summary", {}, "Save"));
const saveList = el("div", { class: "menu-list" });
saveMenu.append(saveList);
document.addEventListener("click", (event) => !saveMenu.contains(event.target) && (saveMenu.open = false));
saveMenu.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  saveMenu.open = false;
  saveMenu.querySelector("summary").focus();
});

function showTools() {
  undoButton.disabled = !page.undo.length;
  redoButton.disabled = !page.redo.length;
  const room = page.rooms[page.name];
  saveMenu.hidden = !room;
  saveList.replaceChildren(...(room ? saves(room) : []));
}

/** Return a button for each picture (PNG, SVG) and table the room can give. */
function saves(room) {
  const pictures = room
    .pictures()
    .flatMap(({ name, svg }) => [
      save(`${name}, PNG`, async () => download(fileName(name, "png"), await rasterised(svg()))),
      save(`${name}, SVG`, () => download(fileName(name, "svg"), svg(), "image/svg+xml")),
    ]);
  const tables = room
    .tables()
    .map(({ name, csv }) => save(`${name}, CSV`, () => download(fileName(name, "csv"), csv(), "text/csv")));
  return [...pictures, ...tables];
}

function save(label, action) {
  return button(
    label,
    async () => {
      saveMenu.open = false;
      await action();
      say(`Saved: ${label}.`);
    },
    { kind: "quiet" },
  );
}

const fileName = (name, ending) => `${page.name}-${name.toLowerCase().replace(/[^a-z0-9]+/g, "-")}.${ending}`;

const LINK = source.canOpen
  ? "it opens this room as it is now, in this browser while the studio runs."
  : "it opens this room as it is now, wherever this file lies at the same place.";

async function copyLink() {
  clearTimeout(timer);
  const state = page.rooms[page.name]?.state();
  const link = `${location.href.split("#")[0]}#${page.name}${state ? `?${state}` : ""}`;
  history.replaceState(null, "", link);
  try {
    await navigator.clipboard.writeText(link);
    say(`Link copied: ${LINK}`);
  } catch {
    say(`The link stands in the address bar: ${LINK}`);
  }
}

function fillTools() {
  const tools = [undoButton, redoButton, saveMenu];
  if (!source.isFrame) tools.splice(2, 0, button("Copy link", copyLink, { kind: "quiet" }));
  if (source.canOpen) tools.push(fileButton("Open file", "", openFile));
  document.querySelector(".tools").append(...tools);
}

const ROOM_OF = {
  PPCA: "faces",
  faces: "faces",
  TabularAutoregressive: "pixels",
  LSTMAutoregressive: "pixels",
  tables: "pixels",
  bits: "pixels",
  InnerProductGraph: "classroom",
  graphs: "classroom",
  LinearGaussian: "line",
  HeteroscedasticGaussian: "line",
  regression: "line",
  rows: "compare",
};

/** Show an image in the room of faces; any other file goes to the server, and rooms open anew. */
async function openFile(file) {
  if (file.type.startsWith("image/") && nodeOf("faces")) {
    await show("faces");
    await page.rooms.faces?.openImage(file);
    return;
  }
  if (!source.canOpen) {
    say(`${file.name} needs the studio itself: run “ancestral studio ${file.name}”.`, "problem");
    return;
  }
  say(`Opening ${file.name} …`);
  try {
    const { kind } = await source.open(file);
    const room = ROOM_OF[kind] ?? "compare";
    Object.assign(page, { rooms: {}, undo: [], redo: [], last: {} });
    await show(room);
    say(`${file.name} is open.`);
  } catch (error) {
    say(error.message, "problem");
  }
}

/** Files dropped anywhere are opened in turn; the browser would leave the page for them. */
const showDrop = (on) => document.querySelector("main").classList.toggle("over", on);
addEventListener("dragover", (event) => {
  event.preventDefault();
  showDrop(event.dataTransfer.types.includes("Files"));
});
addEventListener("dragleave", (event) => event.relatedTarget || showDrop(false));
addEventListener("drop", async (event) => {
  event.preventDefault();
  showDrop(false);
  for (const file of [...event.dataTransfer.files]) await openFile(file);
});

// ---- notices ---------------------------------------------------------------------------------------

let notice = 0;

/** Tell the reader something: briefly, or until it is read. */
function say(text, kind = "note") {
  const node = el("p", { class: `notice ${kind}` }, text);
  document.querySelector(".notices").replaceChildren(node);
  clearTimeout(notice);
  notice = setTimeout(() => node.remove(), kind === "problem" ? 12000 : 4000);
}

source.watch((isAlive) => {
  const before = document.querySelector(".gone");
  if (isAlive) before?.remove();
  else if (!before)
    document
      .querySelector("main")
      .prepend(
        el(
          "p",
          { class: "gone", role: "alert" },
          "The server has stopped. The rooms go on, since they compute here; start “ancestral studio” again to open files.",
        ),
      );
});

fillTools();
readAddress(location.href);
