export function openClassroom(body) { body.append('soon'); return { state: () => '', restore() {}, pictures: () => [], tables: () => [] }; }
