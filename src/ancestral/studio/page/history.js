// Undo: what is done between a press and its release, or in one run of keys, is one change.

const RUN = 800; // ms after which a run of keys is over; a key held down begins to repeat after 500
const PRESS = 60; // the same for pointers, once they are up

/** The changes of rooms, the latest last.
 *
 * `shown` gives the room that is shown; `changed(room)` is told of each change that can be undone,
 * and `taken(room)` when a room has got an earlier or later state.
 */
export class History {
  constructor({ shown, changed, taken }) {
    Object.assign(this, { shown, changed, taken, past: [], future: [] });
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
    this.past.push({ room, values: before });
    this.future.length = 0;
    this.changed(room);
  }

  undo() {
    return this.#step(this.past, this.future);
  }

  redo() {
    return this.#step(this.future, this.past);
  }

  async #step(from, to) {
    this.commit();
    const entry = from.pop();
    if (!entry) return;
    const { room, values } = entry;
    to.push({ room, values: room.state.values });
    room.state.values = room.committed = values;
    await this.taken(room);
  }

  /** Forget the changes of rooms that are gone. */
  keep(isOpen) {
    for (const changes of [this.past, this.future])
      changes.splice(0, Infinity, ...changes.filter(({ room }) => isOpen(room)));
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
