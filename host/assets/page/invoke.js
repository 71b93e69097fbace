// Calls a function with an event that one writes, starting from an example.

import { part, send } from "./api.js";
import { act, h, problem } from "./dom.js";
import * as format from "./format.js";
import * as store from "./store.js";

/** An event that a function's filters let through, as far as they say exactly what. */
export function example(name) {
  const filters = store.functions.get(name)?.manifest?.filters ?? [];
  const exact = Object.assign({}, ...filters.map((filter) => filter.exact ?? {}));
  return {
    specversion: "1.0", id: "1", source: "/page", type: "example", datacontenttype: "application/json", partitionkey: "key",
    ...exact, data: { hello: "world" },
  };
}

export function invoke(body, name) {
  const text = h("textarea", { id: "event", rows: 14, spellcheck: "false" });
  const publish = h("input", { type: "checkbox", id: "publish" });
  const button = h("button", { type: "submit", class: "primary" }, "Invoke");
  const result = h("div", { "aria-live": "polite" });
  const form = h("form", {}, h("label", { for: "event" }, "The event, a CloudEvent in JSON"), text,
    h("p", {}, publish, " ", h("label", { for: "publish" }, "Publish what it emits, too")), h("menu", {}, button));
  // Once: an event that is being written, even an empty one, is its author's.
  let isFilled = false;
  const fill = () => {
    if (isFilled || text.value || !store.functions.has(name)) return;
    text.value = JSON.stringify(example(name), null, 2);
    isFilled = true;
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    result.replaceChildren();
    await act(button, "The function was called", async () => {
      const path = `/v1/functions/${part(name)}/invoke${publish.checked ? "?publish=true" : ""}`;
      try {
        JSON.parse(text.value);
        const headers = { "content-type": "application/cloudevents+json" };
        const answer = await (await send(path, { method: "POST", headers, body: text.value })).json();
        result.append(outcome(answer));
      } catch (error) {
        result.append(problem(error));
        throw error;
      }
    });
  });
  body.append(h("p", { class: "hint" }, "One call, under the function’s own limits; filters and retries do not apply."), form, result);
  fill();
  return store.watch(fill);
}

function outcome(answer) {
  const isGood = answer.outcome === "emitted";
  return h("div", { class: "outcome" },
    h("h2", {}, "Outcome"),
    h("p", {}, h("span", { class: `badge ${isGood ? "running" : "failed"}` }, answer.outcome),
      ` ${answer.start} start, ${format.duration(answer.duration_ms / 1000)}`),
    answer.message ? h("pre", { class: "bad" }, answer.message) : null,
    (answer.emissions ?? []).map((emission) => h("article", { class: "card" },
      h("h3", {}, `${emission.output} → ${emission.topic}`),
      emission.written ? h("p", {}, "Written to ", h("a", {
        href: `#/events/${part(emission.topic)}/${emission.written.partition}/${emission.written.offset}`,
      }, `${emission.topic}/${emission.written.partition}/${emission.written.offset}`)) : null,
      h("pre", {}, JSON.stringify(emission.event, null, 2)))),
    (answer.logs ?? []).length ? [h("h3", {}, "It wrote"), h("pre", {}, answer.logs.map(({ level, line }) => `${level}  ${line}`).join("\n"))] : null);
}
