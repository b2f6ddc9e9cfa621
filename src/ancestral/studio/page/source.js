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
  try {
    if (!given) return localStorage.getItem(KEY) ?? "";
    localStorage.setItem(KEY, given.content);
  } catch {
    // a browser that keeps nothing: this page alone has the session
  }
  const secret = given?.content ?? "";
  given?.remove();
  return secret;
}

const session = isOffline ? "" : readSession();
const headers = { "X-Ancestral-Session": session };
if (!isOffline && location.search) history.replaceState(history.state, "", location.pathname + location.hash);

const waiting = new Map();
let kept = new Map(); // parts fetched ahead

async function load(name) {
  if (isOffline) {
    const data = inlined(name);
    return (
      data ?? {
        problem: "This part was not written into the file. It needs the studio: run “ancestral studio”.",
      }
    );
  }
  return kept.get(name) ?? fetched(name);
}

/** Fetch parts one after another before they are asked for: they then outlive the server. */
async function ahead(names) {
  const into = kept;
  for (const name of isOffline ? [] : names) {
    if (into !== kept) return; // another file was opened
    if (waiting.has(name)) continue;
    try {
      into.set(name, await fetched(name));
    } catch {
      // whoever asks for it will be told
    }
  }
}

async function fetched(name) {
  // a later request for the same part makes the earlier one stale
  waiting.get(name)?.abort();
  const control = new AbortController();
  waiting.set(name, control);
  let answer;
  try {
    answer = await fetch(`data/${name}.json`, { signal: control.signal, headers });
  } catch (error) {
    throw error.name === "AbortError" ? error : new GoneError(GONE);
  } finally {
    if (waiting.get(name) === control) waiting.delete(name);
  }
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

const LARGEST = 44 << 20; // bytes of a file; base64 adds a third, and the server takes 64 MiB

async function open(file) {
  if (file.size > LARGEST)
    throw new Error(
      `${file.name} has ${(file.size / 2 ** 20).toFixed(0)} MiB; the page takes up to 44. Name it on the command line: ancestral studio ${file.name}`,
    );
  const base64 = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Error(`${file.name} cannot be read.`));
    reader.readAsDataURL(file);
  });
  let answer;
  try {
    const body = JSON.stringify({ name: file.name, base64: file.size ? base64 : "" });
    answer = await fetch("api/open", {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json" },
      body,
    });
  } catch {
    throw new GoneError(GONE);
  }
  const kind = answer.headers.get("content-type") ?? "";
  const said = kind.includes("json") ? await answer.json() : { problem: await answer.text() };
  if (!answer.ok) throw new Error(said.problem);
  kept = new Map();
  return said;
}

/** Ask now and then whether the server is there, while anyone looks. */
function watch(tell) {
  if (isOffline) return;
  const ask = async () => {
    if (document.hidden) return;
    try {
      tell((await fetch("alive", { signal: AbortSignal.timeout(4000), headers })).ok);
    } catch {
      tell(false);
    }
  };
  setInterval(ask, 5000);
  document.addEventListener("visibilitychange", ask);
}

export const source = { load, ahead, open, watch, canOpen: !isOffline, isFrame: window.parent !== window };
