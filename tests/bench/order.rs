//! `sleepy` on one partition, in order by key, 16 at once: how close to the ideal.

use std::time::{Duration, Instant};

use anyhow::ensure;
use millstream_tests::unique;

use crate::cluster::Cluster;
use crate::contestant::{Contestant, Guarantee, Program, Task};
use crate::load;
use crate::options::Options;
use crate::report::{self, Bar, Section};
use crate::stats::spread;
use crate::watch::{self, Wait};

const AT_ONCE: f64 = 16.0;
/// `sleepy` and its twin sleep for 0, 1, 2, 3 or 4 ms.
const MEAN_SLEEP: f64 = 0.002;
/// Records that go before, so that a JVM is warm.
const WARM_UP: u64 = 3_000;
const KEYS: [u64; 2] = [20, 1_000];

fn contestants() -> [Contestant; 3] {
    let manifest = "ordering = \"key\"\nconcurrency = 16";
    let parallel = |waits| Program::Parallel { function: "sleepy", waits };
    [
        ("Millstream", Program::Millstream { function: "sleepy", manifest, format: "raw" }),
        ("Parallel Consumer", parallel(true)),
        ("Parallel Consumer, forgetting", parallel(false)),
    ]
    .map(|(name, program)| Contestant { name, program, guarantee: Guarantee::AtLeastOnce })
}

/// Runs them in turn.
pub(crate) fn run(cluster: &Cluster, options: &Options) -> anyhow::Result<Section> {
    let ideal = options.order_records as f64 * MEAN_SLEEP / AT_ONCE;
    let mut section = Section::new("order", &["", "keys", "seconds", "least–most", "× ideal", "× Parallel Consumer"]);
    section.unit = "seconds, less is better";
    let contestants: Vec<Contestant> = contestants().into_iter().filter(|one| options.takes(one.name)).collect();
    for keys in KEYS {
        let mut all: Vec<Vec<f64>> = contestants.iter().map(|_| Vec::new()).collect();
        for _ in 0..options.runs {
            for (index, contestant) in contestants.iter().enumerate() {
                load::wait_for_quiet(cluster, options);
                let seconds = measure(cluster, contestant, keys, options.order_records)?;
                report::progress(&format!("{}, {keys} keys: {seconds:.3} s", contestant.name));
                all[index].push(seconds);
            }
        }
        let medians: Vec<_> = all.iter().map(|runs| spread(runs.iter().copied())).collect();
        let peer = contestants.iter().position(|one| one.name == "Parallel Consumer").map(|at| medians[at].median);
        for (contestant, time) in contestants.iter().zip(&medians) {
            section.rows.push(vec![
                contestant.name.to_owned(),
                keys.to_string(),
                format!("{:.2}", time.median),
                format!("{:.2}–{:.2}", time.least, time.most),
                format!("{:.2}", time.median / ideal),
                peer.map_or("–".to_owned(), |peer| format!("{:.2}", time.median / peer)),
            ]);
            section.bars.push(Bar {
                label: format!("{}, {keys} keys", contestant.name),
                spread: *time,
                is_ours: matches!(contestant.program, Program::Millstream { .. }),
            });
        }
    }
    section.bars.push(Bar { label: "the ideal".to_owned(), spread: spread([ideal]), is_ours: false });
    section.notes = vec![
        format!(
            "{} records of one partition that sleep 0–4 ms each, 16 at once, from the first send to the last output; \
             medians of {} alternating runs. The ideal is mean sleep × records / 16 = {ideal:.2} s. Every output was \
             read back and counted.",
            report::thousands(options.order_records as f64),
            options.runs
        ),
        "“Forgetting” does not wait until Kafka has an output before the input counts as done: quicker, but no longer \
         at least once."
            .to_owned(),
    ];
    Ok(section)
}

fn measure(cluster: &Cluster, contestant: &Contestant, keys: u64, records: u64) -> anyhow::Result<f64> {
    let id = &unique("order");
    let (from, to) = (format!("{id}.in"), format!("{id}.out"));
    cluster.create(&from, 1)?;
    cluster.create(&to, 1)?;
    let record = |number: u64| (0, format!("k{:06}", number % keys), format!("{{\"seq\":{number}}}"));
    cluster.fill(&from, (0..WARM_UP).map(record))?;
    let task = Task { bootstrap: cluster.bootstrap(), from: &from, to: &to, id };
    let mut running = contestant.start(&task).map_err(anyhow::Error::msg)?;
    let probe = cluster.probe(&to, 1)?;
    let wait = |total| Wait { total, pause: Duration::from_millis(5), patience: Duration::from_secs(30) };
    watch::until(&probe, &mut running, wait(WARM_UP), |_, _| true)?;
    let total = WARM_UP + records;
    let started = Instant::now();
    cluster.fill(&from, (WARM_UP..total).map(record))?;
    let last = watch::until(&probe, &mut running, wait(total), |_, _| true)?;
    drop(running);
    let count = cluster.count(&to, 1, |value| value.starts_with(b"{\"seq\":"))?;
    ensure!(count == total, "{} wrote {count} records for {total}", contestant.name);
    cluster.delete(&[&from, &to])?;
    Ok((last.at - started).as_secs_f64())
}
