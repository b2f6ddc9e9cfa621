// What the walk of the controls (walking.py) asks of the page: which controls a room has, whether one
// of them is in sight together with its stage, and what the stage and the control's panel show.
(() => {
  const CONTROLS = "button:not(.file button), input:not([type=file]), select, summary, textarea, [tabindex='0']";
  const UNSEEN = /^(aria-(?!pressed|checked|selected|current)|tabindex$|title$|id$|for$|name$|data-walk)/;
  const roomOf = (name) => document.getElementById(`room-${name}`);
  const stageOf = (name) => roomOf(name).querySelector(".stage");
  const isOnPage = (node) => node.checkVisibility({ visibilityProperty: true });

  function nameOf(node) {
    const label = [...(node.labels ?? [])].map((l) => l.textContent).join(" ");
    const text = node.matches("button, summary") ? node.textContent : "";
    const name = node.getAttribute("aria-label") || label || text || node.title || node.className;
    return String(name)
      .trim()
      .replace(/[\d.,]*\d/g, "#")
      .slice(0, 70); // numbers change with use
  }

  function kindOf(node) {
    if (node.matches("svg, canvas")) return "plot";
    const kind = node.matches("input") ? node.type : node.tagName.toLowerCase();
    return node.matches("[role=slider]") && kind !== "range" ? "plot" : kind;
  }

  /** What of a control is seen: radios and checkboxes may hide behind their labels. */
  function seen(node) {
    const isHidden = node.matches("input") && getComputedStyle(node).opacity === "0";
    return isHidden && node.labels?.[0] ? node.labels[0] : node;
  }

  function placeOf(node) {
    return node.closest(".panel, details, .stage, .head, .side");
  }

  /** All controls of a room by a name of their own, in the page's order. */
  function all(room) {
    const found = new Map();
    for (const node of roomOf(room).querySelectorAll(CONTROLS)) {
      if (node.disabled || node.matches("[role=region], [role=group], [role=list]") || !isOnPage(node))
        continue;
      const { width, height } = seen(node).getBoundingClientRect();
      if (width < 2 || height < 2) continue;
      const stem = `${kindOf(node)} “${nameOf(node)}”`;
      let key = stem;
      for (let k = 2; found.has(key); k++) key = `${stem}, number ${k}`;
      found.set(key, node);
    }
    return found;
  }

  /** The controls to walk: of those in one place whose names differ in numbers alone three stand for all. */
  function keys(room) {
    const places = new Map();
    for (const [key, node] of all(room)) {
      const place = placeOf(node);
      const alike = places.get(place) ?? places.set(place, new Map()).get(place);
      const stem = key.replace(/, number \d+$/, "");
      alike.set(stem, [...(alike.get(stem) ?? []), key]);
    }
    const picked = [...places.values()].flatMap((alike) =>
      [...alike.values()].flatMap((same) =>
        same.length <= 4 ? same : [same[0], same[Math.floor(same.length / 2)], same.at(-1)],
      ),
    );
    return picked;
  }

  /** Controls whose effect a reset does not take back: those of the data. */
  const lasting = (room) => [...all(room)].filter(([, node]) => node.closest(".about")).map(([key]) => key);

  const find = (room, key) => all(room).get(key) ?? null;

  /** The share of a box that a pointer reaches: of a grid of points, those that hit what `isOwn` accepts. */
  function reached(node, isOwn, side = 9) {
    const { left, top, width, height } = node.getBoundingClientRect();
    let hits = 0;
    for (let i = 0; i < side; i++)
      for (let j = 0; j < side; j++) {
        const at = [left + ((i + 0.5) / side) * width, top + ((j + 0.5) / side) * height];
        const hit = document.elementFromPoint(...at);
        hits += hit !== null && isOwn(hit) ? 1 : 0;
      }
    return hits / side ** 2;
  }

  /** Scroll a control into view as a reader would; return what is wrong then, or null. */
  function inSight(room, key, least) {
    const node = find(room, key);
    if (!node) return "is gone";
    const [shown, stage] = [seen(node), stageOf(room)];
    let wrong = null;
    for (const block of ["nearest", "end", "center"]) {
      shown.scrollIntoView({ block, inline: "nearest", behavior: "instant" });
      wrong = wrongWith(node, shown, stage, least);
      if (!wrong) return null;
    }
    return wrong;
  }

  function wrongWith(node, shown, stage, least) {
    const { left, top, right, bottom } = shown.getBoundingClientRect();
    const [wide, high] = [document.documentElement.clientWidth, innerHeight];
    if (left < -1 || top < -1 || right > wide + 1 || bottom > high + 1)
      return `is not wholly on the screen: ${[left, top, right, bottom].map(Math.round)} of ${wide} x ${high}`;
    const owners = [node, shown, ...(node.labels ?? [])];
    const box = node.closest(".track");
    const isOwn = (hit) => owners.some((owner) => owner.contains(hit)) || box?.contains(hit);
    if (!shown.matches("svg") && reached(shown, isOwn, 3) < 0.7) {
      const [x, y] = [(left + right) / 2, (top + bottom) / 2];
      const over = document.elementFromPoint(x, y);
      return `is covered, in its middle by <${over?.tagName.toLowerCase()} class="${over?.getAttribute("class") ?? ""}">`;
    }
    const share = reached(stage, (hit) => stage.contains(hit));
    if (share < least) return `shows ${Math.round(100 * share)} % of the stage at the same time`;
    return null;
  }

  /** What can be seen of a node, as text: markup, values, and the pixels of canvases. */
  function look(node, without) {
    const parts = [];
    const visit = (at) => {
      if (at === without || !isOnPage(at)) return;
      parts.push("<", at.tagName);
      for (const { name, value } of at.attributes) if (!UNSEEN.test(name)) parts.push(" ", name, "=", value);
      if (at.matches("canvas")) parts.push(at.width && at.height ? at.toDataURL() : "");
      if (at.matches("input, select"))
        parts.push(" ", at.type === "radio" || at.type === "checkbox" ? at.checked : at.value);
      for (const child of at.childNodes) {
        if (child.nodeType === 3) parts.push(child.data);
        else if (child.nodeType === 1) visit(child);
      }
      parts.push(">");
    };
    visit(node);
    return parts.join("");
  }

  /** The stage, and the control's panel but for what is the control itself. */
  function looks(room, key) {
    const [node, stage] = [find(room, key), stageOf(room)];
    if (document.querySelector("dialog[open]")) return "a dialogue";
    if (!node || stage.contains(node)) return digest(look(stage));
    const place = placeOf(node);
    const own = node.closest(".slider, .choice, .field, .check") ?? node;
    return digest(look(stage) + (place && place !== stage ? look(place, own) : ""));
  }

  function digest(text) {
    let h = 0x811c9dc5;
    for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
    return `${text.length}:${h >>> 0}`;
  }

  /** Where to press a control: a slider away from its value, anything else in its middle. */
  function about(room, key) {
    const node = find(room, key);
    const { left, top, width, height } = seen(node).getBoundingClientRect();
    const kind = kindOf(node);
    let [x, y] = [left + width / 2, top + height / 2];
    if (kind === "range") {
      const share = (node.value - node.min) / (node.max - node.min);
      x = left + (share < 0.5 ? 0.8 : 0.2) * width;
    }
    return {
      kind,
      x,
      y,
      left,
      top,
      width,
      height,
      checked: node.checked,
      options: node.options?.length,
      chosen: node.selectedIndex,
    };
  }

  /** A place on a slider or plot from which a swipe begins: not on what may be dragged both ways. */
  function swipeFrom(room, key) {
    const node = find(room, key);
    if (!node || node.closest(".handle")) return null;
    const { left, top, width, height } = node.getBoundingClientRect();
    for (const [u, v] of [
      [0.5, 0.5],
      [0.3, 0.6],
      [0.7, 0.4],
      [0.4, 0.8],
      [0.85, 0.85],
      [0.15, 0.3],
    ]) {
      const [x, y] = [left + u * width, top + v * height];
      const hit = document.elementFromPoint(x, y);
      if (hit && (node.contains(hit) || hit.closest(".track")) && !hit.closest(".handle")) return { x, y };
    }
    return null;
  }

  const swiped = (room) =>
    [...all(room)]
      .filter(([, node]) => kindOf(node) === "range" || kindOf(node) === "plot")
      .map(([key]) => key);

  const openFolds = (room) => {
    for (const fold of roomOf(room).querySelectorAll(".side details")) fold.open = true;
  };

  window.walking = {
    keys,
    lasting,
    find,
    inSight,
    looks,
    about,
    swipeFrom,
    swiped,
    openFolds,
    stageLooks: (room) => digest(look(stageOf(room))),
  };
})();
