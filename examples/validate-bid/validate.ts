// Lesson 9: a function in TypeScript.
//
// It lets well-formed bids through, and gives up what is none, each with every reason at once, so that whoever reads the
// dead letter need not guess. What is given up is never tried again: the same bytes would be as wrong.

type Rule = [field: string, check: (value: unknown) => boolean, wanted: string];

const RULES: Rule[] = [
  ["item", (value) => typeof value === "string" && value !== "", "a text"],
  ["bidder", (value) => typeof value === "string" && value !== "", "a text"],
  ["amount", (value) => Number.isSafeInteger(value) && (value as number) > 0, "a whole number above zero"],
];

// The parts of the types in wit/ that it uses. A failure is thrown.
interface Event {
  data?: Uint8Array;
}

function reject(reason: string): never {
  throw { tag: "reject", val: reason };
}

function parse(data: Uint8Array | undefined): Record<string, unknown> {
  try {
    const bid = JSON.parse(new TextDecoder().decode(data));
    if (bid !== null && typeof bid === "object") return bid;
  } catch {
    // The same as any other value that is no bid.
  }
  reject("the data is no JSON object");
}

export const handler = {
  handle(event: Event) {
    const bid = parse(event.data);
    const wrong = RULES.filter(([field, check]) => !check(bid[field]));
    if (wrong.length > 0) {
      reject(wrong.map(([field, , wanted]) => `${field} is not ${wanted}`).join("; "));
    }
    const data = new TextEncoder().encode(JSON.stringify(bid));
    return [
      {
        key: { tag: "bytes", val: new TextEncoder().encode(bid.item as string) },
        type: "auction.bid.placed",
        datacontenttype: "application/json",
        extensions: [],
        headers: [],
        data,
      },
    ];
  },
};
