//! Lesson 6: one event in, many out, each with a key of its own.
//!
//! Everyone who took part in an auction gets a notification of the result. The events are emitted as a whole or not at
//! all: a crash between two of them cannot notify the winner and forget the seller.

use millstream_sdk::{Emission, Event, Failure};
use serde::{Deserialize, Serialize};

/// The data of `auction.item.validated`.
#[derive(Deserialize)]
struct ValidatedItem {
    item: String,
    seller: String,
    winner: Option<String>,
    price: Option<u64>,
    losers: Vec<String>,
}

/// The data of `auction.bidder.notified`.
#[derive(Serialize)]
struct Notification<'a> {
    person: &'a str,
    role: Role,
    item: &'a str,
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Seller,
    Winner,
    Loser,
}

#[millstream_sdk::function]
pub fn notify_bidders(event: Event<'_>) -> Result<Vec<Emission<'_>>, Failure> {
    let sold: ValidatedItem = event.json()?;
    notifications(&sold).iter().map(emission).collect()
}

fn notifications(sold: &ValidatedItem) -> Vec<Notification<'_>> {
    let item = &sold.item;
    let tell = |person, role, message| Notification { person, role, item, message };
    let Some(winner) = &sold.winner else {
        return vec![tell(&sold.seller, Role::Seller, format!("nobody bid for your {item}"))];
    };
    let price = sold.price.unwrap_or_default();
    let mut all = vec![
        tell(&sold.seller, Role::Seller, format!("your {item} was sold to {winner} for {price}")),
        tell(winner, Role::Winner, format!("the {item} is yours for {price}")),
    ];
    all.extend(sold.losers.iter().map(|loser| {
        let message = format!("the {item} went to somebody else for {price}");
        tell(loser, Role::Loser, message)
    }));
    all
}

fn emission(notification: &Notification<'_>) -> Result<Emission<'static>, Failure> {
    let emission = Emission::json(notification)?.type_("auction.bidder.notified");
    // Keyed by the person instead of the item: the messages to one person stay in order.
    Ok(emission.key(notification.person.to_owned()).subject(notification.person.to_owned()))
}

#[cfg(test)]
mod tests {
    use millstream_sdk::testing::{self, Outcome};
    use serde_json::{Value, json};

    use super::*;

    fn notify(item: &Value) -> Outcome {
        testing::event().type_("auction.item.validated").key("lamp").json(item).run(notify_bidders)
    }

    #[test]
    fn seller_winner_and_each_loser_are_told() {
        let item = json!({ "item": "lamp", "seller": "sue", "winner": "bob", "price": 120, "losers": ["ann", "cy"] });
        let outcome = notify(&item);
        outcome.assert_emitted(4).assert_output("default");
        for (index, (person, role)) in
            [("sue", "seller"), ("bob", "winner"), ("ann", "loser"), ("cy", "loser")].into_iter().enumerate()
        {
            let told = outcome.emission(index);
            assert_eq!((told.type_(), told.subject()), (Some("auction.bidder.notified"), Some(person)));
            assert_eq!(told.key(), Some(person.as_bytes()));
            let data: Value = told.json();
            assert_eq!((&data["person"], &data["role"], &data["item"]), (&json!(person), &json!(role), &json!("lamp")));
            assert!(data["message"].as_str().unwrap().contains("120"), "{data}");
        }
    }

    #[test]
    fn a_seller_whose_item_nobody_wanted_is_told_so() {
        let outcome = notify(&json!({ "item": "lamp", "seller": "sue", "winner": null, "price": null, "losers": [] }));
        let data: Value = outcome.assert_emitted(1).emission(0).json();
        assert_eq!(data["message"], "nobody bid for your lamp");
    }

    #[test]
    fn another_events_data_becomes_a_dead_letter() {
        notify(&json!({ "item": "lamp", "bidder": "ann" })).assert_rejected("missing field");
    }
}
