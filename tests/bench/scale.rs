//! What functions cost that have nothing to do, and what the first record costs of one that scaled to zero.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use millstream_tests::client;
use millstream_tests::host::Host;
use millstream_tests::{unique, wait_until};
use rdkafka::consumer::Consumer as _;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::Offset;

use crate::cluster::{Cluster, all, config, reader};
use crate::contestant::Guarantee;
use crate::load;
use crate::options::Options;
use crate::report::{self, Bar, Section};
use crate::stats::{percentile, spread};

/// How many functions one host has.
const COUNTS: [usize; 3] = [10, 100, 300];
/// With transactional producers each function has two clients.
const COUNTS_EXACTLY_ONCE: [usize; 1] = [100];
/// How long they are watched while they have nothing to do.
const IDLE: Duration = Duration::from_secs(10);
/// Records to a function that scaled to zero, one after another.
const FIRSTS: usize = 50;
const MIB: f64 = 1_048_576.0;

/// What a host takes.
#[derive(Debug, Clone, Copy)]
struct Taken {
    resident: f64,
    threads: f64,
    sockets: f64,
}

impl Taken {
    fn by(host: &Host) -> Self {
        let (resident, threads) = (host.resident_bytes() as f64, host.threads() as f64);
        Self { resident, threads, sockets: host.sockets() as f64 }
    }
}

/// Measures hosts of more and more functions.
pub(crate) fn run(cluster: &Cluster, options: &Options) -> anyhow::Result<Section> {
    let head =
        ["functions", "guarantee", "KiB each", "threads each", "sockets each", "% of a core, all", "s to deploy"];
    let mut section = Section::new("scale", &head);
    section.unit = "KiB of memory for each idle function, less is better";
    let plain = COUNTS.map(|count| (count, Guarantee::AtLeastOnce));
    let exact = COUNTS_EXACTLY_ONCE.map(|count| (count, Guarantee::ExactlyOnce));
    for (count, guarantee) in plain.into_iter().chain(exact) {
        load::wait_for_quiet(cluster, options);
        let (row, bar) = idle(cluster, count, guarantee)?;
        section.rows.push(row);
        section.bars.push(bar);
    }
    let hot = firsts(cluster, "60s")?;
    let cold = firsts(cluster, "0s")?;
    section.notes = vec![
        format!(
            "The example `uppercase`, deployed that often on one host, each with a consumer group of its own on a topic of \
             one partition; each figure is what they added to a host without functions, after {} s.",
            IDLE.as_secs()
        ),
        format!(
            "From a record's send to its output, {FIRSTS} records one after another: p50 {:.1} ms and p99 {:.1} ms where an \
             instance waits for it, p50 {:.1} ms and p99 {:.1} ms where the function has none (`keep_warm = \"0s\"`, a cold \
             start for each).",
            hot.0, hot.1, cold.0, cold.1
        ),
    ];
    Ok(section)
}

fn idle(cluster: &Cluster, count: usize, guarantee: Guarantee) -> anyhow::Result<(Vec<String>, Bar)> {
    let id = unique("scale");
    let (from, to) = (format!("{id}.in"), format!("{id}.out"));
    cluster.create(&from, 1)?;
    cluster.create(&to, 1)?;
    let host = Host::start(cluster.bootstrap(), &id);
    std::thread::sleep(Duration::from_secs(2));
    let before = Taken::by(&host);
    let module = client::module("uppercase");
    let began = Instant::now();
    for index in 0..count {
        let name = format!("{id}-{index}");
        let text = manifest(&name, &from, &to, guarantee, "60s");
        let (status, answer) = host.client.put(&name, &text, module.clone());
        ensure!((200..300).contains(&status), "function {index} of {count}: {answer}");
    }
    let deploying = began.elapsed();
    wait_until("all functions run", Duration::from_secs(60), || {
        (0..count).all(|index| host.client.status(&format!("{id}-{index}"))["state"] == "running")
    });
    let cpu = host.cpu();
    std::thread::sleep(IDLE);
    let share = (host.cpu() - cpu).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    let after = Taken::by(&host);
    let each = |what: fn(Taken) -> f64| (what(after) - what(before)) / count as f64;
    let kib = each(|taken| taken.resident) / 1024.0;
    report::progress(&format!(
        "{count} functions, {}: {:.0} MiB in all, {kib:.0} KiB each, {share:.1} % of a core",
        guarantee.text(),
        after.resident / MIB
    ));
    let row = vec![
        count.to_string(),
        guarantee.text().to_owned(),
        format!("{kib:.0}"),
        format!("{:.1}", each(|taken| taken.threads)),
        format!("{:.1}", each(|taken| taken.sockets)),
        format!("{share:.1}"),
        format!("{:.1}", deploying.as_secs_f64()),
    ];
    drop(host);
    cluster.delete(&[&from, &to])?;
    let label = format!("{count} functions, {}", guarantee.text());
    Ok((row, Bar { label, spread: spread([kib]), is_ours: true }))
}

/// The median and the 99th percentile, in milliseconds.
fn firsts(cluster: &Cluster, keep_warm: &str) -> anyhow::Result<(f64, f64)> {
    let id = unique("first");
    let (from, to) = (format!("{id}.in"), format!("{id}.out"));
    cluster.create(&from, 1)?;
    cluster.create(&to, 1)?;
    let host = Host::start(cluster.bootstrap(), &id);
    host.client.put(&id, &manifest(&id, &from, &to, Guarantee::AtLeastOnce, keep_warm), client::module("uppercase"));
    let consumer = reader(cluster.bootstrap())?;
    consumer.assign(&all(&to, 1, Offset::Beginning)?)?;
    let producer: ThreadedProducer<DefaultProducerContext> =
        config(cluster.bootstrap()).set("linger.ms", "0").create()?;
    let mut took = Vec::new();
    for number in 0..=FIRSTS {
        std::thread::sleep(Duration::from_millis(200));
        let value = number.to_string();
        let sent = Instant::now();
        producer.send(BaseRecord::<(), _>::to(&from).payload(&value)).map_err(|(error, _)| error)?;
        loop {
            let answer = consumer.poll(Duration::from_secs(20)).with_context(|| format!("record {number} was lost"))?;
            if answer.is_ok_and(|record| record.payload() == Some(value.as_bytes())) {
                break;
            }
        }
        // With the first the reader comes to the topic too.
        if number > 0 {
            took.push(sent.elapsed().as_micros() as u64);
        }
    }
    let starts = host.client.counter(&id, "cold_starts");
    let expected = if keep_warm == "0s" { FIRSTS as u64 + 1 } else { 1 };
    ensure!(starts == expected, "{starts} cold starts where {expected} were expected");
    drop(host);
    cluster.delete(&[&from, &to])?;
    took.sort_unstable();
    Ok((percentile(&took, 0.5) as f64 / 1000.0, percentile(&took, 0.99) as f64 / 1000.0))
}

fn manifest(name: &str, from: &str, to: &str, guarantee: Guarantee, keep_warm: &str) -> String {
    let guarantee = if guarantee == Guarantee::ExactlyOnce { "exactly_once" } else { "at_least_once" };
    format!(
        "name = \"{name}\"\ntopics = [\"{from}\"]\ndead_letter_topic = \"{to}\"\ninitial_offset = \"earliest\"\n\
         processing_guarantee = \"{guarantee}\"\n[outputs]\ndefault = {{ topic = \"{to}\", format = \"raw\" }}\n\
         [instances]\nkeep_warm = \"{keep_warm}\"\n"
    )
}
