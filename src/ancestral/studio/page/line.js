export function openLine(body) { body.append('soon'); return { state: () => '', restore() {}, pictures: () => [], tables: () => [] }; }
