//! From a record's intended send to the moment when a `read_committed` reader has its output, at a steady rate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use millstream_tests::unique;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::topic_partition_list::Offset;

use crate::cluster::{Cluster, all, config, reader};
use crate::contestant::{Contestant, Guarantee, Program, Task};
use crate::load;
use crate::options::Options;
use crate::report::{self, Bar, Section};
use crate::stats::{percentile, spread};

const PARTITIONS: i32 = 4;
/// Between two sends: 1,000 a second.
const STEP: Duration = Duration::from_millis(1);
/// How long an output may take before the run counts as failed.
const PATIENCE: Duration = Duration::from_secs(20);
const VALUE: usize = 200;
/// The harder of the peers to beat.
const TUNED: &str = "Kafka Streams, set for it";

/// A contestant; the baseline has no processor between the topics.
type Entrant = (&'static str, Option<Contestant>, &'static str);

fn entrants() -> Vec<Entrant> {
    let mut entrants: Vec<Entrant> = vec![("nothing in between", None, "–")];
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let millstream = Program::Millstream { function: "uppercase", manifest: "", format: "raw" };
        let programs = [
            ("native loop", Program::Native),
            ("Millstream", millstream),
            ("Kafka Streams", Program::Streams { soon: false }),
            (TUNED, Program::Streams { soon: true }),
        ];
        for (name, program) in programs {
            entrants.push((name, Some(Contestant { name, program, guarantee }), guarantee.text()));
        }
    }
    entrants
}

/// Microseconds.
struct Measured {
    half: f64,
    most: f64,
}

/// Runs them in turn.
pub(crate) fn run(cluster: &Cluster, options: &Options) -> anyhow::Result<Section> {
    let mut entrants: Vec<Entrant> = entrants().into_iter().filter(|one| options.takes(one.0)).collect();
    let mut all: Vec<Vec<Measured>> = entrants.iter().map(|_| Vec::new()).collect();
    let mut notes = Vec::new();
    for _ in 0..options.runs {
        let mut index = 0;
        while index < entrants.len() {
            let (name, contestant, guarantee) = entrants[index];
            load::wait_for_quiet(cluster, options);
            match measure(cluster, contestant.as_ref(), options.seconds)? {
                Ok(measured) => {
                    report::progress(&format!(
                        "{name}, {guarantee}: p50 {:.1} ms, p99 {:.1} ms",
                        measured.half / 1000.0,
                        measured.most / 1000.0
                    ));
                    all[index].push(measured);
                    index += 1;
                }
                Err(reason) => {
                    let contestant = contestant.context("only a contestant can refuse")?;
                    report::skipped(&mut notes, &contestant, &reason);
                    entrants.remove(index);
                    all.remove(index);
                }
            }
        }
    }
    Ok(section(options, &entrants, &all, notes))
}

fn section(options: &Options, entrants: &[Entrant], all: &[Vec<Measured>], mut notes: Vec<String>) -> Section {
    let most = |runs: &[Measured]| spread(runs.iter().map(|run| run.most / 1000.0));
    let mut section = Section::new(
        "delivery",
        &["", "guarantee", "p50 ms", "p99 ms", "p99 least–most", "p99 × Kafka Streams, set for it"],
    );
    section.unit = "milliseconds, p99, less is better";
    for ((name, contestant, guarantee), runs) in entrants.iter().zip(all) {
        let peer = entrants.iter().position(|(name, _, of)| *name == TUNED && of == guarantee);
        let (own, half) = (most(runs), spread(runs.iter().map(|run| run.half / 1000.0)));
        section.rows.push(vec![
            (*name).to_owned(),
            (*guarantee).to_owned(),
            format!("{:.1}", half.median),
            format!("{:.1}", own.median),
            format!("{:.1}–{:.1}", own.least, own.most),
            peer.map_or("–".to_owned(), |peer| format!("{:.2}", own.median / most(&all[peer]).median)),
        ]);
        section.bars.push(Bar {
            label: format!("{name}, {guarantee}").replace(", –", ""),
            spread: own,
            is_ours: contestant.is_some_and(|one| matches!(one.program, Program::Millstream { .. })),
        });
    }
    section.notes = vec![format!(
        "1,000 records a second for {} s, after {} s that do not count; medians of {} alternating runs. The clock of a \
         record starts when it should have been sent, whether it was or not.",
        options.seconds,
        options.seconds.div_ceil(3),
        options.runs
    )];
    section.notes.append(&mut notes);
    section
}

