// A function's dead letters: looked through, and driven through the function again.

import { get, part, post } from "./api.js";
import { act, h, problem } from "./dom.js";
import * as format from "./format.js";

export function letters(body, name) {
  const path = `/v1/functions/${part(name)}/dead-letters`;
  const list = h("div", { "aria-live": "polite" });
  const again = h("button", { type: "button", class: "primary" }, "Redrive all");
  const look = h("button", { type: "button" }, "Look again");
  body.append(h("div", { class: "bar" }, look, again),
    h("p", { class: "hint" }, "Records that were given up, the newest first. A redriven one goes through the live revision again, after those of its key."), list);
  const draw = async () => {
    try {
      const { dead_letters: all } = await get(`${path}?limit=100`);
      again.hidden = all.length === 0;
      list.replaceChildren(...(all.length ? all.map((one) => letter(path, one, draw)) : [h("p", { class: "empty" }, "There are none.")]));
    } catch (error) {
      again.hidden = true;
      list.replaceChildren(problem(error));
    }
  };
  look.addEventListener("click", draw);
  again.addEventListener("click", async () => {
    await act(again, ({ redriven }) => `${format.count(redriven)} records go through ${name} again`, () => post(`${path}/redrive`, {}));
    await draw();
  });
  draw();
}

function letter(path, one, draw) {
  const inside = h("div", {});
  const open = async () => {
    if (inside.firstChild) return;
    try {
      const whole = await get(`${path}/${one.partition}/${one.offset}`);
      inside.append(h("pre", {}, JSON.stringify(whole, null, 2)));
    } catch (error) {
      inside.append(problem(error));
    }
  };
  const again = h("button", {
    type: "button",
    onclick: async (event) => {
      const places = [{ partition: one.partition, offset: one.offset }];
      await act(event.target, "It goes through the function again", () => post(`${path}/redrive`, { places }));
      await draw();
    },
  }, "Redrive");
  return h("article", { class: "card letter" },
    h("header", {}, h("h3", {}, one.error_class), h("span", { class: "hint" }, one.time ? format.moment(one.time) : "")),
    h("p", { class: "bad" }, one.error_message),
    h("details", { ontoggle: open }, h("summary", {}, "The whole record"), inside),
    h("menu", {}, again));
}
