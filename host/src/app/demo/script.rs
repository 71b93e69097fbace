//! The events of the demo's auction.

/// An input event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScriptedEvent {
    pub(crate) topic: &'static str,
    pub(crate) key: &'static str,
    pub(crate) type_: &'static str,
    pub(crate) data: &'static str,
}

const fn bid(item: &'static str, data: &'static str) -> ScriptedEvent {
    ScriptedEvent { topic: "bids", key: item, type_: "auction.bid.placed", data }
}

const fn complete(item: &'static str, data: &'static str) -> ScriptedEvent {
    ScriptedEvent { topic: "items.complete", key: item, type_: "auction.item.completed", data }
}

/// In this order. The bids of an item that is complete are part of its event, so nothing is fetched.
pub(crate) const SCRIPT: &[ScriptedEvent] = &[
    bid("lamp", r#"{"item":"lamp","bidder":"ann","amount":40}"#),
    bid("lamp", r#"{"item":"lamp","bidder":"ben","amount":55}"#),
    bid("clock", r#"{"item":"clock","bidder":"ben","amount":20}"#),
    bid("lamp", r#"{"item":"lamp","bidder":"cleo","amount":0}"#),
    ScriptedEvent {
        topic: "bids",
        key: "lamp",
        type_: "auction.item.viewed",
        data: r#"{"item":"lamp","viewer":"dan"}"#,
    },
    bid("lamp", r#"{"item":"lamp","bidder":"ann","amount":80}"#),
    bid("clock", "twenty-five, says dan"),
    bid("clock", r#"{"item":"clock","bidder":"dan","amount":30}"#),
    complete(
        "lamp",
        r#"{"item":"lamp","seller":"eve","bids":[{"bidder":"ann","amount":40},{"bidder":"ben","amount":55},{"bidder":"ann","amount":80}]}"#,
    ),
    complete(
        "clock",
        r#"{"item":"clock","seller":"finn","bids":[{"bidder":"ben","amount":20},{"bidder":"dan","amount":30}]}"#,
    ),
    complete("vase", r#"{"item":"vase","seller":"eve","bids":[]}"#),
];
