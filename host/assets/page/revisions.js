// A function's revisions and its configuration.

import { get, part, post } from "./api.js";
import { act, cell, h, problem, table } from "./dom.js";
import * as format from "./format.js";
import { upload } from "./deploy.js";
import * as store from "./store.js";

export function revisions(body, name) {
  const list = h("div", {});
  const draw = async () => {
    try {
      const { revisions: all } = await get(`/v1/functions/${part(name)}/revisions`);
      const columns = [{ title: "Revision", end: true }, "Deployed", "Shape", { title: "Module", end: true }, "Digest", "Restores", ""];
      list.replaceChildren(table(`Revisions of ${name}`, columns, all.map((one) => h("tr", {},
        cell(String(one.revision), true), cell(format.moment(one.deployed_at)), cell(one.shape), cell(format.bytes(one.module_bytes), true),
        cell(h("code", { title: one.digest }, one.digest.slice(7, 19))), cell(one.restores ? String(one.restores) : ""),
        cell(one.live ? h("span", { class: "badge running" }, "live") : back(one.revision))))));
    } catch (error) {
      list.replaceChildren(problem(error));
    }
  };
  const back = (revision) => h("button", {
    type: "button",
    "aria-label": `Roll back to revision ${revision}`,
    onclick: async (event) => {
      await act(event.target, (answer) => `${name} is at revision ${answer.revision} now, which is ${revision} again`,
        () => post(`/v1/functions/${part(name)}/rollback`, { revision }));
      await store.refresh();
      await draw();
    },
  }, "Roll back");
  body.append(h("p", { class: "hint" }, "The function’s place in its topics stays when it is rolled back."), list);
  draw();
}

export function configuration(body, name) {
  const text = h("textarea", { id: "manifest", rows: 24, spellcheck: "false" });
  const button = h("button", { type: "submit", class: "primary" }, "Change it");
  const result = h("div", {});
  const form = h("form", {}, h("label", { for: "manifest" }, "The manifest, with every default filled in"), text, h("menu", {}, button));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    result.replaceChildren();
    const answer = await act(button, (done) => `${name} is at revision ${done.revision} now`,
      () => upload(name, text.value, null).catch((error) => { result.append(problem(error)); throw error; }));
    if (answer) await store.refresh();
  });
  body.append(form, result);
  get(`/v1/functions/${part(name)}`)
    .then(({ manifest }) => {
      text.value = JSON.stringify(manifest, null, 2);
      if (/"\*+"|hidden/.test(text.value)) {
        button.disabled = true;
        form.append(h("p", { class: "hint" }, "Values that may be secrets are hidden, so it can’t be changed here: deploy its file."));
      }
    })
    .catch((error) => result.append(problem(error)));
}
