// The page around the rooms: which one is open and on which data, undo, the address, the tools.
//
// A room declares its state and draws what it says; everything that follows from the state (undo,
// reset, links, the room as it was when one comes back) is done here, once for all rooms.

import { showFiles } from "./files.js";
import { History } from "./history.js";
import { button, el, perFrame, select } from "./kit.js";
import { say, sayStatus } from "./notices.js";
import { showPrompts, tick } from "./prompts.js";
import { ROOMS } from "./rooms.js";
import { fillSaveMenu, saveMenu } from "./saving.js";
import { source } from "./source.js";
import { State } from "./state.js";
import { themeButton } from "./theme.js";

const AHEAD = 1500; // ms after a room is shown, what the others will ask for is fetched

const page = {
  shelf: null, // what is open, and where it shows
  rooms: new Map(), // those built, by name and data
  shown: null, // one of them
  name: null, // the tab
  data: {}, // of each tab: which of its data are shown
  ticked: {}, // of each tab: the prompts that are done
  refused: [], // files that could not be opened, { name, why }
};

const names = () => Object.keys(ROOMS);
const section = (name) => document.getElementById(`room-${name}`);
const part = (name, which) => section(name).querySelector(which);
const verb = (name) => part(name, "h2").textContent;
const subjects = (name) => page.shelf.rooms[name].subjects;

// ---- rooms ---------------------------------------------------------------------------------------

let wanted = 0; // the latest call of show

