// Numbers as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** A count. */
export const count = (value) => (value === null || value === undefined ? "–" : value < 100000 ? whole.format(value) : short.format(value));

/** So many a second. */
export function rate(value) {
  if (value === null || value === undefined) return "–";
  return `${value > 0 && value < 10 ? value.toFixed(1) : count(value)}/s`;
}

/** Bytes. */
export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let index = 0;
  while (value >= 1024 && index < units.length - 1) { value /= 1024; index += 1; }
  return `${index === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[index]}`;
}

/** Seconds. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  const sign = seconds < 0 ? "−" : "";
  const value = Math.abs(seconds);
  if (value === 0) return "0 s";
  if (value < 1e-3) return `${sign}${Number((value * 1e6).toPrecision(2))} µs`;
  if (value < 1) return `${sign}${Number((value * 1e3).toPrecision(3))} ms`;
  if (value < 120) return `${sign}${value.toFixed(1)} s`;
  return `${sign}${whole.format(value / 60)} min`;
}

/** A moment, in the reader's own time. */
export const moment = (ms) => new Date(ms).toLocaleString("en", { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
