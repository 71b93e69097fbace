// One function: its figures, and everything that is asked of it.

import { get, part, post } from "./api.js";
import { act, cell, h, setText, table } from "./dom.js";
import * as format from "./format.js";
import { invoke } from "./invoke.js";
import { letters } from "./letters.js";
import { logs } from "./logs.js";
import { badge } from "./overview.js";
import { plot } from "./plot.js";
import { configuration, revisions } from "./revisions.js";
import * as store from "./store.js";

// The parts of a function's page, by the end of its address.
const PARTS = [
  ["", "Figures", figures],
  ["logs", "Logs", logs],
  ["dead-letters", "Dead letters", letters],
  ["invoke", "Invoke", invoke],
  ["revisions", "Revisions", revisions],
  ["configuration", "Configuration", configuration],
];

export function functionView(main, name, chosen = "") {
  const path = `#/functions/${part(name)}`;
  const state = h("span", {});
  const reason = h("p", { class: "reason", role: "status" });
  const actions = h("menu", { class: "actions" });
  const head = h("div", { class: "head" }, h("h1", {}, name), state, actions);
  const tabs = h("nav", { class: "tabs", "aria-label": `Parts of ${name}` }, PARTS.map(([end, title]) =>
    h("a", { href: end ? `${path}/${end}` : path, "aria-current": end === chosen ? "page" : null }, title)));
  const body = h("section", { "aria-label": PARTS.find(([end]) => end === chosen)?.[1] ?? "" });
  main.append(head, reason, tabs, body);
  const controls = buttons(name, actions);
  const known = PARTS.find(([end]) => end === chosen);
  const end = known ? known[2](body, name) : undefined;
  if (!known) body.append(h("p", {}, "There is nothing here."));
  let drawn = null;
  const draw = () => {
    const one = store.functions.get(name);
    if (!one) {
      setText(reason, store.health.ok === null ? "" : `No function ${name} is deployed.`);
      state.replaceChildren();
      return;
    }
    const shape = `${one.state}@${one.revision}`;
    if (shape !== drawn) {
      drawn = shape;
      state.replaceChildren(badge(one.state), h("span", { class: "hint" }, ` revision ${one.revision}`));
      controls(one.state);
    }
  };
  draw();
  const explain = async () => {
    try {
      const status = await get(`/v1/functions/${part(name)}/status`);
      setText(reason, status.reason ?? "");
    } catch { /* The list says it too. */ }
  };
  explain();
  const timer = setInterval(explain, 5000);
  const unwatch = store.watch(draw);
  return () => { unwatch(); clearInterval(timer); end?.(); };
}

/** Pause, resume and delete; gives what shows those that fit a state. */
function buttons(name, actions) {
  const path = `/v1/functions/${part(name)}`;
  const order = (verb, done) => h("button", {
    type: "button",
    onclick: async (event) => { await act(event.target, done, () => post(`${path}/${verb}`)); await store.refresh(); },
  }, verb[0].toUpperCase() + verb.slice(1));
  const pause = order("pause", `${name} is paused: it takes no records`);
  const resume = order("resume", `${name} goes on`);
  return (state) => actions.replaceChildren(state === "paused" ? resume : pause);
}

function figures(body, name) {
  const plots = [
    [plot("Records", ["taken", "emitted"], format.rate), "throughput", "emitted"],
    [plot("Lag", [""], format.count), "lag"],
    [plot("Time of a call", ["p50", "p99"], format.duration), "p50", "p99"],
    [plot("Starts", ["cold", "hot"], format.rate), "cold", "hot"],
    [plot("Memory, high water", [""], format.bytes), "memory"],
    [plot("Processor", [""], (value) => (value === null || value === undefined ? "–" : `${(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`)), "cpu"],
  ];
  const partitions = h("div", {});
  const faults = h("div", {});
  body.append(h("div", { class: "plots" }, plots.map(([one]) => one.element)),
    h("h2", {}, "Partitions"), partitions, h("h2", {}, "Failed attempts"), faults);
  const draw = () => {
    const one = store.functions.get(name);
    if (!one) return;
    for (const [{ draw: drawPlot }, ...names] of plots) drawPlot(...names.map((figure) => one.past[figure] ?? []));
    const classes = Object.entries(one.now.faults ?? {}).filter(([, value]) => value > 0);
    faults.replaceChildren(classes.length === 0 ? h("p", { class: "empty" }, "None since the host started.")
      : h("ul", { class: "chips" }, classes.map(([kind, value]) => h("li", {}, h("strong", {}, format.count(value)), ` ${kind}`))));
  };
  const list = async () => {
    try {
      const status = await get(`/v1/functions/${part(name)}/status`);
      partitions.replaceChildren(partitionTable(status.partitions));
    } catch { /* What was shown is as true as before. */ }
  };
  draw();
  list();
  const timer = setInterval(() => { if (!document.hidden) list(); }, 2000);
  const unwatch = store.watch(draw);
  return () => { unwatch(); clearInterval(timer); };
}

function partitionTable(partitions) {
  if (partitions.length === 0) return h("p", { class: "empty" }, "No partition is assigned to this host.");
  const columns = ["Partition", ...["Watermark", "End", "Lag", "In flight"].map((title) => ({ title, end: true })), "Held up by"];
  return table("Partitions of this host", columns, partitions.map((one) => h("tr", {},
    cell(`${one.topic}/${one.partition}`), cell(format.count(one.watermark), true), cell(format.count(one.end), true),
    cell(format.count(one.lag), true), cell(format.count(one.in_flight), true), cell(blocked(one)))));
}

function blocked({ topic, partition, blocked_by: by, stalled }) {
  if (stalled) return h("span", { class: "warn" }, stalled);
  if (!by) return "";
  const place = h("a", { href: `#/events/${part(topic)}/${partition}/${by.offset}` }, `offset ${by.offset}`);
  const why = { running: "the guest has it", queued: "no worker is free", kafka: "Kafka has not acknowledged it" }[by.why]
    ?? `attempt ${by.attempt} of ${by.max_attempts} in ${format.duration(by.in_ms / 1000)}`;
  return [place, `: ${why}`];
}
