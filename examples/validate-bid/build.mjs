// TypeScript to JavaScript in one file, and that to a component with a JavaScript engine that has already started.
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { componentize } from "@bytecodealliance/componentize-js";
import { buildSync } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const bundle = buildSync({
  entryPoints: [here("validate.ts")],
  bundle: true,
  format: "esm",
  write: false,
});
const { component } = await componentize(bundle.outputFiles[0].text, {
  witPath: here("../../wit"),
  worldName: "function",
  // A function has no use for them: outgoing requests are denied, and it is called by its export.
  disableFeatures: ["http", "fetch-event"],
});
mkdirSync(here("build"), { recursive: true });
writeFileSync(here("build/validate_bid.wasm"), component);
