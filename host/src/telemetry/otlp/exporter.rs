//! Carries one signal to the collector. A collector that is away delays no one: what can't be delivered for a while is
//! dropped and counted, and the log says so when it begins and when it is over.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::telemetry::otlp::OtlpSignal;
use crate::telemetry::otlp::client::{CollectorAnswer, CollectorRefusal, OtlpClient};
use crate::telemetry::otlp::export_queue::ExportCounters;

/// The wait before the second try; doubled for each after it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How often it is said that there is more than can be sent.
const SAID_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct SignalExporter {
    signal: OtlpSignal,
    post: OtlpClient,
    counts: ExportCounters,
    /// Cancelled when the host ends: then there is one last try.
    stop: CancellationToken,
    /// Why nothing was delivered lately.
    trouble: Option<String>,
    /// What was dropped when it was said last, and when that was.
    said: (u64, Option<Instant>),
}

impl SignalExporter {
    pub(crate) fn new(signal: OtlpSignal, post: OtlpClient, counts: ExportCounters, stop: CancellationToken) -> Self {
        Self { signal, post, counts, stop, trouble: None, said: (0, None) }
    }

    /// Delivers `body`, which holds so many items, in that many tries, or drops it.
    pub(crate) async fn deliver(&mut self, body: Vec<u8>, items: u64, tries: u32) {
        let body = Bytes::from(body);
        let mut wait = FIRST_WAIT;
        let mut tried = 0;
        loop {
            // Asked before: a try that begins when the host ends is the last.
            let is_last = self.stop.is_cancelled();
            let refusal = match self.post.send(body.clone()).await {
                Ok(taken) => return self.took(items, taken),
                Err(refusal) => refusal,
            };
            tried += 1;
            self.failed(&refusal);
            if !refusal.passes || tried >= tries || is_last {
                self.counts.dropped.inc_by(items);
                return;
            }
            let asked = refusal.wait.unwrap_or(wait).min(LONGEST_WAIT);
            tokio::select! {
                () = tokio::time::sleep(asked) => {}
                () = self.stop.cancelled() => {}
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn took(&mut self, items: u64, CollectorAnswer { rejected, message }: CollectorAnswer) {
        let rejected = rejected.min(items);
        self.counts.sent.inc_by(items - rejected);
        self.counts.dropped.inc_by(rejected);
        let signal = self.signal.as_str();
        if self.trouble.take().is_some() {
            let dropped = self.counts.dropped.get();
            tracing::info!(signal, dropped, "the collector takes telemetry again");
            self.said = (dropped, Some(Instant::now()));
        }
        if rejected > 0 || !message.is_empty() {
            tracing::warn!(signal, rejected, answer = %message.chars().take(300).collect::<String>(),
                "the collector does not take all of the telemetry");
            self.said.0 += rejected;
        }
        self.say_what_was_dropped();
    }

    fn failed(&mut self, refusal: &CollectorRefusal) {
        if self.trouble.is_some() {
            return;
        }
        let (signal, url) = (self.signal.as_str(), self.post.url());
        tracing::warn!(signal, %url, reason = refusal.reason,
            "the collector does not take telemetry: functions continue, what can't be sent is dropped; check otlp.endpoint, \
             otlp.headers and the collector");
        self.trouble = Some(refusal.reason.clone());
    }

    /// The collector is well, but there is more than it, or this host, can bear.
    fn say_what_was_dropped(&mut self) {
        let dropped = self.counts.dropped.get();
        let (before, when) = self.said;
        if dropped > before && when.is_none_or(|when| when.elapsed() >= SAID_EVERY) {
            tracing::warn!(
                signal = self.signal.as_str(),
                dropped = dropped - before,
                "telemetry was dropped: there is more of it than can be sent; sample less, or log less"
            );
            self.said = (dropped, Some(Instant::now()));
        }
    }
}
