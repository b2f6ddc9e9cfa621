// Light or dark: as the reader chose here before, or as the system is.

import { button, forgetColours } from "./kit.js";

const KEY = "ancestral-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

/** Return the button that changes the theme; `redraw` is called after each change. */
export function themeButton(redraw) {
  const node = button("", () => set(isDark() ? "light" : "dark", true), { kind: "quiet theme" });
  const set = (theme, isChosen) => {
    document.documentElement.dataset.theme = theme;
    node.textContent = isDark() ? "Light" : "Dark";
    node.title = isDark() ? "A light page" : "A dark page";
    forgetColours();
    redraw();
    if (isChosen) store(theme);
  };
  const follow = () => set(stored() ?? (system.matches ? "dark" : "light"), false);
  system.addEventListener("change", follow);
  follow();
  return node;
}

const isDark = () => document.documentElement.dataset.theme === "dark";

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // a browser that keeps nothing, or a frame that may not
  }
}

function store(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // for this page only
  }
}
