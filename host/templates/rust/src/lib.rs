//! Greets the person whom an event names.

use millstream_sdk::{Emission, Event, Failure};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Visitor {
    name: String,
}

#[derive(Serialize)]
struct Greeting {
    greeting: String,
}

// It goes to the output `default` with the key of the event, unless it says otherwise.
#[millstream_sdk::function]
pub fn greet(event: Event<'_>) -> Result<Emission<'_>, Failure> {
    // What is not a visitor will never be one: `?` rejects it, and it becomes a dead letter at once.
    let visitor: Visitor = event.json()?;
    let greeting = Greeting { greeting: format!("Hello, {}", visitor.name) };
    Ok(Emission::json(&greeting)?.type_("visitor.greeted"))
}

#[cfg(test)]
mod tests {
    use millstream_sdk::testing;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_visitor_is_greeted() {
        let outcome = testing::event().key("door").json(&json!({ "name": "Zoë" })).run(greet);
        let greeting = outcome.assert_emitted(1).emission(0);
        assert_eq!(greeting.json::<Value>(), json!({ "greeting": "Hello, Zoë" }));
    }

    #[test]
    fn what_names_nobody_is_rejected() {
        testing::event().json(&json!({ "colour": "blue" })).run(greet).assert_rejected("missing field `name`");
    }
}
