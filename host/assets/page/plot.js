// A line over the last minutes, drawn as SVG: small ones in a table, larger ones with their scale.

import { s, h, setText } from "./dom.js";
import { POINTS } from "./store.js";

/** The smallest number of the form 1, 2 or 5 times a power of ten that is as large. */
function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999) ?? 10 * power;
}

/** The path of a series; gaps where there is no value. */
function path(series, top, width, height) {
  const step = width / (POINTS - 1);
  const start = POINTS - series.length;
  let pen = "M";
  let drawn = "";
  series.forEach((value, index) => {
    if (value === null || value === undefined) { pen = "M"; return; }
    const x = ((start + index) * step).toFixed(1);
    const y = (height - (Math.min(value, top) / top) * height).toFixed(1);
    drawn += `${pen}${x} ${y}`;
    pen = "L";
  });
  return drawn;
}

/** A small line without scale; gives the element and what draws it anew. */
export function sparkline() {
  const line = s("path", { class: "line" });
  const element = s("svg", { class: "spark", viewBox: "0 -1 120 26", preserveAspectRatio: "none", "aria-hidden": "true" }, line);
  const draw = (series = []) => line.setAttribute("d", path(series, Math.max(...series.filter(Number.isFinite), 1e-9), 120, 24));
  return { element, draw };
}

/** A plot with a title, lines by name, and a scale; `format` writes its numbers. */
export function plot(title, names, format) {
  const width = 320;
  const height = 90;
  const lines = names.map((_, index) => s("path", { class: `line line-${index}` }));
  const areas = names.length === 1 ? [s("path", { class: "area" })] : [];
  const values = names.map((name, index) => h("span", { class: `value value-${index}` }));
  const picture = s("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img" },
    s("path", { class: "grid", d: `M0 ${height - 0.5}H${width}M0 ${height / 2}H${width}M0 0.5H${width}` }), areas, lines);
  const top = h("span", { class: "top-of-scale" });
  const element = h("figure", { class: "plot" },
    h("figcaption", {}, h("span", {}, title), h("span", { class: "values" }, values)),
    h("div", { class: "canvas" }, picture, top));
  const draw = (...series) => {
    const highest = roundUp(Math.max(...series.flat().filter(Number.isFinite), 0));
    setText(top, format(highest));
    series.forEach((points = [], index) => {
      const drawn = path(points, highest, width, height);
      lines[index].setAttribute("d", drawn);
      const latest = points.at(-1);
      setText(values[index], names.length === 1 ? format(latest) : `${names[index]} ${format(latest)}`);
      if (areas[0]) {
        const first = POINTS - points.length;
        const start = ((first / (POINTS - 1)) * width).toFixed(1);
        const solid = points.every((value) => value !== null && value !== undefined);
        areas[0].setAttribute("d", solid && points.length > 1 ? `${drawn}L${width} ${height}L${start} ${height}Z` : "");
      }
    });
    const spoken = names.map((name, index) => `${name || title} ${format(series[index]?.at(-1))}`).join(", ");
    picture.setAttribute("aria-label", `${title}, now: ${spoken}`);
  };
  return { element, draw };
}
