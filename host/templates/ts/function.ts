// Greets whoever an event names.
import { type Emission, type Event, emission, json, reject } from "./millstream";

export const handler = {
  handle(event: Event): Emission[] {
    const { name } = json(event) as { name?: unknown };
    // What is no visitor will never be one: a dead letter at once.
    if (typeof name !== "string") reject("the data names nobody");
    return [emission({ greeting: `Hello, ${name}` }, { type: "visitor.greeted" })];
  },
};
