// What a function writes, as it writes it.

import { follow, part } from "./api.js";
import { h, problem } from "./dom.js";

const MOST = 500;
const LEVELS = ["trace", "debug", "info", "warn", "error", "critical"];

export function logs(body, name) {
  const level = h("select", { id: "level" }, LEVELS.map((value) => h("option", { value }, value)));
  const pause = h("button", { type: "button", "aria-pressed": "false" }, "Hold");
  const lines = h("ol", { class: "log", role: "log", tabindex: "0", "aria-label": `What ${name} writes` });
  const note = h("p", { class: "hint", role: "status" }, "Nothing was written yet on this host.");
  body.append(h("div", { class: "bar" }, h("label", { for: "level" }, "As important as"), level, pause), note, lines);
  let ending = new AbortController();
  let held = false;
  const show = (element) => {
    note.textContent = "";
    const isAtEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
    lines.append(element);
    while (lines.children.length > MOST) lines.firstChild.remove();
    if (isAtEnd && !held) lines.scrollTop = lines.scrollHeight;
  };
  const hear = ({ event, data }) => {
    if (event === "missed") show(h("li", { class: "missed" }, `${data} lines were missed`));
    if (event !== "line") return;
    const line = JSON.parse(data);
    show(h("li", { class: line.level },
      h("time", { datetime: line.time }, line.time.slice(11, 23)), h("span", { class: "level" }, line.level),
      h("span", { class: "hint" }, `@${line.revision}`), h("span", { class: "text" }, line.line)));
  };
  const start = async () => {
    ending.abort();
    const own = (ending = new AbortController());
    lines.replaceChildren();
    while (!own.signal.aborted) {
      try {
        await follow(`/v1/functions/${part(name)}/logs?follow=true&limit=200&level=${level.value}`, own.signal, hear);
      } catch (error) {
        if (own.signal.aborted) return;
        note.replaceChildren(problem(error));
      }
      await new Promise((resolve) => setTimeout(resolve, 3000));
      if (!own.signal.aborted) lines.replaceChildren();
    }
  };
  level.addEventListener("change", start);
  pause.addEventListener("click", () => {
    held = !held;
    pause.setAttribute("aria-pressed", String(held));
  });
  start();
  return () => ending.abort();
}
