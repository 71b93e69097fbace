// Deploys a function: its manifest and its module, chosen or dropped.

import { send } from "./api.js";
import { act, h, problem } from "./dom.js";
import * as store from "./store.js";

/** The name that a manifest gives: TOML, or JSON. */
export function nameIn(manifest) {
  try {
    return JSON.parse(manifest).name ?? null;
  } catch {
    return /^\s*name\s*=\s*["']([^"']+)["']/m.exec(manifest)?.[1] ?? null;
  }
}

export function deploy(main) {
  const chosen = { manifest: null, module: null };
  const manifest = h("input", { type: "file", id: "manifest-file", accept: ".toml,.json" });
  const module = h("input", { type: "file", id: "module-file", accept: ".wasm,.wat" });
  const text = h("textarea", { id: "manifest-text", rows: 14, spellcheck: "false", autocomplete: "off" });
  const told = h("p", { class: "hint", role: "status" });
  const result = h("div", {});
  const button = h("button", { type: "submit", class: "primary" }, "Deploy");
  const take = async (file) => {
    if (/\.(wasm|wat)$/.test(file.name)) chosen.module = file;
    else { chosen.manifest = file; text.value = await file.text(); }
    const name = nameIn(text.value);
    told.textContent = [
      name ? `Function ${name}.` : "The manifest gives no name yet.",
      chosen.module ? `Module ${chosen.module.name}, ${Math.ceil(chosen.module.size / 1024)} KiB.` : "No module yet: a known function keeps its own.",
    ].join(" ");
  };
  manifest.addEventListener("change", () => [...manifest.files].forEach(take));
  module.addEventListener("change", () => [...module.files].forEach(take));
  const form = h("form", { class: "drop", "aria-describedby": "drop-hint" },
    h("p", { id: "drop-hint" }, "Drop a ", h("code", {}, "millstream.toml"), " and a ", h("code", {}, ".wasm"), " file here, or choose them:"),
    h("div", { class: "fields" },
      h("div", {}, h("label", { for: "manifest-file" }, "Manifest"), manifest),
      h("div", {}, h("label", { for: "module-file" }, "Module"), module)),
    h("label", { for: "manifest-text" }, "The manifest, to be looked over"), text, told,
    h("menu", {}, button));
  form.addEventListener("dragover", (event) => { event.preventDefault(); form.classList.add("over"); });
  form.addEventListener("dragleave", () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    [...event.dataTransfer.files].forEach(take);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    result.replaceChildren();
    const name = nameIn(text.value);
    if (!name) {
      result.append(problem(new Error("The manifest gives no name: write name = \"…\" into it.")));
      return;
    }
    const done = await act(button, (answer) => `${name} is at revision ${answer.revision}: ${answer.state}`,
      () => upload(name, text.value, chosen.module).catch((error) => { result.append(problem(error)); throw error; }));
    if (done) {
      await store.refresh();
      location.hash = `#/functions/${encodeURIComponent(name)}`;
    }
  });
  main.append(h("h1", {}, "Deploy a function"), form, result);
}

/** Sends a manifest with its module, or alone to a function that is there. */
export async function upload(name, manifest, module) {
  const isJson = manifest.trimStart().startsWith("{");
  const type = isJson ? "application/json" : "application/toml";
  const path = `/v1/functions/${encodeURIComponent(name)}`;
  if (!module) {
    const answer = await send(`${path}/manifest?wait=30s`, { method: "PUT", headers: { "content-type": type }, body: manifest });
    return answer.json();
  }
  const form = new FormData();
  form.append("manifest", new Blob([manifest], { type }), isJson ? "manifest.json" : "millstream.toml");
  form.append("module", new Blob([module], { type: "application/wasm" }), module.name);
  return (await send(`${path}?wait=30s`, { method: "PUT", body: form })).json();
}
