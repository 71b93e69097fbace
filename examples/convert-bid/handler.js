// Lesson 11: a function is any HTTP handler.
//
// This one knows nothing of Kafka. An event arrives as a request in the HTTP binding of CloudEvents: attributes in ce-*
// headers, data in the body. What it answers is emitted; its status says what becomes of the event:
//
//   2xx                        what is in the answer is emitted; an empty body emits nothing
//   408, 429, 5xx              try again; Retry-After is heeded
//   any other 4xx              never try again: a dead letter, with the body as the reason

const EURO_CENTS = { EUR: 100, USD: 92, GBP: 117 };

addEventListener("fetch", (event) => event.respondWith(convert(event.request)));

async function convert(request) {
  const bid = await request.json().catch(() => null);
  const cents = EURO_CENTS[bid?.currency];
  if (cents === undefined) {
    return new Response(`no currency that is known: ${JSON.stringify(bid?.currency)}`, { status: 422 });
  }
  return Response.json(
    { ...bid, amount: (bid.amount * cents) / 100, currency: "EUR" },
    {
      headers: {
        "ce-specversion": "1.0",
        "ce-id": request.headers.get("ce-id"),
        "ce-source": "/examples/convert-bid",
        "ce-type": "auction.bid.converted",
      },
    },
  );
}
