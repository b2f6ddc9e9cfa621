// What the reader takes away: pictures as PNG and SVG, numbers as CSV.

import { button, colour, el, svg } from "./kit.js";

/** Return the menu of what a room can give; `say` tells the reader when it is saved. */
export function saveMenu(say) {
  const menu = el("details", { class: "menu" }, el("summary", {}, "Save"), el("div", { class: "menu-list" }));
  document.addEventListener("click", ({ target }) => !menu.contains(target) && (menu.open = false));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  return Object.assign(menu, { say });
}

/** Fill it with a button for each picture and table of a room. */
export function fillSaveMenu(menu, room, view) {
  menu.hidden = !view;
  const fileName = (name, ending) => `${room}-${name.toLowerCase().replace(/[^a-z0-9]+/g, "-")}.${ending}`;
  const save = (label, action) => {
    const act = async () => {
      menu.open = false;
      await action().then(
        () => menu.say(`Saved: ${label}.`),
        (error) => menu.say(`Not saved: ${label}. ${error.message}`, "problem"),
      );
    };
    return button(label, act, { kind: "quiet" });
  };
  const pictures = (view?.pictures() ?? []).flatMap(({ name, svg }) => [
    save(`${name}, PNG`, async () => download(fileName(name, "png"), await rasterised(svg()))),
    save(`${name}, SVG`, async () => download(fileName(name, "svg"), svg(), "image/svg+xml")),
  ]);
  const tables = (view?.tables() ?? []).map(({ name, csv }) =>
    save(`${name}, CSV`, async () => download(fileName(name, "csv"), csv(), "text/csv")),
  );
  menu.querySelector(".menu-list").replaceChildren(...pictures, ...tables);
}

function download(name, content, kind) {
  const blob = content instanceof Blob ? content : new Blob([content], { type: kind });
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Return an SVG node as a file of its own, the page's styles written into it. */
export function standalone(node) {
  const copy = node.cloneNode(true);
  const wanted = [
    "fill",
    "stroke",
    "stroke-width",
    "stroke-dasharray",
    "stroke-linecap",
    "opacity",
    "fill-opacity",
    "stroke-opacity",
    "font-family",
    "font-size",
    "font-weight",
    "text-anchor",
    "dominant-baseline",
    "paint-order",
    "display",
  ];
  const [from, to] = [
    [node, ...node.querySelectorAll("*")],
    [copy, ...copy.querySelectorAll("*")],
  ];
  from.forEach((source, i) => {
    const style = getComputedStyle(source);
    for (const name of wanted)
      if (style.getPropertyValue(name)) to[i].setAttribute(name, style.getPropertyValue(name));
    for (const name of ["class", "tabindex", "style"]) to[i].removeAttribute(name);
  });
  const { width, height } = node.getBoundingClientRect();
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("viewBox", `0 0 ${width} ${height}`);
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  const paper = svg("rect", { width, height, fill: `rgb(${colour("paper")})` });
  copy.prepend(paper);
  return new XMLSerializer().serializeToString(copy);
}

/** Return pictures side by side, each under its caption, as an SVG file. */
export function picturesAsSvg(pictures) {
  const [unit, gap, top] = [8, 24, 26];
  let x = gap;
  const parts = pictures.map(({ canvas, caption }) => {
    const url = enlarged(canvas, unit);
    const part = [
      svg(
        "text",
        { x, y: 18, "font-family": "sans-serif", "font-size": 13, fill: `rgb(${colour("ink")})` },
        caption,
      ),
      svg("image", { x, y: top, width: canvas.width * unit, height: canvas.height * unit, href: url }),
    ];
    x += canvas.width * unit + gap;
    return part;
  });
  const height = Math.max(...pictures.map(({ canvas }) => canvas.height)) * unit + top + gap;
  const paper = svg("rect", { width: x, height, fill: `rgb(${colour("paper")})` });
  const root = svg(
    "svg",
    { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${x} ${height}`, width: x, height },
    paper,
    ...parts.flat(),
  );
  return new XMLSerializer().serializeToString(root);
}

/** Return a canvas as a PNG whose pixels are `unit` times as large. */
function enlarged(canvas, unit) {
  const big = el("canvas", { width: canvas.width * unit, height: canvas.height * unit });
  const context = big.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, big.width, big.height);
  return big.toDataURL("image/png");
}

/** Turn an SVG file into a PNG of twice its size. */
async function rasterised(text) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = el("canvas", { width: 2 * image.width, height: 2 * image.height });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** Return records as CSV; numbers in full. */
export function csv(columns, rows) {
  const cell = (value) =>
    /[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
  return [columns, ...rows].map((line) => Array.from(line, cell).join(",")).join("\n") + "\n";
}
