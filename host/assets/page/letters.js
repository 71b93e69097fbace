// A function's dead letters: looked through, and handled again.

import { get, part, post } from "./api.js";
import { act, h, problem } from "./dom.js";
import * as format from "./format.js";

export function letters(body, name) {
  const path = `/v1/functions/${part(name)}/dead-letters`;
  const list = h("div", { "aria-live": "polite" });
  const older = h("button", { type: "button", hidden: true }, "Older ones");
  const all = h("button", { type: "button", class: "primary", hidden: true }, "Redrive all");
  const look = h("button", { type: "button" }, "Look again");
  body.append(h("div", { class: "bar" }, look, all),
    h("p", { class: "hint" }, "Records that were given up, the newest first. The live revision handles a redriven one; each is redriven once."),
    list, h("menu", {}, older));
  let from = null;
  const draw = async (more) => {
    try {
      const answer = await get(`${path}?limit=50${more ? `&from=${part(from)}` : ""}`);
      from = answer.older ?? null;
      older.hidden = !from;
      const shown = answer.letters.map((one) => letter(path, answer.topic, one, () => draw(false)));
      all.hidden = !more && shown.length === 0;
      if (more) list.append(...shown);
      else list.replaceChildren(...(shown.length ? shown : [h("p", { class: "empty" }, "There are none.")]));
    } catch (error) {
      list.replaceChildren(problem(error));
    }
  };
  look.addEventListener("click", () => draw(false));
  older.addEventListener("click", () => draw(true));
  all.addEventListener("click", async () => {
    await act(all, told, async () => {
      const sum = { emitted: 0, failed: 0, passed_over: 0 };
      let left;
      // Some hundred a request.
      do {
        const answer = await post(`${path}/redrive`, { all: true, ...(left ? { left } : {}) });
        for (const key of Object.keys(sum)) sum[key] += answer[key];
        left = answer.left;
      } while (left);
      return sum;
    });
    await draw(false);
  });
  draw(false);
}

/** What became of letters. */
const told = ({ emitted, failed, passed_over: passed }) =>
  `${emitted} led to what the function emits, ${failed} are dead letters again${passed ? `, ${passed} were passed over` : ""}`;

function letter(path, topic, one, redraw) {
  const place = { partition: one.partition, offset: one.offset };
  const again = (more) => async (event) => {
    await act(event.target, told, () => post(`${path}/redrive`, { letters: [place], ...more() }));
    await redraw();
  };
  const inside = h("div", {});
  const open = async () => {
    if (inside.firstChild) return;
    try {
      const whole = await get(`${path}/${one.partition}/${one.offset}`);
      inside.append(record(whole, again, `${one.partition}-${one.offset}`));
    } catch (error) {
      inside.append(problem(error));
    }
  };
  const source = `${one.source.topic}/${one.source.partition}/${one.source.offset}`;
  return h("article", { class: "card letter" },
    h("header", {}, h("h3", {}, one.class), h("span", { class: "hint" },
      `${one.time ? format.moment(one.time) : ""}, by ${one.function}, after ${one.attempts} attempt${one.attempts === 1 ? "" : "s"}`),
      one.redriven ? h("span", { class: `badge ${one.redriven.outcome === "emitted" ? "running" : "failed"}` },
        `redriven: ${one.redriven.outcome}`) : null),
    h("p", { class: "bad" }, one.message),
    h("p", { class: "hint" }, "record ", h("a", { href: `#/events/${part(one.source.topic)}/${one.source.partition}/${one.source.offset}` }, source),
      one.key ? `, key ${one.key}` : "", ", dead letter ",
      h("a", { href: `#/events/${part(topic)}/${one.partition}/${one.offset}` }, `${topic}/${one.partition}/${one.offset}`)),
    h("details", { ontoggle: open }, h("summary", {}, "The whole record"), inside),
    one.redriven ? null : h("menu", {}, h("button", { type: "button", onclick: again(() => ({})) }, "Redrive")));
}

/** A record with its value, which may be mended before it is handled again. */
function record(whole, again, id) {
  const headers = h("dl", { class: "facts" }, whole.headers.map(({ name, value, value_base64: base64 }) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, value ?? (base64 ? `base64 ${base64}` : "none")))));
  if (whole.value === undefined) {
    return h("div", {}, headers, h("pre", {}, whole.value_base64 ?? "no value"));
  }
  const text = h("textarea", { id: `value-${id}`, rows: 6, spellcheck: "false" });
  text.value = whole.value;
  return h("div", {}, headers, h("label", { for: `value-${id}` }, "Its value"), text,
    h("menu", {}, h("button", { type: "button", onclick: again(() => ({ value: text.value })) }, "Redrive with this value")));
}
