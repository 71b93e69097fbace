// Short ways to write what wit/ describes.

/** The data of an event, read as JSON. What is none is rejected. */
export function json(event) {
  try {
    return JSON.parse(new TextDecoder().decode(event.data)) ?? {};
  } catch (error) {
    reject(`the data is no JSON: ${error.message}`);
  }
}

/**
 * An event with this data, as JSON, for the output "default" with the key of the record. `more` says otherwise: `output`,
 * `key` (see `key` below), `type`, `subject`, `extensions` and whatever else wit/types.wit lists.
 */
export function emission(data, more = {}) {
  return {
    key: { tag: "inherit" },
    datacontenttype: "application/json",
    extensions: [],
    headers: [],
    data: new TextEncoder().encode(JSON.stringify(data)),
    ...more,
  };
}

/** The key of an emission, of a text. */
export function key(text) {
  return { tag: "bytes", val: new TextEncoder().encode(text) };
}

/** Gives the record up: it becomes a dead letter at once. */
export function reject(reason) {
  throw { tag: "reject", val: reason };
}

/** Asks for another attempt, after so many milliseconds where they are given. */
export function retry(reason, after) {
  throw { tag: "retry", val: { reason, after: after === undefined ? undefined : BigInt(after) } };
}
