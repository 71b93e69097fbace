// What reads what and writes where, as a graph with live rates, and as a list for those who don't see it.

import { h, s, setText } from "./dom.js";
import * as format from "./format.js";
import { placed } from "./layout.js";
import * as store from "./store.js";

const WIDTH = 170;
const HEIGHT = 44;
const GAP = 110;
const ROW = 66;

/** Who is connected with whom: `{ nodes, edges }`, where each edge has the key of its rate. */
function graph() {
  const nodes = new Map();
  const edges = [];
  const topic = (name, kind = "topic") => {
    const id = `t:${name}`;
    if (!nodes.has(id)) nodes.set(id, { id, name, kind });
    return id;
  };
  for (const { name, topics, topics_pattern: pattern, manifest } of store.functions.values()) {
    const id = `f:${name}`;
    nodes.set(id, { id, name, kind: "function" });
    for (const input of topics) edges.push({ from: topic(input), to: id, key: `${input}>${name}` });
    if (pattern) edges.push({ from: topic(`/${pattern}/`), to: id, key: null });
    for (const [output, { topic: target }] of Object.entries(outputs(manifest))) {
      edges.push({ from: id, to: topic(target), key: `${name}>${target}`, label: output });
    }
    if (manifest?.dead_letter_topic) {
      const target = manifest.dead_letter_topic;
      edges.push({ from: id, to: topic(target, "dead"), key: `${name}>${target}`, label: "dead letters" });
    }
  }
  return { nodes: [...nodes.values()], edges };
}

function outputs(manifest) {
  const all = manifest?.outputs ?? {};
  return Object.fromEntries(Object.entries(all).map(([name, output]) =>
    [name, typeof output === "string" ? { topic: output } : output]));
}

export function topology(main) {
  const canvas = h("div", { class: "scroll graph", tabindex: "0", role: "region", "aria-label": "The topology as a graph" });
  const list = h("ul", { class: "flows" });
  main.append(h("h1", {}, "Topology"),
    h("p", { class: "hint" }, "Topics, the functions that read them, and where those write: records a second. This host’s part of it."),
    canvas, h("details", {}, h("summary", {}, "The same as a list"), list));
  let drawn = null;
  let texts = [];
  const draw = () => {
    const { nodes, edges } = graph();
    const shape = JSON.stringify([nodes, edges]);
    if (shape !== drawn) {
      drawn = shape;
      texts = picture(canvas, list, nodes, edges);
    }
    for (const { key, label, path, item, text } of texts) {
      const rate = store.edges.get(key) ?? 0;
      setText(label, rate > 0 ? format.rate(rate) : "");
      path.classList.toggle("flowing", rate > 0);
      setText(item, `${text}: ${format.rate(rate)}`);
    }
  };
  draw();
  return store.watch(draw);
}

function picture(canvas, list, nodes, edges) {
  if (nodes.length === 0) {
    canvas.replaceChildren(h("p", { class: "empty" }, "Nothing is deployed yet."));
    list.replaceChildren();
    return [];
  }
  const { places, columns, rows } = placed(nodes, edges);
  const at = (id) => ({ x: 10 + places.get(id).column * (WIDTH + GAP), y: 14 + places.get(id).row * ROW });
  const width = columns * (WIDTH + GAP) - GAP + 20;
  const height = rows * ROW + 10;
  const texts = [];
  const lines = edges.map((edge) => {
    const [from, to] = [at(edge.from), at(edge.to)];
    const [x1, y1, x2, y2] = [from.x + WIDTH, from.y + HEIGHT / 2, to.x, to.y + HEIGHT / 2];
    // A cycle goes back below.
    const bend = x2 > x1 ? `C${x1 + GAP / 2} ${y1} ${x2 - GAP / 2} ${y2} ${x2} ${y2}`
      : `C${x1 + GAP} ${y1 + ROW} ${x2 - GAP} ${y2 + ROW} ${x2} ${y2}`;
    const isDead = edge.label === "dead letters";
    const path = s("path", { class: `edge${isDead ? " dead" : ""}`, d: `M${x1} ${y1}${bend}`, "marker-end": "url(#tip)" });
    const label = s("text", { class: "edge-label", x: x1 + (x2 - x1) * 0.55, y: y1 + (y2 - y1) * 0.6 - 5, "text-anchor": "middle" });
    const item = h("li", {});
    const name = (id) => id.slice(2);
    texts.push({ key: edge.key, label, path, item, text: `${name(edge.from)} → ${name(edge.to)}${edge.label ? ` (${edge.label})` : ""}` });
    return { path, label };
  });
  const boxes = nodes.map((node) => {
    const { x, y } = at(node.id);
    const box = s("g", { class: `node ${node.kind}`, transform: `translate(${x} ${y})` },
      s("title", {}, `${node.kind === "function" ? "function" : "topic"} ${node.name}`),
      s("rect", { width: WIDTH, height: HEIGHT, rx: node.kind === "function" ? 10 : 22 }),
      s("text", { x: WIDTH / 2, y: HEIGHT / 2 + 5, "text-anchor": "middle" }, shorten(node.name, node.kind === "function" ? 18 : 21)));
    return node.kind === "function" ? s("a", { href: `#/functions/${encodeURIComponent(node.name)}` }, box) : box;
  });
  canvas.replaceChildren(s("svg", { width, height, viewBox: `0 0 ${width} ${height}` },
    s("defs", {}, s("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
      s("path", { d: "M0 0L8 4L0 8z", class: "tip" }))),
    lines.map(({ path }) => path), boxes, lines.map(({ label }) => label)));
  list.replaceChildren(...texts.map(({ item }) => item));
  return texts;
}

const shorten = (name, most) =>
  (name.length > most ? `${name.slice(0, most / 2)}…${name.slice(-Math.floor(most / 2) + 1)}` : name);