fn measure(
    cluster: &Cluster,
    contestant: Option<&Contestant>,
    seconds: u64,
) -> anyhow::Result<Result<Measured, String>> {
    let id = &unique("delivery");
    let (from, to) = (format!("{id}.in"), format!("{id}.out"));
    cluster.create(&from, PARTITIONS)?;
    cluster.create(&to, PARTITIONS)?;
    let task = Task { bootstrap: cluster.bootstrap(), from: &from, to: &to, id };
    let running = match contestant.map(|one| one.start(&task)).transpose() {
        Ok(running) => running,
        Err(reason) => return Ok(Err(reason)),
    };
    let consumer = reader(cluster.bootstrap())?;
    let watched = if running.is_some() { &to } else { &from };
    consumer.assign(&all(watched, PARTITIONS, Offset::Beginning)?)?;
    let producer = config(cluster.bootstrap()).set("linger.ms", "0").create()?;

    // A record of its own first: the clock starts when the contestant has its partitions.
    for partition in 0..PARTITIONS {
        send(&producer, &from, partition as u64, u64::MAX)?;
    }
    let mut latencies = Vec::new();
    read(&consumer, PARTITIONS as usize, Instant::now(), |_, _| {})?;
    let warm_up = Duration::from_secs(seconds.div_ceil(3));
    let count = ((warm_up + Duration::from_secs(seconds)).as_micros() / STEP.as_micros()) as u64;
    let (start, failed) = (Instant::now(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let sent = (0..count).try_for_each(|number| {
                let due = STEP * number as u32;
                std::thread::sleep(due.saturating_sub(start.elapsed()));
                send(&producer, &from, number, due.as_micros() as u64)
            });
            failed.store(sent.is_err(), Ordering::Relaxed);
        });
        read(&consumer, count as usize, start, |due, latency| {
            if due >= warm_up.as_micros() as u64 {
                latencies.push(latency);
            }
        })
    })?;
    ensure!(!failed.load(Ordering::Relaxed), "the load could not be sent");
    drop(running);
    producer.flush(PATIENCE)?;
    cluster.delete(&[&from, &to])?;
    latencies.sort_unstable();
    ensure!(!latencies.is_empty(), "nothing was measured");
    let at = |share| percentile(&latencies, share) as f64;
    Ok(Ok(Measured { half: at(0.5), most: at(0.99) }))
}

/// The value is the time at which it was due, in microseconds: digits, which upper case leaves alone.
pub(crate) fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    number: u64,
    due: u64,
) -> anyhow::Result<()> {
    let (key, value) = (format!("k{:06}", number % 10_000), format!("{due:0>VALUE$}"));
    let record = BaseRecord::to(topic).partition((number % PARTITIONS as u64) as i32).key(&key).payload(&value);
    producer.send(record).map_err(|(error, _)| error).context("the load could not be sent")
}

/// Reads `count` records; returns when each was due after `start` and how long it took, in microseconds.
pub(crate) fn read(
    consumer: &BaseConsumer,
    count: usize,
    start: Instant,
    mut hear: impl FnMut(u64, u64),
) -> anyhow::Result<()> {
    let mut found = 0;
    while found < count {
        match consumer.poll(PATIENCE).with_context(|| format!("only {found} of {count} records came out"))? {
            Ok(record) => {
                let now = start.elapsed().as_micros() as u64;
                let text = std::str::from_utf8(record.payload().unwrap_or_default())?;
                let due: u64 = text.trim_start_matches('0').parse().unwrap_or(0);
                found += 1;
                // The first records of all have no time.
                if due < u64::MAX {
                    hear(due, now.saturating_sub(due));
                }
            }
            Err(KafkaError::PartitionEOF(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
