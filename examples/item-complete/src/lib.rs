//! Lesson 5: enrich an event from what it carries.
//!
//! A completed item carries its bids, so the function needs neither a database nor a call to another service: it works
//! out winner, price and losers, and emits a new event of another type.

use std::collections::BTreeSet;

use millstream_sdk::{Emission, Event, Failure};
use serde::{Deserialize, Serialize};

/// The data of `auction.item.completed`.
#[derive(Deserialize)]
struct CompletedItem {
    item: String,
    seller: String,
    /// In the order in which they were accepted.
    bids: Vec<Bid>,
}

#[derive(Deserialize)]
struct Bid {
    bidder: String,
    amount: u64,
}

/// The data of `auction.item.validated`.
#[derive(Serialize)]
struct ValidatedItem<'a> {
    item: &'a str,
    seller: &'a str,
    /// `None` if there was no bid.
    winner: Option<&'a str>,
    /// What the winner pays.
    price: Option<u64>,
    /// Everybody else who bid, each once.
    losers: BTreeSet<&'a str>,
}

#[millstream_sdk::function]
pub fn item_complete(event: Event<'_>) -> Result<Emission<'_>, Failure> {
    let completed: CompletedItem = event.json()?;
    if completed.seller.trim().is_empty() {
        return Err(Failure::reject(format!("the item {:?} has no seller", completed.item)));
    }
    let validated = Emission::json(&validate(&completed))?;
    // `source` and `id` are left to the host, whose ids are the same when a record is handled again.
    Ok(validated.type_("auction.item.validated").subject(completed.item))
}

fn validate(completed: &CompletedItem) -> ValidatedItem<'_> {
    let winning = highest(&completed.bids);
    let winner = winning.map(|bid| bid.bidder.as_str());
    let bidders = completed.bids.iter().map(|bid| bid.bidder.as_str());
    ValidatedItem {
        item: &completed.item,
        seller: &completed.seller,
        winner,
        price: winning.map(|bid| bid.amount),
        losers: bidders.filter(|bidder| Some(*bidder) != winner).collect(),
    }
}

/// The highest bid; of two that are equal, the one that came first.
fn highest(bids: &[Bid]) -> Option<&Bid> {
    bids.iter().reduce(|highest, bid| if bid.amount > highest.amount { bid } else { highest })
}

#[cfg(test)]
mod tests {
    use millstream_sdk::testing::{self, Outcome};
    use serde_json::{Value, json};

    use super::*;

    fn complete(item: &Value) -> Outcome {
        testing::event().type_("auction.item.completed").key("lamp").json(item).run(item_complete)
    }

    fn bid(bidder: &str, amount: u64) -> Value {
        json!({ "bidder": bidder, "amount": amount })
    }

    #[test]
    fn the_highest_bid_wins_and_everybody_else_loses_once() {
        let bids = [bid("ann", 100), bid("bob", 120), bid("cy", 110), bid("ann", 115)];
        let outcome = complete(&json!({ "item": "lamp", "seller": "sue", "bids": bids }));
        let validated = outcome.assert_emitted(1).assert_output("default").emission(0);
        assert_eq!((validated.type_(), validated.subject()), (Some("auction.item.validated"), Some("lamp")));
        assert_eq!(validated.key(), Some(&b"lamp"[..]));
        let expected = json!({
            "item": "lamp", "seller": "sue", "winner": "bob", "price": 120, "losers": ["ann", "cy"]
        });
        assert_eq!(validated.json::<Value>(), expected);
    }

    #[test]
    fn of_two_equal_bids_the_first_wins() {
        let bids = [bid("ann", 100), bid("bob", 100)];
        let outcome = complete(&json!({ "item": "lamp", "seller": "sue", "bids": bids }));
        assert_eq!(outcome.emission(0).json::<Value>()["winner"], "ann");
    }

    #[test]
    fn an_item_that_nobody_wanted_has_no_winner() {
        let outcome = complete(&json!({ "item": "lamp", "seller": "sue", "bids": [] }));
        let data: Value = outcome.emission(0).json();
        assert_eq!((&data["winner"], &data["price"], &data["losers"]), (&Value::Null, &Value::Null, &json!([])));
    }

    #[test]
    fn an_item_without_a_seller_becomes_a_dead_letter() {
        complete(&json!({ "item": "lamp", "seller": "", "bids": [] })).assert_rejected("no seller");
        complete(&json!({ "item": "lamp", "bids": [] })).assert_rejected("missing field `seller`");
    }
}
