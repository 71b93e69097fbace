//! Lesson 3: how the host handles a function that misbehaves.
//!
//! The data is a command. Most of them misbehave: the host ends the call, discards the sandbox, and retries the record or
//! dead-letters it with the reason. Other keys keep flowing meanwhile, and the next record of this key gets a new
//! sandbox.
//!
//! | command | what happens |
//! |---|---|
//! | `ok` | the data comes out again |
//! | `retry`, `retry-after`, `flaky:3` | asks for another attempt: always, after 200 ms, until the third |
//! | `reject` | rejects the record |
//! | `unknown-output` | emits to an output that the manifest does not know |
//! | `trap`, `loop`, `memory`, `recurse`, `sleep` | a fault: a panic, or more time or memory than there is |
//! | `output`, `emissions` | emits 8 MiB in 8 events, or 100,000 events |
//! | `logs` | prints 10 MB, of which the log keeps as much as `limits.logs` |
//! | `env`, `file`, `socket`, `http` | reports what it found when it looked out of its sandbox |
//! | `count` | reports how many calls this sandbox has served |

mod excess;
mod outside;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millstream_sdk::{Emission, Emissions, Event, Failure};

/// Lives as long as the sandbox. The host reuses a sandbox, or does not: never keep in it what must last.
static CALLS: AtomicU64 = AtomicU64::new(0);

#[millstream_sdk::function]
pub fn faults(event: Event<'_>) -> Result<Emissions<'_>, Failure> {
    let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    let command = event.text()?.trim();
    let (word, number) = command.split_once(':').unwrap_or((command, ""));
    let emission = match word {
        "ok" => Emission::forward(&event),
        "count" => Emission::new(calls.to_string()),

        // Failures are part of the contract: say what is wrong, and whether it may get better.
        "retry" => return Err(Failure::retry("told to ask for another attempt")),
        "retry-after" => {
            return Err(Failure::retry_after(Duration::from_millis(200), "told to ask for another attempt in 200 ms"));
        }
        "reject" => return Err(Failure::reject("told to give up")),
        "flaky" => {
            let succeeds_at: u32 = number.parse()?;
            if event.attempt() < succeeds_at {
                return Err(Failure::retry(format!("attempt {} of {succeeds_at}", event.attempt())));
            }
            Emission::forward(&event)
        }
        "unknown-output" => Emission::forward(&event).output("nowhere"),

        // Faults are not: the host ends the call.
        "trap" => panic!("told to panic"),
        "loop" => excess::run_forever(),
        "memory" => excess::take_all_memory(),
        "recurse" => Emission::new(excess::recurse(0).to_string()),
        "sleep" => {
            std::thread::sleep(Duration::from_secs(60));
            Emission::forward(&event)
        }
        "output" => return Ok(excess::emit_much()),
        "emissions" => return Ok(excess::emit_many()),
        "logs" => {
            excess::print_much();
            Emission::forward(&event)
        }

        // A sandbox has no way out but what it emits.
        "env" => Emission::new(outside::environment()),
        "file" => Emission::new(outside::read_file()),
        "socket" => Emission::new(outside::connect()),
        "http" => Emission::new(outside::request()),

        _ => return Err(Failure::reject(format!("there is no command {word:?}"))),
    };
    Ok(emission.into())
}

#[cfg(test)]
mod tests;
