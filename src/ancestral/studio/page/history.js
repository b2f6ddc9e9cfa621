// Undo: what is done between a press and its release, or in one run of keys, is one change.

const RUN = 800; // ms after which a run of keys is over; a key held down begins to repeat after 500
const PRESS = 60; // the same for pointers, once they are up

/** The changes of the room that is shown: each room has its own, the latest last.
 *
 * `shown` gives that room; `changed(room)` is told of each change that can be undone,
 * and `taken(room)` when a room has got an earlier or later state.
 */
export class History {
  constructor({ shown, changed, taken }) {
    Object.assign(this, { shown, changed, taken });
    [this.timer, this.isDown, this.byKey] = [0, false, false];
    addEventListener("pointerdown", () => this.#press(), true);
    addEventListener("pointerup", () => this.#release(), true);
    addEventListener("pointercancel", () => this.#cancel(), true);
    addEventListener("focusin", () => !this.isDown && this.commit(), true);
    addEventListener("keydown", (event) => this.#key(event), true);
  }

  /** Something has changed: once it is over, it can be undone. */
  settle() {
    clearTimeout(this.timer);
    if (!this.isDown) this.timer = setTimeout(() => this.commit(), this.byKey ? RUN : PRESS);
  }

  commit() {
    clearTimeout(this.timer);
    const room = this.shown();
    if (!room || room.state.values === room.committed) return;
    const before = room.committed;
    room.committed = room.state.values;
    if (room.state.write() === room.state.writeOf(before)) return;
    room.past.push(before);
    room.future.length = 0;
    this.changed(room);
  }

  undo() {
    this.#step("past", "future");
  }

  redo() {
    this.#step("future", "past");
  }

  #step(from, to) {
    this.commit();
    const room = this.shown();
    if (!room?.[from].length) return;
    room[to].push(room.state.values);
    room.state.values = room.committed = room[from].pop();
    this.taken(room);
  }

  #press() {
    this.commit();
    [this.isDown, this.byKey] = [true, false];
  }

  #release() {
    this.isDown = false;
    this.settle();
  }

  /** A touch that became a swipe has changed nothing. */
  #cancel() {
    this.isDown = false;
    const room = this.shown();
    if (!room || room.state.values === room.committed) return;
    setTimeout(() => {
      room.state.values = room.committed;
      this.taken(room);
    });
  }

  #key(event) {
    this.byKey = event.key.startsWith("Arrow") || event.key.startsWith("Page");
    if (!this.byKey) this.commit();
    if (!(event.ctrlKey || event.metaKey) || event.altKey || isText(event.target)) return;
    const key = event.key.toLowerCase();
    const isRedo = key === "y" || (key === "z" && event.shiftKey);
    if (!isRedo && key !== "z") return;
    event.preventDefault();
    if (isRedo) this.redo();
    else this.undo();
  }
}

/** Whether a node is a field of text, which has an undo of its own. */
const isText = ({ tagName, type }) =>
  tagName === "TEXTAREA" || (tagName === "INPUT" && !["range", "checkbox", "radio"].includes(type));
