//! Lesson 2: order and concurrency are the manifest's, not the code's.
//!
//! It reads `seq` from JSON data, sleeps for 0 to 4 ms, and emits its input: same key, same bytes. With
//! `ordering = "key"` the output has each key's `seq` in order, although the records took differently long and many
//! were handled at once.

use std::thread::sleep;
use std::time::Duration;

use millstream_sdk::{Emission, Event, Failure};
use serde::Deserialize;

/// The data. Fields that are not named here are ignored.
#[derive(Deserialize)]
struct Numbered {
    seq: u64,
}

#[millstream_sdk::function]
pub fn sleepy(event: Event<'_>) -> Result<Emission<'_>, Failure> {
    // `?` rejects any other JSON: the record is dead-lettered at once, because reading it again won't help.
    let Numbered { seq } = event.json()?;
    // A function has the standard library: clocks and sleep are the host's, through WASI.
    sleep(Duration::from_millis(fastrand::u64(0..=4)));
    // Standard output is the function's log.
    if seq % 10_000 == 0 {
        println!("seq {seq} has slept");
    }
    // What is forwarded keeps its bytes; nothing is copied but into the answer.
    Ok(Emission::forward(&event))
}

#[cfg(test)]
mod tests {
    use millstream_sdk::testing;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_input_comes_out_byte_for_byte() {
        let data = r#"{ "seq":7,  "other": "kept" }"#;
        let outcome = testing::event().key("k").data(data).run(sleepy);
        assert_eq!(outcome.assert_emitted(1).emission(0).text(), data);
        assert_eq!(outcome.emission(0).key(), Some(&b"k"[..]));
    }

    #[test]
    fn data_without_a_number_is_rejected() {
        testing::event().data("hello").run(sleepy).assert_rejected("the JSON cannot be read");
        testing::event().json(&json!({ "seq": "seven" })).run(sleepy).assert_rejected("invalid type");
        testing::event().tombstone().run(sleepy).assert_rejected("EOF");
    }
}
