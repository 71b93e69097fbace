// All functions of the host, each a line.

import { cell, h, setText, table } from "./dom.js";
import * as format from "./format.js";
import { sparkline } from "./plot.js";
import * as store from "./store.js";

const COLUMNS = [
  "Function", "State", { title: "Revision", end: true }, { title: "Records", end: true }, "", { title: "Lag", end: true },
  { title: "Starts: cold, hot", end: true }, { title: "Call p50, p99", end: true }, { title: "Memory", end: true },
  { title: "Dead letters", end: true },
];

/** How a state is shown. */
export const badge = (state) => h("span", { class: `badge ${state}` }, state);

export function overview(main) {
  const rows = new Map();
  const body = h("div", {});
  main.append(h("h1", {}, "Functions"), body);
  let shown = null;
  const draw = () => {
    const names = [...store.functions.keys()].sort();
    if (names.join() !== shown && (names.length > 0 || store.health.ok !== null)) {
      shown = names.join();
      rows.clear();
      names.forEach((name) => rows.set(name, row(name)));
      body.replaceChildren(names.length > 0
        ? table("Functions of this host, live", COLUMNS, [...rows.values()].map(({ element }) => element))
        : h("p", { class: "empty" }, "Nothing is deployed yet. ", h("a", { href: "#/deploy" }, "Deploy a function"),
            ", or use ", h("code", {}, "millstream deploy"), "."));
    }
    for (const [name, { update }] of rows) update(store.functions.get(name));
  };
  draw();
  return store.watch(draw);
}

function row(name) {
  const spark = sparkline();
  const cells = COLUMNS.map((column) => cell("", column.end));
  const [title, state, revision, records, picture, lag, starts, call, memory, dead] = cells;
  title.append(h("a", { href: `#/functions/${encodeURIComponent(name)}` }, name));
  picture.append(spark.element);
  let drawnState = null;
  const update = ({ state: newState, revision: number, now, past }) => {
    if (newState !== drawnState) { state.replaceChildren(badge(newState)); drawnState = newState; }
    setText(revision, number);
    setText(records, format.rate(now.throughput));
    spark.draw(past.throughput);
    setText(lag, format.count(now.lag));
    setText(starts, `${format.count(now.coldTotal)}, ${format.count(now.hotTotal)}`);
    setText(call, now.p50 === null || now.p50 === undefined ? "–" : `${format.duration(now.p50)}, ${format.duration(now.p99)}`);
    setText(memory, format.bytes(now.memory));
    setText(dead, format.count(now.dead));
    dead.classList.toggle("warn", now.dead > 0);
    lag.classList.toggle("warn", now.lag > 10000);
  };
  return { element: h("tr", {}, cells), update };
}
