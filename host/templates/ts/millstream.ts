// The types of wit/, and short ways to write them.

/** A Kafka header. Its value may be missing, which is something else than being empty. */
export interface Header {
  name: string;
  value?: Uint8Array;
}

/** A CloudEvent, made from one Kafka record. */
export interface Event {
  id: string;
  source: string;
  type: string;
  subject?: string;
  time?: string;
  datacontenttype?: string;
  dataschema?: string;
  extensions: [name: string, value: string][];
  /** Missing for a record without a value: a tombstone. */
  data?: Uint8Array;
  context: {
    topic: string;
    partition: number;
    offset: bigint;
    key?: Uint8Array;
    headers: Header[];
    timestamp?: bigint;
    /** 1 for the first. */
    attempt: number;
    deadline: bigint;
  };
}

/** An event that is emitted. The host fills in the id, source and type that are not given. */
export interface Emission {
  /** A name from the manifest's [outputs]. */
  output?: string;
  key: { tag: "inherit" } | { tag: "none" } | { tag: "bytes"; val: Uint8Array };
  id?: string;
  source?: string;
  type?: string;
  subject?: string;
  time?: string;
  datacontenttype?: string;
  dataschema?: string;
  extensions: [name: string, value: string][];
  headers: Header[];
  data?: Uint8Array;
}

/** The data of an event, read as JSON. What is none is rejected. */
export function json(event: Event): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(event.data)) ?? {};
  } catch (error) {
    reject(`the data is no JSON: ${(error as Error).message}`);
  }
}

/** An event with this data, as JSON, for the output "default" with the key of the record. `more` says otherwise. */
export function emission(data: unknown, more: Partial<Emission> = {}): Emission {
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
export function key(text: string): Emission["key"] {
  return { tag: "bytes", val: new TextEncoder().encode(text) };
}

/** Gives the record up: it becomes a dead letter at once. */
export function reject(reason: string): never {
  throw { tag: "reject", val: reason };
}

/** Asks for another attempt, after so many milliseconds where they are given. */
export function retry(reason: string, after?: number): never {
  throw { tag: "retry", val: { reason, after: after === undefined ? undefined : BigInt(after) } };
}
