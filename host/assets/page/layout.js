// Where the boxes of a graph stand: columns in the way the records go, rows so that few lines cross.

/** The column and row of each node by id, and how many of each there are. */
export function placed(nodes, edges) {
  const column = new Map(nodes.map(({ id }) => [id, 0]));
  // As often as there are nodes at most: cycles would go on without end.
  for (let round = 0; round < nodes.length; round += 1) {
    let moved = false;
    for (const { from, to } of edges) {
      const next = column.get(from) + 1;
      if (column.get(to) < next && next < nodes.length && !reaches(edges, to, from)) {
        column.set(to, next);
        moved = true;
      }
    }
    if (!moved) break;
  }
  const columns = [];
  for (const { id } of nodes) (columns[column.get(id)] ??= []).push(id);
  const filled = columns.filter(Boolean);
  const places = new Map();
  let rows = 0;
  filled.forEach((ids, index) => {
    // Beside those they come from.
    const height = (id) => {
      const before = edges.filter(({ to }) => to === id).map(({ from }) => places.get(from)?.row).filter((row) => row !== undefined);
      return before.length ? before.reduce((sum, row) => sum + row, 0) / before.length : Infinity;
    };
    const ordered = ids.map((id) => ({ id, wish: height(id) })).sort((one, other) => one.wish - other.wish);
    let next = 0;
    for (const { id, wish } of ordered) {
      const row = Math.max(next, Number.isFinite(wish) ? Math.floor(wish) : next);
      places.set(id, { column: index, row });
      next = row + 1;
    }
    rows = Math.max(rows, next);
  });
  return { places, columns: filled.length, rows };
}

function reaches(edges, from, goal) {
  const seen = new Set([from]);
  const waiting = [from];
  while (waiting.length > 0) {
    const id = waiting.pop();
    if (id === goal) return true;
    for (const edge of edges) {
      if (edge.from === id && !seen.has(edge.to)) { seen.add(edge.to); waiting.push(edge.to); }
    }
  }
  return false;
}