/** Show a room: on the data asked for (or those it had), in the state that a text spells. */
async function show(name, { of = page.data[name], text, from } = {}) {
  const call = ++wanted;
  history.commit();
  page.shown?.view.leave?.();
  Object.assign(page, { name, shown: null });
  for (const other of names()) section(other).hidden = other !== name;
  for (const link of document.querySelectorAll(".tabs a")) {
    if (link.dataset.room === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${verb(name)} · Ancestral studio`;
  showTools();
  const all = subjects(name);
  const subject = all.find((each) => each.of === of) ?? all[0];
  if (from && subject?.of !== of)
    say(
      `This link was made with ${from}, which is not open or has changed. ${subject ? `${subject.name} is shown instead` : "Open it first"}.`,
      "problem",
    );
  showData(name, subject);
  if (!subject) {
    writeAddress();
    fill(name, [problemNode(page.shelf.rooms[name].wants)], []);
    return null;
  }
  page.data[name] = subject.of;
  const isMine = subject.of === of || !from;
  const room = await built(name, subject, () => call === wanted);
  if (call !== wanted) return null;
  if (!room) {
    writeAddress();
    return null;
  }
  page.shown = room;
  if (text !== undefined && isMine) {
    room.state.read(text);
    room.committed = room.state.values;
  }
  showAbout(name, room);
  fill(name, room.view.stage, room.view.controls);
  room.view.draw();
  room.view.enter?.();
  showTools();
  writeAddress();
  fetchAhead();
  return room;
}

function fill(name, stage, controls) {
  part(name, ".stage").replaceChildren(...stage);
  part(name, ".side").replaceChildren(...controls);
  section(name).classList.toggle("empty", !controls.length);
}

/** Return a room on some data, built once; null when it could not be, which is said in its place
 * while that is what the reader waits for. */
async function built(name, subject, isWanted) {
  const key = `${name} ${subject.of}`;
  if (page.rooms.has(key)) return page.rooms.get(key);
  const busy = el("p", { class: "loading" }, "Loading … (models are fitted when their room is first opened)");
  fill(name, [busy], []);
  part(name, ".stage").setAttribute("aria-busy", "true");
  try {
    const making = ROOMS[name]();
    making.catch(() => {}); // a server that is gone is told by the data, in its words
    const data = await source.load(name, subject.of);
    const make = await making;
    if (data.problem) {
      if (isWanted()) fill(name, [problemNode(data.problem)], []);
      const now = await source.shelf().catch(() => page.shelf); // which says so, too
      if (now.version === page.shelf.version) page.shelf = now;
      return null;
    }
    const room = { key, name, subject, data, state: new State(make.state(data)), past: [], future: [] };
    room.draw = perFrame(() => {
      if (page.shown !== room) return;
      room.view.draw();
      if (room.past.length && room.state.values === room.committed) tickOff(room); // a search has ended
    });
    room.committed = room.state.values;
    room.view = make.build(data, around(room));
    room.files = namesOf(name, subject.of);
    page.rooms.set(key, room);
    return room;
  } catch (error) {
    if (error.name === "AbortError") return null;
    console.error(error);
    const isGone = error.name === "GoneError";
    const said = isGone ? error.message : `This room could not be opened: ${error.message}`;
    const retry = button("Try again", () => source.shelf().then(takeShelf, refuse));
    if (isWanted()) fill(name, [problemNode(said, retry)], []);
    return null;
  } finally {
    part(name, ".stage").removeAttribute("aria-busy");
  }
}

const problemNode = (text, ...more) => el("div", { class: "problem" }, el("p", {}, text), ...more);

/** What a room may touch. */
function around(room) {
  return {
    get state() {
      return room.state.values;
    },
    change(given) {
      room.state.change(given);
      room.draw();
      if (page.shown !== room) return;
      writeAddress();
      history.settle();
    },
    draw: room.draw,
    say,
    load: (which) => source.load(`${room.name}.${which}`, room.subject.of),
    goTo: (name, text) => show(name, { text }),
  };
}

/** Above a room: its data, its equation and its prompts. */
function showAbout(name, { view, data, subject }) {
  showData(name, subject, data);
  const unfolded = part(name, ".unfolded");
  unfolded.querySelector(".live")?.remove();
  if (view.equation) unfolded.append(el("div", { class: "live" }, view.equation));
  showPrompts(part(name, ".prompts"), view.prompts, doneIn(name));
}

/** Say which data are shown, of which one chooses, before they are there and where they cannot be. */
function showData(name, subject, { source: title, note } = {}) {
  const all = subjects(name);
  const options = all.map((each) => [each.of, each.name]);
  const toFiles = { type: "button", class: "quiet data", title, onclick: openFiles };
  const chooser = () =>
    all.length > 1
      ? select({ label: "Data", options, value: subject.of, onchange: (of) => show(name, { of }) }).node
      : el("button", toFiles, `Data: ${subject.name}`);
  part(name, ".about").replaceChildren(
    ...(subject ? [chooser()] : []),
    ...(note ? [el("p", { class: "note" }, note)] : []),
  );
}

const doneIn = (name) => (page.ticked[name] ??= new Set());

let coming = 0;

/** Once a room is seen, fetch what the others will ask for: they go on should the server stop. */
function fetchAhead() {
  clearTimeout(coming);
  const first = names().flatMap((name) =>
    subjects(name)
      .slice(0, 1)
      .map(({ of }) => [name, of]),
  );
  const unseen = first.filter(([name, of]) => !page.rooms.has(`${name} ${of}`));
  coming = setTimeout(() => {
    source.ahead(unseen);
    for (const [name] of unseen) ROOMS[name]().catch(() => {}); // whoever opens it will be told
  }, AHEAD);
}

// ---- the address ---------------------------------------------------------------------------------

let timer = 0;

/** The address of what is shown: the room, the data's identity and name, and what is not as at first. */
function addressOf(room) {
  const { of, name, built_in: isOurs } = room.subject;
  const state = room.state.write();
  const isPlain = !state && isOurs && subjects(room.name)[0].of === of;
  const data = isPlain ? "" : `data=${of}~${encodeURIComponent(name)}`;
  const text = [data, state].filter(Boolean).join("&");
  return `#${room.name}${text ? `?${text}` : ""}`;
}

/** Put it into the address bar, at most eight times a second: browsers allow ten. */
function writeAddress(wait = 120) {
  clearTimeout(timer);
  const write = () => {
    try {
      window.history.replaceState(null, "", page.shown ? addressOf(page.shown) : `#${page.name}`);
    } catch {
      // a page inside a notebook has no address of its own
    }
  };
  if (wait) timer = setTimeout(write, wait);
  else write();
}

function readAddress(address) {
  const [name, text] = new URL(address).hash.slice(1).split(/\?(.*)/s);
  const given = new URLSearchParams(text ?? "");
  const [of, from] = (given.get("data") ?? "").split(/~(.*)/s);
  given.delete("data");
  const state = text === undefined ? {} : { text: given.toString() };
  return show(names().includes(name) ? name : names()[0], of ? { of, from: from ?? of, ...state } : state);
}

// Where the reader went is the event's to say: the room left may write its address in between.
addEventListener("hashchange", (event) => {
  clearTimeout(timer);
  readAddress(event.newURL);
});

// ---- undo, and the tools -------------------------------------------------------------------------

// What a press or a key meets is what the state says: a frame that is due is drawn first.
for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => page.shown?.draw.now(), true);

const history = new History({
  shown: () => page.shown,
  changed(room) {
    tickOff(room);
    showTools();
  },
  taken(room) {
    room.draw();
    writeAddress();
    showTools();
  },
});

function tickOff({ name, view, state }) {
  const { prompts } = view;
  if (tick(prompts, doneIn(name), state.values, view))
    showPrompts(part(name, ".prompts"), prompts, doneIn(name));
}

function reset() {
  history.commit();
  page.shown.state.reset();
  history.commit();
  page.shown.draw();
  writeAddress();
  showTools();
}

const tools = {
  undo: button("Undo", () => history.undo(), { kind: "quiet", title: "Ctrl+Z" }),
  redo: button("Redo", () => history.redo(), { kind: "quiet", title: "Ctrl+Shift+Z" }),
  reset: button("Reset", reset, { kind: "quiet", title: "Put this room back as it was at first" }),
  files: button("Files", openFiles, { kind: "quiet", title: "What is open, and which rooms show it" }),
  save: saveMenu(say),
  link: source.isFrame ? null : button("Link", copyLink, { kind: "quiet", title: "Copy a link to this" }),
  theme: themeButton(() => page.shown?.draw()),
};

function showTools() {
  const room = page.shown;
  tools.undo.disabled = !room?.past.length;
  tools.redo.disabled = !room?.future.length;
  tools.reset.disabled = !room || !room.state.write();
  fillSaveMenu(tools.save, page.name, room?.view);
}

const LINK = source.canOpen
  ? "it opens this room as it is now, in this browser while the studio runs."
  : "it opens this room as it is now, on a machine that has this file in the same place.";

async function copyLink() {
  history.commit();
  writeAddress(0);
  try {
    await navigator.clipboard.writeText(location.href);
    say(`Link copied: ${LINK}`);
  } catch {
    say(`The link is in the address bar: ${LINK}`);
  }
}

// ---- files ---------------------------------------------------------------------------------------

const dialog = document.querySelector(".files");
dialog.addEventListener("close", () => (page.refused = []));

function openFiles() {
  showFiles(dialog, {
    shelf: page.shelf,
    refused: page.refused,
    verb,
    canOpen: source.canOpen,
    open: takeFiles,
    close: (id) => source.close(id).then(takeShelf, refuse),
    goTo: (room, of) => (dialog.close(), show(room, { of })),
  });
  if (!dialog.open) dialog.showModal();
}

/** What the data of a subject are called: they have the names of files in them. */
const namesOf = (name, of) =>
  page.shelf.items
    .filter((item) => item.shown.some((at) => at.room === name && at.of === of))
    .map((item) => item.name)
    .join();

/** Take what is open now: rooms on data that are no longer open go, all others stay as they are. */
function takeShelf(shelf) {
  page.shelf = shelf;
  const open = new Set(names().flatMap((name) => subjects(name).map(({ of }) => `${name} ${of}`)));
  for (const [key, { name, subject, files }] of [...page.rooms])
    if (!open.has(key) || namesOf(name, subject.of) !== files) page.rooms.delete(key);
  if (dialog.open) openFiles();
  const isShown = page.shown && page.rooms.get(page.shown.key) === page.shown;
  if (isShown) {
    showAbout(page.name, page.shown);
    fetchAhead();
  } else if (page.name) return show(page.name);
  showTools();
}

const refuse = (error) => say(error.message, "problem");

/** Open files one after another; what cannot be opened is named with its reason. */
async function takeFiles(files) {
  let last = null;
  for (const file of files) {
    say(`Opening ${file.name} …`);
    page.refused = page.refused.filter(({ name }) => name !== file.name);
    try {
      last = (await takeFile(file)) ?? last;
    } catch (error) {
      page.refused.push({ name: file.name, why: error.message });
    }
  }
  if (page.refused.length || (last && !last.shown.length)) openFiles();
  else if (last) {
    dialog.close();
    const at = last.shown.find(({ room }) => room === page.name) ?? last.shown[0];
    await show(at.room, { of: at.of });
    say(last.said || `${last.name} is open.`);
  }
}

/** Show an image in the room that takes them; any other file goes to the server. */
async function takeFile(file) {
  const forImages = names().find((name) => page.shelf.rooms[name].takes_images);
  if (file.type.startsWith("image/") && forImages) {
    dialog.close();
    const room = await show(forImages);
    if (!room) throw new Error(`${file.name} is not shown: “${verb(forImages)}” could not be opened.`);
    await room.view.openImage(file);
    return null;
  }
  if (!source.canOpen)
    throw new Error(`${file.name} needs the studio itself: run “ancestral studio ${file.name}”.`);
  const { id, said, shelf } = await source.open(file);
  await takeShelf(shelf);
  return { ...shelf.items.find((item) => item.id === id), said };
}

/** Files dropped anywhere are opened; the browser would leave the page for them. */
const hasFiles = (event) => event.dataTransfer.types.includes("Files");
const showDrop = (on) => document.body.classList.toggle("over", on);
addEventListener("dragover", (event) => hasFiles(event) && (event.preventDefault(), showDrop(true)));
addEventListener("dragleave", (event) => event.relatedTarget || showDrop(false));
addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  showDrop(false);
  takeFiles([...event.dataTransfer.files]);
});

// ---- the server, and the beginning ---------------------------------------------------------------

source.watch({
  status: sayStatus,
  async changed() {
    const shelf = await source.shelf().catch(() => page.shelf);
    if (shelf.version === page.shelf.version) return;
    await takeShelf(shelf);
    say("Files were opened or closed in another window.");
  },
});

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address is the room's
  document.getElementById("main").focus();
});

async function start() {
  document.querySelector(".tools").append(...Object.values(tools).filter(Boolean));
  try {
    page.shelf = await source.shelf();
  } catch (error) {
    document.querySelector("main").prepend(
      problemNode(
        error.message,
        button("Try again", () => location.reload()),
      ),
    );
    return;
  }
  await readAddress(location.href);
}

start();
