//! The figures of `/metrics` as metrics of OTLP: read from the same text, so that there is one list of them, with the same
//! names and labels, and none can be missing here. (The library that keeps them shows a histogram to no one but its
//! encoders.)

use std::collections::HashMap;

use crate::telemetry::otlp::wire::{
    CUMULATIVE, Data, Gauge, Histogram, HistogramPoint, KeyValue, Metric, Number, NumberPoint, Sum, attribute,
};

/// Since when each series counts. One that starts again, such as of a function that was deployed again, says so.
#[derive(Debug)]
pub(crate) struct SeriesStarts {
    /// When the figures were read last, or the host's start.
    before: u64,
    series: HashMap<String, SeriesStart>,
}

#[derive(Debug, Clone, Copy)]
struct SeriesStart {
    start: u64,
    value: f64,
}

impl SeriesStarts {
    /// Nothing was read since `start`, in nanoseconds of the Unix epoch.
    pub(crate) fn new(start: u64) -> Self {
        Self { before: start, series: HashMap::new() }
    }

    /// All metrics in `text`, which was written at `now`.
    pub(crate) fn read(&mut self, text: &str, now: u64) -> Vec<Metric> {
        let last = std::mem::take(&mut self.series);
        let mut reading = MetricsReading { now, before: self.before, last, next: HashMap::new(), metrics: Vec::new() };
        for line in text.lines() {
            reading.line(line);
        }
        self.series = reading.next;
        self.before = now;
        reading.metrics
    }
}

struct MetricsReading {
    now: u64,
    before: u64,
    last: HashMap<String, SeriesStart>,
    next: HashMap<String, SeriesStart>,
    metrics: Vec<Metric>,
}

impl MetricsReading {
    fn line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            self.metrics.push(Metric { name: name.to_owned(), description: help.to_owned(), data: None });
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let kind = rest.split_once(' ').map_or("", |(_, kind)| kind);
            let data = match kind {
                "counter" => {
                    Data::Sum(Sum { aggregation_temporality: CUMULATIVE, is_monotonic: true, points: Vec::new() })
                }
                "histogram" => Data::Histogram(Histogram { aggregation_temporality: CUMULATIVE, points: Vec::new() }),
                _ => Data::Gauge(Gauge { points: Vec::new() }),
            };
            if let Some(metric) = self.metrics.last_mut() {
                metric.data = Some(data);
            }
        } else if let Some(sample) = MetricSample::read(line) {
            self.sample(line, sample);
        }
    }

    fn sample(&mut self, line: &str, sample: MetricSample<'_>) {
        let Some(mut metric) = self.metrics.pop() else { return };
        match &mut metric.data {
            Some(Data::Gauge(gauge)) => gauge.points.push(self.number(sample, 0)),
            Some(Data::Sum(sum)) => {
                // Without the value, which is the last word.
                let series = line.rsplit_once(' ').map_or(line, |(series, _)| series);
                let start = self.start(series, sample.float());
                sum.points.push(self.number(sample, start));
            }
            Some(Data::Histogram(histogram)) => self.part(&metric.name, histogram, sample),
            None => {}
        }
        self.metrics.push(metric);
    }

    fn number(&self, sample: MetricSample<'_>, start: u64) -> NumberPoint {
        let value = match sample.value.parse() {
            Ok(integer) => Number::Integer(integer),
            Err(_) => Number::Float(sample.float()),
        };
        let (attributes, time_unix_nano) = (sample.labels, self.now);
        NumberPoint { attributes, start_time_unix_nano: start, time_unix_nano, value: Some(value) }
    }

    /// Adds a line of a histogram to its point: its buckets come first, each with those below it, then sum and count.
    fn part(&mut self, name: &str, histogram: &mut Histogram, mut sample: MetricSample<'_>) {
        let bound = sample.labels.iter().position(|label| label.key == "le").map(|at| sample.labels.remove(at));
        if histogram.points.last().is_none_or(|point| point.attributes != sample.labels) {
            let attributes = std::mem::take(&mut sample.labels);
            histogram.points.push(HistogramPoint { attributes, time_unix_nano: self.now, ..Default::default() });
        }
        let Some(point) = histogram.points.last_mut() else { return };
        match sample.name.strip_prefix(name) {
            Some("_bucket") => {
                let below: u64 = point.bucket_counts.iter().sum();
                point.bucket_counts.push(sample.value.parse::<u64>().unwrap_or(below).saturating_sub(below));
                // The last one, without a bound, has none here.
                point.explicit_bounds.extend(bound.and_then(|label| finite(&label)));
            }
            Some("_sum") => point.sum = Some(sample.float()),
            Some("_count") => {
                point.count = sample.value.parse().unwrap_or_default();
                let series = format!("{name}{:?}", point.attributes);
                point.start_time_unix_nano = self.start(&series, point.count as f64);
            }
            _ => {}
        }
    }

    fn start(&mut self, series: &str, value: f64) -> u64 {
        let start = match self.last.get(series) {
            Some(since) if since.value <= value => since.start,
            // New, or begun again, at some time since the last look.
            _ => self.before,
        };
        self.next.insert(series.to_owned(), SeriesStart { start, value });
        start
    }
}

