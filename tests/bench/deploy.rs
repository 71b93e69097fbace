//! What a function that runs feels of the deploy of a large one: its delivery before and meanwhile, and the host's memory.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use millstream_tests::host::Host;
use millstream_tests::{client, examples, unique};
use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::Offset;

use crate::cluster::{Cluster, all, config, reader};
use crate::delivery;
use crate::load;
use crate::options::Options;
use crate::report::{self, Section};
use crate::stats::{percentile, spread};

const PARTITIONS: i32 = 4;
const STEP: Duration = Duration::from_millis(1);
const MIB: f64 = 1_048_576.0;
/// What is deployed meanwhile, and its language.
const LARGE: [(&str, &str); 2] = [("enrich-item", "Python"), ("validate-bid", "TypeScript")];

/// What one deploy led to; times in milliseconds.
struct Measured {
    deploy_seconds: f64,
    before: [f64; 2],
    meanwhile: [f64; 2],
    /// Of the host, in MiB: before, and after.
    memory: [f64; 2],
}

/// Deploys each, on a host of its own that has never seen it.
pub(crate) fn run(cluster: &Cluster, options: &Options) -> anyhow::Result<Section> {
    let mut section = Section::new(
        "deploy",
        &["deploy of", "takes s", "p50 before ms", "p50 meanwhile", "p99 before", "p99 meanwhile", "p99 ×", "host MiB"],
    );
    for (example, language) in LARGE.into_iter().filter(|(_, language)| options.takes(language)) {
        let Some(module) = examples::built(example) else {
            section.notes.push(format!("**Not measured: {language}.** This machine could not build it."));
            continue;
        };
        let module = std::fs::read(&module)?;
        let size = module.len() as f64 / MIB;
        let mut all = Vec::new();
        for _ in 0..options.runs {
            load::wait_for_quiet(cluster, options);
            let measured = measure(cluster, &module, options.seconds)?;
            report::progress(&format!(
                "{language}: deployed in {:.1} s; p99 {:.1} ms before, {:.1} ms meanwhile; {:.0} MiB before, {:.0} MiB after",
                measured.deploy_seconds,
                measured.before[1],
                measured.meanwhile[1],
                measured.memory[0],
                measured.memory[1],
            ));
            all.push(measured);
        }
        let median = |of: &dyn Fn(&Measured) -> f64| spread(all.iter().map(of)).median;
        section.rows.push(vec![
            format!("{language}, {size:.0} MiB"),
            format!("{:.1}", median(&|run| run.deploy_seconds)),
            format!("{:.1}", median(&|run| run.before[0])),
            format!("{:.1}", median(&|run| run.meanwhile[0])),
            format!("{:.1}", median(&|run| run.before[1])),
            format!("{:.1}", median(&|run| run.meanwhile[1])),
            format!("{:.2}", median(&|run| run.meanwhile[1] / run.before[1])),
            format!("+{:.0}", median(&|run| run.memory[1] - run.memory[0])),
        ]);
    }
    section.notes.insert(
        0,
        format!(
            "1,000 records a second through `uppercase`, from a record's intended send to its output, for {} s before another \
             function is deployed and until that deploy is answered: sent, compiled in a child process, stored in Kafka. The \
             last column is how much the host's resident memory grew by it. Medians of {} runs, each on a new host.",
            options.seconds, options.runs
        ),
    );
    Ok(section)
}

fn measure(cluster: &Cluster, module: &[u8], seconds: u64) -> anyhow::Result<Measured> {
    let id = &unique("deploy");
    let (from, to) = (format!("{id}.in"), format!("{id}.out"));
    for topic in [&from, &to] {
        cluster.create(topic, PARTITIONS)?;
    }
    let host = Host::start(cluster.bootstrap(), id);
    let manifest = |name: &str, from: &str, to: &str| {
        format!(
            "name = \"{name}\"\ntopics = [\"{from}\"]\ninitial_offset = \"earliest\"\n\
             outputs = {{ default = {{ topic = \"{to}\", format = \"raw\" }} }}\n"
        )
    };
    let (status, answer) = host.client.put(id, &manifest(id, &from, &to), client::module("uppercase"));
    ensure!(status == 201, "{answer}");
    let consumer = reader(cluster.bootstrap())?;
    consumer.assign(&all(&to, PARTITIONS, Offset::Beginning)?)?;
    let producer = config(cluster.bootstrap()).set("linger.ms", "0").create()?;
    for partition in 0..PARTITIONS {
        delivery::send(&producer, &from, partition as u64, u64::MAX)?;
    }
    delivery::read(&consumer, PARTITIONS as usize, Instant::now(), |_, _| {})?;

    let warm_up = Duration::from_secs(seconds.div_ceil(3));
    let quiet = warm_up + Duration::from_secs(seconds);
    let (start, failed, deployed) = (Instant::now(), AtomicBool::new(false), AtomicBool::new(false));
    // How many records there are is known when the deploy is answered.
    let sent = AtomicU64::new(u64::MAX);
    let mut all_delays: Vec<(u64, u64)> = Vec::new();
    let (other_from, other_to) = (format!("{id}.other"), format!("{id}.other.out"));
    let (deploying, memory) = std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                let is_last = deployed.load(Ordering::Relaxed);
                // Set before the last record is sent, so its reader knows that no other follows.
                if is_last {
                    sent.store(number + 1, Ordering::Relaxed);
                }
                let due = STEP * number as u32;
                std::thread::sleep(due.saturating_sub(start.elapsed()));
                let outcome = delivery::send(&producer, &from, number, due.as_micros() as u64);
                failed.fetch_or(outcome.is_err(), Ordering::Relaxed);
                if is_last || outcome.is_err() {
                    break;
                }
            }
        });
        let deploy = scope.spawn(|| {
            std::thread::sleep(quiet.saturating_sub(start.elapsed()));
            let (began, before) = (start.elapsed(), host.resident_bytes());
            let other = manifest("large", &other_from, &other_to);
            let answered = cluster.create(&other_from, 1).map(|()| host.client.put("large", &other, module.to_vec()));
            let ended = start.elapsed();
            deployed.store(true, Ordering::Relaxed);
            let (status, answer) = answered?;
            ensure!(status == 201, "{answer}");
            anyhow::Ok((began..ended, [before, host.resident_bytes()]))
        });
        let mut read = 0;
        while read < sent.load(Ordering::Relaxed) {
            delivery::read(&consumer, 1, start, |due, delay| all_delays.push((due, delay)))?;
            read += 1;
        }
        deploy.join().expect("the deploy does not panic")
    })?;
    ensure!(!failed.load(Ordering::Relaxed), "the load could not be sent");
    drop(host);
    cluster.delete(&[&from, &to, &other_from, &other_to])?;

    let of = |period: std::ops::Range<Duration>| -> anyhow::Result<[f64; 2]> {
        let period = period.start.as_micros() as u64..period.end.as_micros() as u64;
        let mut delays: Vec<u64> =
            all_delays.iter().filter(|(due, _)| period.contains(due)).map(|(_, delay)| *delay).collect();
        delays.sort_unstable();
        delays.first().context("nothing was measured")?;
        Ok([0.5, 0.99].map(|share| percentile(&delays, share) as f64 / 1000.0))
    };
    Ok(Measured {
        deploy_seconds: (deploying.end - deploying.start).as_secs_f64(),
        before: of(warm_up..quiet)?,
        meanwhile: of(deploying)?,
        memory: memory.map(|bytes| bytes as f64 / MIB),
    })
}
