//! Lesson 4: named outputs, and the difference between a result that is bad news and a record that is broken.
//!
//! A bid that breaks the auction's rules is a *result*: it goes to the output `rejected` with the reason, for the bidder
//! to see. Data that isn't a bid has no result: the function rejects the record, and it becomes a dead letter.

use millstream_sdk::{Emission, Event, Failure};
use serde::{Deserialize, Serialize};

/// The data of `auction.bid.placed`.
#[derive(Deserialize, Serialize)]
struct Bid {
    item: String,
    bidder: String,
    /// In the smallest unit of the currency. Signed, for a negative amount is a bid that can be read, if a bad one.
    amount: i64,
}

/// The data of `auction.bid.rejected`.
#[derive(Serialize)]
struct RejectedBid<'a> {
    #[serde(flatten)]
    bid: &'a Bid,
    reason: &'a str,
}

#[millstream_sdk::function]
pub fn place_bid(event: Event<'_>) -> Result<Emission<'_>, Failure> {
    let bid: Bid = event.json()?;
    // The key of the bid, its item, stays the key of both: consumers of the outputs see an item's bids in order.
    let emission = match broken_rule(&bid) {
        None => Emission::json(&bid)?.type_("auction.bid.accepted"),
        Some(reason) => {
            let rejected = RejectedBid { bid: &bid, reason };
            Emission::json(&rejected)?.type_("auction.bid.rejected").output("rejected")
        }
    };
    Ok(emission.subject(bid.item))
}

fn broken_rule(bid: &Bid) -> Option<&'static str> {
    if bid.item.trim().is_empty() {
        return Some("the bid names no item");
    }
    if bid.bidder.trim().is_empty() {
        return Some("the bid names no bidder");
    }
    if bid.amount <= 0 {
        return Some("the amount is not above zero");
    }
    None
}

#[cfg(test)]
mod tests {
    use millstream_sdk::testing::{self, Outcome};
    use serde_json::{Value, json};

    use super::*;

    fn place(bid: &Value) -> Outcome {
        testing::event().type_("auction.bid.placed").key("lamp").json(bid).run(place_bid)
    }

    #[test]
    fn a_good_bid_is_accepted() {
        let bid = json!({ "item": "lamp", "bidder": "ann", "amount": 120 });
        let outcome = place(&bid);
        let accepted = outcome.assert_emitted(1).assert_output("default").emission(0);
        assert_eq!((accepted.type_(), accepted.subject()), (Some("auction.bid.accepted"), Some("lamp")));
        assert_eq!(accepted.key(), Some(&b"lamp"[..]));
        assert_eq!(accepted.json::<Value>(), bid);
    }

    #[test]
    fn quotes_and_other_alphabets_are_no_obstacle() {
        let data = r#"{ "item": "a \"green\" lamp", "bidder": "J\u00fcrgen", "amount": 1 }"#;
        let outcome = testing::event().data(data).run(place_bid);
        let accepted = outcome.assert_output("default").emission(0);
        assert_eq!(accepted.subject(), Some(r#"a "green" lamp"#));
        assert_eq!(accepted.json::<Value>()["bidder"], "Jürgen");
    }

    #[test]
    fn a_bid_that_breaks_a_rule_is_told_why() {
        for (bid, reason) in [
            (json!({ "item": "lamp", "bidder": "ann", "amount": 0 }), "amount"),
            (json!({ "item": "lamp", "bidder": "ann", "amount": -5 }), "amount"),
            (json!({ "item": "lamp", "bidder": " ", "amount": 5 }), "bidder"),
            (json!({ "item": "", "bidder": "ann", "amount": 5 }), "item"),
        ] {
            let outcome = place(&bid);
            let rejected = outcome.assert_emitted(1).assert_output("rejected").emission(0);
            assert_eq!(rejected.type_(), Some("auction.bid.rejected"));
            let data: Value = rejected.json();
            assert!(data["reason"].as_str().unwrap().contains(reason), "{data}");
            assert_eq!((&data["bidder"], &data["amount"]), (&bid["bidder"], &bid["amount"]));
        }
    }

    #[test]
    fn what_is_no_bid_becomes_a_dead_letter() {
        place(&json!({ "item": "lamp" })).assert_rejected("missing field `bidder`");
        place(&json!({ "item": "lamp", "bidder": "ann", "amount": "much" })).assert_rejected("invalid type");
        testing::event().data("a hundred for the lamp!").run(place_bid).assert_rejected("the JSON cannot be read");
    }
}