fn finite(label: &KeyValue) -> Option<f64> {
    match label.value.as_ref()?.value.as_ref()? {
        crate::telemetry::otlp::wire::Value::Text(text) => text.parse().ok().filter(|bound: &f64| bound.is_finite()),
        _ => None,
    }
}

struct MetricSample<'a> {
    name: &'a str,
    labels: Vec<KeyValue>,
    value: &'a str,
}

impl<'a> MetricSample<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let end = line.find(['{', ' '])?;
        let (name, mut rest) = line.split_at(end);
        let mut labels = Vec::new();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside;
            while !rest.starts_with('}') {
                let (key, after) = rest.split_once("=\"")?;
                let (value, after) = quoted(after)?;
                labels.push(attribute(key.trim_start_matches(','), value));
                rest = after;
            }
            rest = &rest[1..];
        }
        Some(Self { name, labels, value: rest.trim() })
    }

    /// `+Inf` and `NaN` are read too.
    fn float(&self) -> f64 {
        self.value.parse().unwrap_or(f64::NAN)
    }
}

/// What stands before the closing quotation mark, and what after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            _ => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::FunctionName;
    use crate::telemetry::exposition::HostMetrics;

    fn named<'a>(metrics: &'a [Metric], name: &str) -> &'a Metric {
        metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("{name} in {metrics:?}"))
    }

    fn sum(metric: &Metric) -> &Sum {
        match &metric.data {
            Some(Data::Sum(sum)) => sum,
            other => panic!("a sum: {other:?}"),
        }
    }

    #[test]
    fn what_is_shown_is_read() {
        let all = HostMetrics::default();
        let mill = all.function(&FunctionName::new("mill").unwrap());
        mill.received.inc_by(7);
        mill.instances.set(3);
        for seconds in [0.5, 2e-6, 1000.0] {
            mill.call_seconds.observe(seconds);
        }
        mill.count_written(&"a\"b\\c".into(), 2);
        let metrics = SeriesStarts::new(10).read(&all.render(Vec::new()), 20);

        let received = named(&metrics, "millstream_records_received_total");
        assert!(received.description.starts_with("Records taken from Kafka"), "{received:?}");
        let point = &sum(received).points[0];
        assert_eq!(point.attributes, [attribute("function", "mill")]);
        assert_eq!((point.value, point.start_time_unix_nano, point.time_unix_nano), (Some(Number::Integer(7)), 10, 20));
        assert!(sum(received).is_monotonic);
        let written = &sum(named(&metrics, "millstream_messages_written_total")).points[0];
        assert_eq!(written.attributes[1], attribute("topic", "a\"b\\c"));

        let Some(Data::Gauge(instances)) = &named(&metrics, "millstream_instances").data else { panic!("a gauge") };
        assert_eq!(instances.points[0].value, Some(Number::Integer(3)));

        let calls = named(&metrics, "millstream_call_duration_seconds");
        let Some(Data::Histogram(calls)) = &calls.data else { panic!("a histogram: {calls:?}") };
        let point = &calls.points[0];
        assert_eq!((point.count, point.start_time_unix_nano), (3, 10));
        assert!(point.sum.is_some_and(|sum| (sum - 1_000.500_002).abs() < 1e-9), "{point:?}");
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        assert_eq!((point.bucket_counts.iter().sum::<u64>(), point.bucket_counts.last()), (3, Some(&1)));
        assert!(point.explicit_bounds.is_sorted());
        assert_eq!(point.attributes, [attribute("function", "mill")]);
        assert!(metrics.iter().all(|metric| metric.data.is_some()), "{metrics:?}");
    }

    #[test]
    fn what_starts_anew_says_so() {
        let mut starts = SeriesStarts::new(10);
        let text = |count: u64| format!("# HELP a_total A.\n# TYPE a_total counter\na_total{{f=\"x y\"}} {count}\n");
        let mut start = |count, now| sum(&starts.read(&text(count), now)[0]).points[0].start_time_unix_nano;
        assert_eq!(start(5, 20), 10);
        assert_eq!(start(6, 30), 10);
        assert_eq!(start(1, 40), 30, "it was 6");
        assert_eq!(start(1, 50), 30);
    }
}
