// What functions used on this host.

import { get, send } from "./api.js";
import { cell, h, problem, table, toast } from "./dom.js";
import * as format from "./format.js";

const PERIODS = [["1h", "the last hour"], ["1d", "the last day"], ["7d", "the last 7 days"], ["32d", "the last 32 days"]];
const COLUMNS = ["Function", ...["Invocations", "Calls", "GB·s", "CPU s", "Wall s", "Bytes in", "Bytes out"].map((title) => ({ title, end: true }))];

export function usage(main) {
  const period = h("select", { id: "period" }, PERIODS.map(([value, text]) => h("option", { value }, text)));
  const result = h("div", { "aria-live": "polite" });
  const draw = async () => {
    try {
      const answer = await get(`/v1/usage?from=${period.value}`);
      const amount = (value) => value.toFixed(3);
      result.replaceChildren(
        h("p", { class: "hint" }, `${format.moment(answer.from)} to ${format.moment(answer.to)}. Each host tells its own.`),
        answer.functions.length === 0 ? h("p", { class: "empty" }, "Nothing was used.")
          : table("Usage by function", COLUMNS, answer.functions.map((used) => h("tr", {},
              cell(used.function), cell(format.count(used.invocations), true), cell(format.count(used.calls), true),
              cell(amount(used.gb_seconds), true), cell(amount(used.cpu_seconds), true), cell(amount(used.wall_seconds), true),
              cell(format.bytes(used.bytes_in), true), cell(format.bytes(used.bytes_out), true)))));
    } catch (error) {
      result.replaceChildren(problem(error));
    }
  };
  const save = async () => {
    try {
      const csv = await (await send(`/v1/usage?format=csv&from=${period.value}`)).blob();
      const link = h("a", { href: URL.createObjectURL(csv), download: "millstream-usage.csv" });
      link.click();
      URL.revokeObjectURL(link.href);
    } catch (error) {
      toast(error.message, "bad");
    }
  };
  period.addEventListener("change", draw);
  main.append(h("h1", {}, "Usage"),
    h("div", { class: "bar" }, h("label", { for: "period" }, "Of"), period, h("button", { type: "button", onclick: save }, "Save as CSV")), result);
  draw();
}
