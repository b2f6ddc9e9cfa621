// A room's state: named values, each of a type that holds it in its range and spells it for the
// address. What is not in the address is as it was at first; undo and reset follow from the text.

/** A type: `hold` gives a value in range, or undefined for one that makes no sense. */
const type = (first, hold, write = String, read = (text) => text) => ({ first, hold, write, read });

const rounded = (value, digits) => Number(value.toPrecision(digits));
const between = (low, high, value) => Math.min(high, Math.max(low, value));
const number = (value) => (value === "" || value === null ? NaN : Number(value));

export function whole(low, high, first = low) {
  return type(first, (value) => {
    const n = number(value);
    return Number.isFinite(n) ? between(low, high, Math.round(n)) : undefined;
  });
}

export function real(low, high, first = low, digits = 4) {
  return type(
    first,
    (value) => {
      const x = number(value);
      return Number.isFinite(x) ? between(low, high, x) : undefined;
    },
    (value) => String(rounded(value, digits)),
  );
}

export function oneOf(keys, first = keys[0]) {
  return type(first, (value) => keys.find((key) => String(key) === String(value)));
}

const [TRUE, FALSE] = [
  [true, 1, "1"],
  [false, 0, "0"],
];

export function flag(first = false) {
  return type(
    first,
    (value) => (TRUE.includes(value) ? true : FALSE.includes(value) ? false : undefined),
    (value) => (value ? "1" : "0"),
  );
}

const ABSENT = "none";

/** A value that may be absent: null at first. */
export function maybe(inner) {
  return type(
    null,
    (value) => (value === null ? null : inner.hold(value)),
    (value) => (value === null ? ABSENT : inner.write(value)),
    (value) => (value === ABSENT ? null : inner.read(value)),
  );
}

/** Numbers in a row; one that makes no sense becomes 0, or the end of the range next to it. */
export function reals({ least = 0, most }, low, high, digits = 4, first = []) {
  return list(
    { least, most },
    (v) => between(low, high, v),
    (v) => rounded(v, digits),
    first,
  );
}

export function wholes({ least = 0, most }, low, high, first = []) {
  return list(
    { least, most },
    (v) => between(low, high, Math.round(v)),
    (v) => v,
    first,
  );
}

function list({ least, most }, hold, write, first) {
  return type(
    first,
    (values) => {
      const kept = Array.from(values ?? [], (v) => hold(Number.isFinite(Number(v)) ? Number(v) : 0));
      return kept.length < least ? undefined : kept.slice(0, most);
    },
    (values) => Array.from(values, write).join(","),
    (text) => (text === "" ? [] : text.split(",")),
  );
}

/** Pairs [x, y]. */
export function points(first = [], { most = 2000, digits = 6 } = {}) {
  const write = (pair) => pair.map((v) => rounded(v, digits)).join(",");
  return type(
    first,
    (pairs) =>
      Array.from(pairs, (pair) => Array.from(pair, number))
        .filter((pair) => pair.length === 2 && pair.every(Number.isFinite))
        .slice(0, most),
    (pairs) => pairs.map(write).join(";"),
    (text) => (text === "" ? [] : text.split(";").map((pair) => pair.split(","))),
  );
}

/** Bytes, e.g. of a small image or a mask: zeros at first. */
export function bytes(length) {
  return type(
    new Uint8Array(length),
    (value) => (value instanceof Uint8Array && value.length === length ? value : undefined),
    toText,
    fromText,
  );
}

/** Some of several named values: {key: value} of those that are set. */
export function entries(types) {
  const held = (given) => {
    const kept = {};
    for (const [key, value] of Object.entries(given ?? {})) {
      const own = Object.hasOwn(types, key) ? types[key].hold(value) : undefined;
      if (own !== undefined && own !== null) kept[key] = own;
    }
    return kept;
  };
  const spelt = (word) => encodeURIComponent(word).replaceAll("%2C", ",");
  return type(
    {},
    held,
    (given) =>
      Object.entries(given)
        .map(([key, value]) => `${spelt(key)}:${spelt(types[key].write(value))}`)
        .join(";"),
    (text) => {
      const pairs = text.split(";").map((part) => part.split(":").map(unspelt));
      return Object.fromEntries(
        pairs
          .filter(([key, value]) => value !== undefined && Object.hasOwn(types, key))
          .map(([key, value]) => [key, types[key].read(value)]),
      );
    },
  );
}

function unspelt(word) {
  try {
    return decodeURIComponent(word);
  } catch {
    return "";
  }
}

/** Return bytes as text that an address can hold. */
function toText(bytes) {
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Return the bytes of such a text; null where it is none. */
function fromText(text) {
  if (!text) return null;
  try {
    return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  } catch {
    return null;
  }
}

/** The values of declared types. */
export class State {
  constructor(types) {
    this.types = types;
    this.reset();
  }

  reset() {
    this.values = Object.freeze(
      Object.fromEntries(Object.entries(this.types).map(([name, { first }]) => [name, first])),
    );
  }

  /** Take new values, held in their ranges; those that make no sense change nothing. */
  change(given) {
    const next = { ...this.values };
    for (const [name, value] of Object.entries(given)) {
      if (!Object.hasOwn(this.types, name)) throw new Error(`No state is called ${name}.`);
      const held = this.types[name].hold(value);
      if (held !== undefined) next[name] = held;
    }
    this.values = Object.freeze(next);
  }

  /** The state as the address has it; "" is the first. */
  write() {
    return this.writeOf(this.values);
  }

  writeOf(values) {
    const spelt = new URLSearchParams();
    for (const [name, { first, write }] of Object.entries(this.types)) {
      const text = write(values[name]);
      if (text !== write(first)) spelt.set(name, text);
    }
    return spelt.toString().replaceAll("%2C", ",").replaceAll("%3B", ";").replaceAll("%3A", ":");
  }

  /** Take the state of an address: what it does not name, or misspells, is as at first. */
  read(text) {
    const given = new URLSearchParams(text ?? "");
    this.reset();
    for (const [name, { read }] of Object.entries(this.types))
      if (given.has(name)) this.change({ [name]: read(given.get(name)) });
  }
}
