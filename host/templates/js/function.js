// Greets whoever an event names.
import { emission, json, reject } from "./millstream.js";

export const handler = {
  handle(event) {
    const { name } = json(event);
    // What is no visitor will never be one: a dead letter at once.
    if (typeof name !== "string") reject("the data names nobody");
    return [emission({ greeting: `Hello, ${name}` }, { type: "visitor.greeted" })];
  },
};
