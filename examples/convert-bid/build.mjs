// A component with a JavaScript engine that has already started and has read the handler.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { componentize } from "@bytecodealliance/componentize-js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { component } = await componentize(readFileSync(here("handler.js"), "utf8"), {
  sourceName: "handler.js",
  witPath: here("wit/http.wit"),
  worldName: "http",
});
mkdirSync(here("build"), { recursive: true });
writeFileSync(here("build/convert_bid.wasm"), component);
