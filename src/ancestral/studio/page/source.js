// Where the rooms' data come from: the server, or what was written into the file.

class GoneError extends Error {
  name = "GoneError";
}

const GONE = "The server does not answer. Start “ancestral studio” again and open the address it prints.";

/** What the file itself holds, if it was exported: one JSON script per part. */
function inlined(name) {
  const node = document.getElementById(`data-${name}`);
  return node ? JSON.parse(node.textContent) : null;
}

const isOffline = document.documentElement.hasAttribute("data-offline");
const KEY = "ancestral-studio"; // kept for this origin alone, port included

/** The session's secret: from the page that a token opened, or from an earlier one. */
function readSession() {
  const given = document.querySelector("meta[name=ancestral-session]");
  if (!given) return storedSession();
  try {
    localStorage.setItem(KEY, given.content);
  } catch {
    // a browser that keeps nothing: this page alone has the session
  }
  const secret = given?.content ?? "";
  given?.remove();
  return secret;
}

function storedSession() {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

const headers = { "X-Ancestral-Session": isOffline ? "" : readSession() };
if (!isOffline && location.search) history.replaceState(history.state, "", location.pathname + location.hash);

let version = null; // of what is open, as the page knows it
let latest = null; // the same, as the latest answer had it
let own = 0; // changes of this page's own on their way
let changed = () => {};

const waiting = new Map();
const kept = new Map(); // parts fetched ahead

const idOf = (name, of) => (of ? `${name}-${of}` : name);
const ABSENT = "This part was not written into the file. It needs the studio: run “ancestral studio”.";

/** Return what a room is told of some data: `name` is the room, or room.part. */
async function load(name, of) {
  const id = idOf(name, of);
  if (isOffline) return inlined(id) ?? { problem: ABSENT };
  const ready = kept.get(id);
  kept.delete(id);
  return ready ?? fetched(name, of);
}

let run = 0; // the latest fetching ahead

/** Fetch parts, [name, of], one after another before they are asked for: they outlive the server. */
async function ahead(parts) {
  const mine = (run += 1);
  for (const [name, of] of isOffline ? [] : parts) {
    if (mine !== run) return; // something was opened or closed
    const id = idOf(name, of);
    if (waiting.has(id) || kept.has(id)) continue;
    try {
      kept.set(id, await fetched(name, of));
    } catch {
      // whoever asks for it will be told
    }
  }
}

async function fetched(name, of) {
  const id = idOf(name, of);
  waiting.get(id)?.abort(); // a later request for the same part makes the earlier one stale
  const control = new AbortController();
  waiting.set(id, control);
  try {
    return await asked(`data/${name}.json${of ? `?of=${of}` : ""}`, { signal: control.signal });
  } finally {
    if (waiting.get(id) === control) waiting.delete(id);
  }
}

/** Ask the server; throw what it says when it refuses. */
async function asked(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { ...headers, ...options.headers } });
  } catch (error) {
    throw error.name === "AbortError" ? error : new GoneError(GONE);
  }
  note(answer);
  const isJson = answer.headers.get("content-type")?.includes("json");
  const said = isJson ? await answer.json() : { problem: await answer.text() };
  if (!answer.ok) throw new Error(said.problem);
  return said;
}

/** Notice when something was opened or closed that this page does not know of. */
function note(answer) {
  latest = answer.headers.get("ancestral-version") ?? latest;
  if (own || version === null || latest === version) return;
  know(latest);
  changed();
}

/** What is open is another: nothing fetched for what was open before is kept. */
function know(now) {
  if (now === version) return;
  version = now;
  run += 1;
  kept.clear();
}

/** Return what is open. */
async function shelf() {
  const found = isOffline ? inlined("shelf") : await asked("data/shelf.json");
  know(found.version);
  return found;
}

const LARGEST = 44 << 20; // bytes of a file; base64 adds a third, and the server takes 64 MiB

async function open(file) {
  if (file.size > LARGEST)
    throw new Error(
      `${file.name} has ${(file.size / 2 ** 20).toFixed(0)} MiB; the page takes up to 44 MiB. Name it on the command line: ancestral studio ${file.name}`,
    );
  const base64 = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Error(`${file.name} cannot be read.`));
    reader.readAsDataURL(file);
  });
  return changing("api/open", { name: file.name, base64: file.size ? base64 : "" });
}

const close = (id) => changing("api/close", { id }).then(({ shelf }) => shelf);

async function changing(path, document) {
  own += 1;
  try {
    const said = await asked(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(document),
    });
    know(said.shelf.version);
    return said;
  } finally {
    own -= 1;
    if (!own && latest !== version) changed(); // another window has changed something, too
  }
}

/** Ask now and then whether the server is there, while anyone looks: "alive", "gone", "restarted". */
function watch({ status, changed: tell }) {
  if (isOffline) return;
  changed = tell;
  let before = "alive";
  const ask = async () => {
    if (document.hidden) return;
    let is = "gone";
    try {
      const answer = await fetch("alive", { signal: AbortSignal.timeout(4000), headers });
      is = answer.ok ? "alive" : "restarted";
      if (answer.ok) note(answer);
      else headers["X-Ancestral-Session"] = storedSession(); // a new address was opened elsewhere
    } catch {
      // gone
    }
    if (is !== before) status(is);
    before = is;
  };
  setInterval(ask, 5000);
  document.addEventListener("visibilitychange", ask);
}

export const source = {
  load,
  ahead,
  shelf,
  open,
  close,
  watch,
  canOpen: !isOffline,
  isFrame: window.parent !== window,
};
