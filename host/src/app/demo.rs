//! `millstream demo`: the auction of `examples/`, on a broker inside this process.

mod script;
mod stage;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;

use self::script::SCRIPT;
use self::stage::{DemoBroker, EventTally};
use crate::shutdown;
use crate::telemetry::logs::{self, LineFormat};

/// How the demo is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DemoOptions {
    /// Whether it stays up when the auction is over.
    pub(crate) stay: bool,
    /// Where the API listens meanwhile; the usual address, or a free port, without it.
    pub(crate) listen: Option<SocketAddr>,
}

/// How the demo ended, other than by an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DemoEnd {
    Played,
    Interrupted,
}

/// The pause between two events of the script, long enough to read along.
const PAUSE: Duration = Duration::from_millis(120);

/// How long the functions may take for the last events after the script is over.
const LAST_EVENT_WITHIN: Duration = Duration::from_secs(30);

const OPENING: &str = "\
An auction, played by three functions. Each is a Wasm module in a sandbox of its own, and runs on Kafka records.

  bids ───────────► place-bid ─────► bids.accepted, bids.rejected
  items.complete ─► item-complete ─► items.validated ─► notify-bidders ─► notifications

› marks an input event, ‹ an event that a function emitted, ✗ a dead letter.
";

const CLOSING: &str = "
What you saw:
  · a bid that breaks the rules is a result: place-bid wrote it to its output \"rejected\", with the reason;
  · a record that is not a bid became a dead letter: place-bid.dead has it unchanged, with headers that say why;
  · the item that was only viewed never reached place-bid: its manifest filters by type;
  · bids on one item stayed in order, because place-bid sets ordering = \"key\".
";

/// Plays the auction on the embedded broker.
pub(crate) async fn demo(options: DemoOptions) -> anyhow::Result<DemoEnd> {
    let level = std::env::var("MILLSTREAM_LOG__LEVEL").unwrap_or_else(|_| "error".to_owned());
    logs::start(&level, LineFormat::Text, None)?;
    let stop = shutdown::on_signal()?;
    println!("{OPENING}");
    let mut stage = tokio::select! {
        stage = DemoBroker::set() => stage.context("the demo could not be set up")?,
        () = stop.cancelled() => return Ok(DemoEnd::Interrupted),
    };
    let tally = tokio::select! {
        tally = play(&mut stage) => tally?,
        () = stop.cancelled() => {
            stage.strike().await;
            return Ok(DemoEnd::Interrupted);
        }
    };
    print!("{CLOSING}");
    if options.stay {
        let listening = stage.listen(options.listen, stop.clone()).await?;
        println!(
            "\nThe host stays up at http://{}, the broker at {}. Press Ctrl-C to stop both.",
            listening.address,
            stage.broker()
        );
        println!("Try: kcat -b {} -t bids.accepted -C -o beginning -e", stage.broker());
        stop.cancelled().await;
        listening.ended().await;
    }
    stage.strike().await;
    println!("\ndemo: {} in, {} out, {} dead letters", tally.put_in, tally.came_out, tally.dead);
    Ok(DemoEnd::Played)
}

async fn play(stage: &mut DemoBroker) -> anyhow::Result<EventTally> {
    for event in SCRIPT {
        stage.put_in(event).await?;
        stage.show_what_appears(PAUSE).await?;
    }
    stage.show_the_rest(LAST_EVENT_WITHIN).await?;
    Ok(stage.tally())
}
