//! `uppercase` on records of 200 bytes in four partitions: how many a second.

use std::time::Duration;

use anyhow::ensure;
use millstream_tests::unique;

use crate::cluster::Cluster;
use crate::contestant::{Contestant, Guarantee, Program, Task};
use crate::load;
use crate::options::Options;
use crate::report::{self, Bar, Section};
use crate::stats::{Spread, spread};
use crate::watch::{self, Wait};

const PARTITIONS: i32 = 4;
const KEYS: u64 = 10_000;
const VALUE: usize = 200;
/// A run is not measured for longer: a slow peer's rate is clear by then.
const LONGEST: Duration = Duration::from_secs(12);
const FROM: &str = "throughput.in";

/// What all ratios are against.
const STREAMS: &str = "Kafka Streams";
const NATIVE: &str = "native loop";

fn contestants() -> Vec<Contestant> {
    use Guarantee::{AtLeastOnce, ExactlyOnce};
    let millstream = |format| Program::Millstream { function: "uppercase", manifest: "", format };
    let parallel = Program::Parallel { function: "uppercase", waits: true };
    [
        (NATIVE, Program::Native, AtLeastOnce),
        ("Millstream, raw", millstream("raw"), AtLeastOnce),
        ("Millstream, binary", millstream("binary"), AtLeastOnce),
        (STREAMS, Program::Streams { soon: false }, AtLeastOnce),
        ("Parallel Consumer", parallel, AtLeastOnce),
        (NATIVE, Program::Native, ExactlyOnce),
        ("Millstream, raw", millstream("raw"), ExactlyOnce),
        ("Millstream, binary", millstream("binary"), ExactlyOnce),
        (STREAMS, Program::Streams { soon: false }, ExactlyOnce),
    ]
    .map(|(name, program, guarantee)| Contestant { name, program, guarantee })
    .into()
}

struct Measured {
    rate: f64,
    /// CPU time of the contestant alone.
    cpu_per_record: Duration,
    /// CPU time that its requests cost the broker.
    broker_per_record: Duration,
    peak_mib: f64,
    whole: bool,
}

/// Runs them in turn.
pub(crate) fn run(cluster: &Cluster, options: &Options) -> anyhow::Result<Section> {
    let warm_up = options.records / 2;
    let total = warm_up + options.records;
    report::progress(&format!("throughput: writing {total} records"));
    cluster.create(FROM, PARTITIONS)?;
    cluster.fill(FROM, (0..total).map(record))?;

    let mut contestants: Vec<Contestant> = contestants().into_iter().filter(|one| options.takes(one.name)).collect();
    let mut skipped = Vec::new();
    let mut all: Vec<Vec<Measured>> = contestants.iter().map(|_| Vec::new()).collect();
    // The broker is a JVM too: it warms up on a run that does not count.
    let native = Contestant { name: NATIVE, program: Program::Native, guarantee: Guarantee::AtLeastOnce };
    let _ = measure(cluster, &native, warm_up, total)?;
    for _ in 0..options.runs {
        let mut index = 0;
        while index < contestants.len() {
            let contestant = contestants[index];
            load::wait_for_quiet(cluster, options);
            match measure(cluster, &contestant, warm_up, total)? {
                Ok(measured) => {
                    report::progress(&format!(
                        "{}, {}: {:.0} records/s, {:?} of CPU each and {:?} of the broker's, {:.0} MiB",
                        contestant.name,
                        contestant.guarantee.text(),
                        measured.rate,
                        measured.cpu_per_record,
                        measured.broker_per_record,
                        measured.peak_mib
                    ));
                    all[index].push(measured);
                    index += 1;
                }
                Err(reason) => {
                    report::skipped(&mut skipped, &contestant, &reason);
                    contestants.remove(index);
                    all.remove(index);
                }
            }
        }
    }
    cluster.delete(&[FROM])?;
    Ok(section(options, &contestants, &all, skipped))
}

fn record(number: u64) -> (i32, String, String) {
    let key = number % KEYS;
    let mut value = format!("{{\"seq\":{number:012},\"text\":\"");
    while value.len() < VALUE - 2 {
        value.push(char::from(b'a' + (value.len() as u64 + number) as u8 % 26));
    }
    value.push_str("\"}");
    ((key % PARTITIONS as u64) as i32, format!("k{key:06}"), value)
}

