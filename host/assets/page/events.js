// Events: one is published, and one is followed to its cause and its effects.

import { get, part, send } from "./api.js";
import { act, h, problem } from "./dom.js";
import * as format from "./format.js";
import * as store from "./store.js";

export function events(main, place) {
  const [topic, partition, offset] = split(place);
  const field = (id, label, value, more = {}) => {
    const input = h("input", { id, value, required: true, autocomplete: "off", spellcheck: "false", ...more });
    return { input, element: h("div", {}, h("label", { for: id }, label), input) };
  };
  const topics = h("datalist", { id: "topics" });
  const number = { type: "number", min: "0", step: "1" };
  const fields = [field("topic", "Topic", topic, { list: "topics" }), field("partition", "Partition", partition, number), field("offset", "Offset", offset, number)];
  const whole = h("input", { type: "checkbox", id: "whole", checked: true });
  const button = h("button", { type: "submit", class: "primary" }, "Show its lineage");
  const result = h("div", { "aria-live": "polite" });
  const form = h("form", { class: "bar" }, fields.map(({ element }) => element),
    h("div", { class: "check" }, whole, h("label", { for: "whole" }, "all that its first cause led to")), button);
  const show = async () => {
    const [wantedTopic, wantedPartition, wantedOffset] = fields.map(({ input }) => input.value.trim());
    result.replaceChildren(h("p", { class: "hint" }, "Reading topics …"));
    try {
      const query = new URLSearchParams({ topic: wantedTopic, partition: wantedPartition, offset: wantedOffset, whole: whole.checked });
      const lineage = await get(`/v1/lineage?${query}`);
      result.replaceChildren(...drawn(lineage));
    } catch (error) {
      result.replaceChildren(problem(error));
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const path = `#/events/${fields.map(({ input }) => part(input.value.trim())).join("/")}`;
    if (location.hash === path) show();
    else location.hash = path;
  });
  main.append(h("h1", {}, "Events"), h("h2", {}, "Where an event comes from, and what it led to"), form, topics, result,
    h("h2", {}, "Publish an event"), publishing());
  const fill = () => {
    const names = new Set([...store.functions.values()].flatMap((one) => one.topics));
    for (const key of store.edges.keys()) key.split(">").filter((name) => !store.functions.has(name)).forEach((name) => names.add(name));
    topics.replaceChildren(...[...names].sort().map((value) => h("option", { value })));
  };
  fill();
  if (topic && offset !== "") show();
  return store.watch(fill);
}

/** `topic/partition/offset`, or parts of it. */
function split(place) {
  const parts = (place ?? "").split("/");
  return parts.length === 3 ? parts.map(decodeURIComponent) : [place ?? "", "", ""];
}

function drawn({ root, scan }) {
  const cut = scan.cut.map((text) => h("p", { class: "warn" }, `The search was cut short ${text}: there may be more.`));
  return [h("ul", { class: "lineage" }, node(root)), ...cut,
    h("p", { class: "hint" }, `${format.count(scan.records)} records of ${scan.topics.length} topics were read in ${format.duration(scan.elapsed_ms / 1000)}.`)];
}

function node(one) {
  const place = `${one.topic}/${one.partition}/${one.offset}`;
  const kinds = { missing: "no longer there", call: "a call over HTTP", dead_letter: "dead letter" };
  const writer = one.function ? h("a", { href: `#/functions/${part(one.function)}` }, `${one.function}@${one.revision}`) : null;
  return h("li", {},
    h("article", { class: `event ${one.kind}${one.asked ? " asked" : ""}`, "aria-current": one.asked ? "true" : null },
      h("h3", {}, one.type ?? kinds[one.kind] ?? "record", one.kind === "dead_letter" ? h("span", { class: "badge failed" }, "dead letter") : null),
      h("p", {}, one.kind === "call" ? "a call over HTTP" : h("a", { href: `#/events/${part(one.topic)}/${one.partition}/${one.offset}` }, place),
        one.key ? h("span", { class: "hint" }, ` key ${one.key}`) : null),
      writer ? h("p", { class: "hint" }, "by ", writer, one.attempt > 1 ? `, attempt ${one.attempt}` : "",
        one.after_ms === undefined ? "" : `, ${format.duration(one.after_ms / 1000)} later`) : null,
      one.fault ? h("p", { class: "bad" }, `${one.fault.class}: ${one.fault.message}`) : null,
      h("dl", { class: "facts" }, facts(one))),
    (one.effects ?? []).length ? h("ul", {}, one.effects.map(node)) : null);
}

function facts({ id, source, timestamp_ms: time }) {
  const all = [["id", id], ["source", source], ["time", time ? format.moment(time) : null]];
  return all.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)));
}

function publishing() {
  const topic = h("input", { id: "publish-topic", list: "topics", required: true, autocomplete: "off", spellcheck: "false" });
  const key = h("input", { id: "publish-key", autocomplete: "off", spellcheck: "false" });
  const type = h("input", { id: "publish-type", value: "example", required: true, spellcheck: "false" });
  const data = h("textarea", { id: "publish-data", rows: 6, spellcheck: "false" }, "{}");
  const button = h("button", { type: "submit" }, "Publish");
  const result = h("p", { role: "status" });
  const form = h("form", {}, h("div", { class: "fields" },
    h("div", {}, h("label", { for: "publish-topic" }, "Topic"), topic), h("div", {}, h("label", { for: "publish-key" }, "Key"), key),
    h("div", {}, h("label", { for: "publish-type" }, "Type"), type)),
    h("label", { for: "publish-data" }, "Data"), data, h("menu", {}, button), result);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const headers = {
      "ce-specversion": "1.0", "ce-id": crypto.randomUUID?.() ?? String(Date.now()), "ce-source": "/page", "ce-type": encodeURIComponent(type.value),
      "content-type": "application/json", ...(key.value ? { "ce-partitionkey": encodeURIComponent(key.value) } : {}),
    };
    const path = `/v1/topics/${part(topic.value.trim())}/events`;
    const place = await act(button, "Kafka has it", async () => (await send(path, { method: "POST", headers, body: data.value })).json());
    if (place) {
      const text = `${place.topic}/${place.partition}/${place.offset}`;
      result.replaceChildren("Written to ", h("a", { href: `#/events/${part(place.topic)}/${place.partition}/${place.offset}` }, text), ".");
    }
  });
  return form;
}
