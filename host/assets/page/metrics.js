// Reads Prometheus' text format, as much of it as a host writes.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** The samples by name: `[{ labels, value }]`. */
export function parse(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    if (line === "" || line[0] === "#") continue;
    const [, name, inner, value] = LINE.exec(line) ?? [];
    if (!name) continue;
    const labels = {};
    for (const [, label, escaped] of (inner ?? "").matchAll(LABEL)) {
      labels[label] = escaped.replace(/\\(.)/g, (_, letter) => (letter === "n" ? "\n" : letter));
    }
    if (!samples.has(name)) samples.set(name, []);
    samples.get(name).push({ labels, value: Number(value) });
  }
  return samples;
}

/** What a histogram counted between two readings, as `[[upper bound, count]]`. */
export function between(now, before) {
  const earlier = new Map((before ?? []).map(([bound, total]) => [bound, total]));
  let below = 0;
  return [...now].sort(([one], [other]) => one - other).map(([bound, total]) => {
    const since = total - (earlier.get(bound) ?? 0);
    const own = since - below;
    below = since;
    return [bound, own];
  });
}

/** The value below which `share` of them are, or null of none. */
export function quantile(counts, share) {
  const all = counts.reduce((sum, [, own]) => sum + own, 0);
  if (all <= 0) return null;
  let seen = 0;
  let lower = 0;
  for (const [bound, own] of counts) {
    if (own > 0 && seen + own >= all * share) {
      if (bound === Infinity) return lower;
      return lower + (bound - lower) * ((all * share - seen) / own);
    }
    seen += own;
    lower = bound;
  }
  return lower;
}