fn measure(
    cluster: &Cluster,
    contestant: &Contestant,
    warm_up: u64,
    total: u64,
) -> anyhow::Result<Result<Measured, String>> {
    let id = &unique("throughput");
    let to = format!("{id}.out");
    cluster.create(&to, PARTITIONS)?;
    let task = Task { bootstrap: cluster.bootstrap(), from: FROM, to: &to, id };
    let mut running = match contestant.start(&task) {
        Ok(running) => running,
        Err(reason) => {
            cluster.delete(&[&to])?;
            return Ok(Err(reason));
        }
    };
    let probe = cluster.probe(&to, PARTITIONS)?;
    let mut warm: Option<(watch::Sample, Duration, Duration)> = None;
    let wait = Wait { total, pause: Duration::from_millis(20), patience: Duration::from_secs(60) };
    let last = watch::until(&probe, &mut running, wait, |sample, running| match warm {
        None => {
            warm = (sample.count >= warm_up).then(|| (sample, running.cpu(), cluster.cpu()));
            true
        }
        Some((warm, ..)) => sample.at - warm.at < LONGEST || sample.count >= total,
    })?;
    let Some((warm, cpu, broker)) = warm else { anyhow::bail!("{to} was full at once: take more records") };
    let (cpu, broker) = (running.cpu() - cpu, cluster.cpu() - broker);
    let peak_mib = running.peak_mib();
    drop(running);
    let whole = last.count >= total;
    if whole {
        let count = cluster.count(&to, PARTITIONS, |value| value.len() == VALUE && value.starts_with(b"{\"SEQ\":"))?;
        ensure!(count == total, "{} wrote {count} records for {total}", contestant.name);
    }
    cluster.delete(&[&to])?;
    let records = last.count - warm.count;
    let rate = records as f64 / (last.at - warm.at).as_secs_f64();
    let each = |all: Duration| all / u32::try_from(records.max(1)).unwrap_or(u32::MAX);
    Ok(Ok(Measured { rate, cpu_per_record: each(cpu), broker_per_record: each(broker), peak_mib, whole }))
}

fn section(options: &Options, contestants: &[Contestant], all: &[Vec<Measured>], mut notes: Vec<String>) -> Section {
    let rates: Vec<Spread> = all.iter().map(|runs| spread(runs.iter().map(|run| run.rate))).collect();
    let base = |name: &str, guarantee| {
        let found = contestants.iter().position(|one| one.name == name && one.guarantee == guarantee)?;
        Some(rates[found].median)
    };
    let ratio = |own: f64, base: Option<f64>| base.map_or("–".to_owned(), |base| format!("{:.2}", own / base));
    let mut section = Section::new(
        "throughput",
        &[
            "",
            "guarantee",
            "records/s",
            "least–most",
            "× native",
            "× Kafka Streams",
            "CPU µs/record",
            "broker µs/record",
            "peak MiB",
        ],
    );
    for ((contestant, rate), runs) in contestants.iter().zip(&rates).zip(all) {
        let stopped = if runs.iter().all(|run| run.whole) { "" } else { " ¹" };
        section.rows.push(vec![
            format!("{}{stopped}", contestant.name),
            contestant.guarantee.text().to_owned(),
            report::thousands(rate.median),
            format!("{}–{}", report::thousands(rate.least), report::thousands(rate.most)),
            ratio(rate.median, base(NATIVE, contestant.guarantee)),
            ratio(rate.median, base(STREAMS, contestant.guarantee)),
            micros(runs, |run| run.cpu_per_record),
            micros(runs, |run| run.broker_per_record),
            report::thousands(spread(runs.iter().map(|run| run.peak_mib)).median),
        ]);
        section.bars.push(Bar {
            label: format!("{}, {}", contestant.name, contestant.guarantee.text()),
            spread: *rate,
            is_ours: matches!(contestant.program, Program::Millstream { .. }),
        });
    }
    section.unit = "records a second, more is better";
    section.notes = vec![format!(
        "{} records of {VALUE} bytes with keys in {PARTITIONS} partitions, after {} that do not count; medians of {} \
         alternating runs. Every output was read back and counted.",
        report::thousands(options.records as f64),
        report::thousands((options.records / 2) as f64),
        options.runs
    )];
    if all.iter().flatten().any(|run| !run.whole) {
        section.notes.push(format!("¹ stopped after {LONGEST:?}; its rate is of what it did until then."));
    }
    section.notes.append(&mut notes);
    section
}

fn micros(runs: &[Measured], of: impl Fn(&Measured) -> Duration) -> String {
    format!("{:.2}", spread(runs.iter().map(|run| of(run).as_secs_f64() * 1e6)).median)
}
