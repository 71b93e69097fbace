//! Handles dead letters again, some at a time: the guests run first, then all that came of it is written in one transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::consume::decode::RawFields;
use crate::execute::completion::{self, RecordOutcome};
use crate::execute::revisions::CallableRevision;
use crate::execute::work::WorkOrigin;
use crate::kafka::produce::producer::OutgoingMessage;
use crate::kafka::read::range;
use crate::kafka::topic_log::{LogWriter, TopicLogError};
use crate::model::clock::now_ms;
use crate::model::function::{EventFormat, SharedRevision};
use crate::model::ids::FunctionName;
use crate::model::outcome::GuestFault;
use crate::model::record::{OwnedHeader, RecordHeaders, header_refs};
use crate::model::stamp::REDRIVEN;
use crate::redrive::cursor::RemainingRanges;
use crate::redrive::letter::DeadLetter;
use crate::redrive::marks::{self, RedriveMark};
use crate::redrive::{DeadLetters, LettersError, blocking};
use crate::telemetry::function_metrics::FunctionMetrics;

const TOGETHER: usize = 50;
const MOST_LETTERS: usize = 500;
/// After so long the rest is left to the next request.
const LONGEST: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
pub(crate) struct RedrivePlan {
    pub(crate) which: LetterSelection,
    /// By which revision; the live one when it is absent.
    pub(crate) revision: Option<SharedRevision>,
    /// Whether also those that were handled again before.
    pub(crate) force: bool,
    /// What is put in place of what the record was. For one letter alone.
    pub(crate) edit: Option<RecordOverride>,
}

#[derive(Debug, Clone)]
pub(crate) enum LetterSelection {
    /// All that there are now, or those that an earlier answer left.
    All(Option<RemainingRanges>),
    /// Those at these places: partition and offset.
    These(Vec<(i32, i64)>),
}

/// What is put in place of what a record was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RecordOverride {
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Option<Vec<OwnedHeader>>,
}

/// What came of an order.
#[derive(Debug)]
pub(crate) struct RedriveReport {
    pub(crate) by: SharedRevision,
    /// What became of each letter, in their order.
    pub(crate) outcomes: Vec<LetterOutcome>,
    /// What is left of all of them.
    pub(crate) left: Option<RemainingRanges>,
}

/// What became of one letter.
#[derive(Debug)]
pub(crate) struct LetterOutcome {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) what: LetterResult,
}

/// What became of a letter.
#[derive(Debug)]
pub(crate) enum LetterResult {
    /// So many events were emitted.
    Emitted(usize),
    /// It is a dead letter again, a new one.
    GivenUp(GuestFault),
    /// It was redriven before, and the order does not insist.
    Before(RedriveMark),
    /// Nothing: it stays as it is.
    Not(String),
}

impl DeadLetters {
    /// Handles letters again; to the end, also when the caller does not wait: half a transaction helps no one.
    pub(crate) async fn redrive(
        &self,
        live: SharedRevision,
        order: RedrivePlan,
    ) -> Result<RedriveReport, LettersError> {
        let this = self.clone();
        let work = tokio::spawn(async move {
            let _turn = this.0.turn.lock().await;
            this.work(&live, order).await
        });
        work.await.unwrap_or(Err(LettersError::Interrupted))
    }

    async fn work(&self, live: &SharedRevision, order: RedrivePlan) -> Result<RedriveReport, LettersError> {
        let RedrivePlan { which, revision, force, edit } = order;
        let callable = self.callable(live, revision).await?;
        let (mut letters, mut missing, mut left) = match which {
            LetterSelection::All(parts) => {
                let (letters, left) = self.first_of(live, parts).await?;
                (letters, Vec::new(), left)
            }
            LetterSelection::These(places) => {
                let letters = self.read_at(live, &places).await?;
                let is_there = |place: &(i32, i64)| {
                    letters.iter().any(|letter| (letter.partition.partition, letter.offset) == *place)
                };
                let missing: Vec<_> = places.iter().filter(|place| !is_there(place)).copied().collect();
                (letters, missing, RemainingRanges::default())
            }
        };
        if let (Some(edit), [letter]) = (edit, letters.as_mut_slice()) {
            edit.apply(letter);
        }
        let nothing = || LetterResult::Not("there is no such dead letter of the function".to_owned());
        let mut outcomes: Vec<LetterOutcome> =
            missing.drain(..).map(|(partition, offset)| LetterOutcome { partition, offset, what: nothing() }).collect();
        if !letters.is_empty() {
            self.0.marks.make_topic().await?;
        }
        let began = Instant::now();
        let mut rest = letters.as_slice();
        while !rest.is_empty() && (outcomes.is_empty() || began.elapsed() < LONGEST) {
            let (now, later) = rest.split_at(rest.len().min(TOGETHER));
            outcomes.extend(self.together(&callable, now, force).await?);
            rest = later;
        }
        for letter in rest {
            // Within a partition they are in order: the first that is left says where to continue.
            let number = letter.partition.partition;
            let end =
                letters.iter().filter(|other| other.partition == letter.partition).map(|other| other.offset + 1).max();
            let part = left.0.entry(number).or_insert(letter.offset..end.unwrap_or(letter.offset));
            part.start = part.start.min(letter.offset);
        }
        let left = (!left.0.is_empty()).then_some(left);
        Ok(RedriveReport { by: callable.revision.clone(), outcomes, left })
    }

    async fn callable(
        &self,
        live: &SharedRevision,
        wanted: Option<SharedRevision>,
    ) -> Result<Arc<CallableRevision>, LettersError> {
        match wanted.filter(|wanted| wanted.number != live.number) {
            None => Ok(self.0.functions.callable(&live.manifest.name)?),
            Some(wanted) => {
                let lines = self.0.functions.lines(&live.manifest.name).unwrap_or_default();
                let metrics = Arc::<FunctionMetrics>::default();
                let callable = self.0.ground.callable_with_lines(&wanted, metrics, lines).await;
                callable.map(Arc::new).map_err(LettersError::NotStarted)
            }
        }
    }

    /// The first letters of `parts`, or of all, and what is left.
    async fn first_of(
        &self,
        live: &SharedRevision,
        parts: Option<RemainingRanges>,
    ) -> Result<(Vec<DeadLetter>, RemainingRanges), LettersError> {
        let topic = &live.manifest.dead_letter_topic;
        let mut left = RemainingRanges::default();
        let mut wanted = Vec::new();
        for place in self.places(topic).await? {
            let number = place.partition.partition;
            let there = place.beginning..place.end;
            let part = match &parts {
                None => there,
                Some(RemainingRanges(parts)) => match parts.get(&number) {
                    Some(part) => part.start.max(there.start)..part.end.min(there.end),
                    None => continue,
                },
            };
            if !part.is_empty() {
                wanted.push((place.partition, part));
            }
        }
        let mut letters: Vec<DeadLetter> = Vec::new();
        for (partition, part) in wanted {
            if letters.len() >= MOST_LETTERS {
                left.0.insert(partition.partition, part);
                continue;
            }
            let mut portions = range::read(&self.0.ground.environment.kafka, vec![(partition.clone(), part.clone())]);
            'partition: while let Some(portion) = portions.recv().await {
                for record in portion? {
                    let Some(letter) = DeadLetter::read(record, &live.manifest.name) else { continue };
                    if letters.len() >= MOST_LETTERS {
                        left.0.insert(partition.partition, letter.offset..part.end);
                        break 'partition;
                    }
                    letters.push(letter);
                }
            }
        }
        Ok((letters, left))
    }

    /// Handles some letters, which readers of what comes of them see as one.
    async fn together(
        &self,
        callable: &Arc<CallableRevision>,
        letters: &[DeadLetter],
        force: bool,
    ) -> Result<Vec<LetterOutcome>, LettersError> {
        let name = &callable.revision.manifest.name;
        // From here on no other redrive of the function can write, so that the marks that are read now are all.
        let writer = self.open(name).await?;
        let marks = self.0.marks.of(letters).await?;
        let mut whats: Vec<Option<LetterResult>> =
            marks.into_iter().map(|mark| mark.filter(|_| !force).map(LetterResult::Before)).collect();
        let mut due = Vec::new();
        for (index, letter) in letters.iter().enumerate() {
            if whats[index].is_some() {
                continue;
            }
            match self.whole(letter).await? {
                Ok(letter) => due.push((index, letter)),
                Err(reason) => whats[index] = Some(LetterResult::Not(reason)),
            }
        }
        let ran = run_all(callable, due).await;
        for (index, what) in self.write(callable, writer, letters, ran).await? {
            whats[index] = Some(what);
        }
        let outcome = |(letter, what): (&DeadLetter, Option<LetterResult>)| LetterOutcome {
            partition: letter.partition.partition,
            offset: letter.offset,
            what: what.unwrap_or_else(|| LetterResult::Not("it was passed over".to_owned())),
        };
        Ok(letters.iter().zip(whats).map(outcome).collect())
    }

    /// The letter with its value, or why that can't be had.
    async fn whole(&self, letter: &DeadLetter) -> Result<Result<DeadLetter, String>, LettersError> {
        if !letter.is_truncated {
            return Ok(Ok(letter.clone()));
        }
        let source = &letter.source;
        let gone = || {
            format!(
                "its value was too large for the dead letter topic, and its record {}/{} is not in its topic any more",
                source.partition, source.offset
            )
        };
        let part = (source.partition.clone(), source.offset..source.offset + 1);
        let mut portions = range::read(&self.0.ground.environment.kafka, vec![part]);
        while let Some(portion) = portions.recv().await {
            let found = portion?.into_iter().find(|record| record.offset == source.offset);
            if let Some(record) = found.filter(|record| record.timestamp_ms == source.timestamp_ms) {
                return Ok(Ok(DeadLetter { value: record.value, is_truncated: false, ..letter.clone() }));
            }
        }
        Ok(Err(gone()))
    }

    async fn open(&self, name: &FunctionName) -> Result<LogWriter, LettersError> {
        let (settings, id) = (self.0.ground.environment.kafka.clone(), format!("{}redrive.{name}", self.0.prefix));
        let topic = self.0.marks.topic().to_owned();
        blocking(move || Ok(LogWriter::open(&settings, &id, &topic)?)).await
    }

    /// Writes what came of letters in one transaction; where Kafka refuses a message, in one for each.
    async fn write(
        &self,
        callable: &Arc<CallableRevision>,
        writer: LogWriter,
        letters: &[DeadLetter],
        ran: Vec<(usize, RecordOutcome)>,
    ) -> Result<Vec<(usize, LetterResult)>, LettersError> {
        if ran.is_empty() {
            return Ok(Vec::new());
        }
        let work = Arc::new(RedriveBatch::new(callable, self.0.marks.topic(), letters, ran));
        let all = work.clone();
        let written = blocking(move || {
            let indexes: Vec<usize> = (0..all.items.len()).collect();
            Ok(all.write(writer, &indexes))
        })
        .await?;
        let mut refused = vec![None; work.items.len()];
        match written {
            Ok(()) => {}
            Err(error) if error.is_refusal() => {
                for (index, refusal) in refused.iter_mut().enumerate() {
                    let (writer, one) = (self.open(&callable.revision.manifest.name).await?, work.clone());
                    match blocking(move || Ok(one.write(writer, &[index]))).await? {
                        Ok(()) => {}
                        Err(error) if error.is_refusal() => *refusal = Some(error.to_string()),
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            Err(error) => return Err(error.into()),
        }
        let what = |(item, refusal): (&RedriveItem, Option<String>)| {
            let what = match (refusal, &item.ran.outcome) {
                (Some(reason), _) => LetterResult::Not(format!("Kafka does not take what came of it: {reason}")),
                (None, Ok(emitted)) => LetterResult::Emitted(*emitted),
                (None, Err(fault)) => LetterResult::GivenUp(fault.clone()),
            };
            (item.index, what)
        };
        Ok(work.items.iter().zip(refused).map(what).collect())
    }
}

impl RecordOverride {
    fn apply(self, letter: &mut DeadLetter) {
        if let Some(value) = self.value {
            letter.value = Some(value);
            letter.is_truncated = false;
        }
        if let Some(headers) = self.headers {
            letter.headers = headers;
        }
    }
}

/// Runs letters, those of one lane one after another.
async fn run_all(callable: &CallableRevision, due: Vec<(usize, DeadLetter)>) -> Vec<(usize, RecordOutcome)> {
    let mut work = callable.work(WorkOrigin::Redrive);
    let mut indexes = Vec::with_capacity(due.len());
    for (index, letter) in due {
        let source = &letter.source;
        let headers: RecordHeaders<'_> = header_refs(&letter.headers).collect();
        let fields = RawFields {
            topic: &source.partition.topic,
            partition: source.partition.partition,
            offset: source.offset,
            timestamp_ms: source.timestamp_ms,
            key: letter.key.as_deref(),
            value: letter.value.as_deref(),
            headers: &headers,
        };
        work.add(&fields);
        indexes.push(index);
    }
    let ran = completion::run_in_lanes(callable, work.finish()).await;
    // No filter applies, so each letter has an outcome.
    indexes.into_iter().zip(ran).filter_map(|(index, ran)| Some((index, ran?))).collect()
}

/// What is to be written.
struct RedriveBatch {
    marks_topic: String,
    by: String,
    /// Topics of outputs that carry the guest's own headers alone.
    raw: Vec<String>,
    items: Vec<RedriveItem>,
}

struct RedriveItem {
    index: usize,
    letter: DeadLetter,
    ran: RecordOutcome,
}

impl RedriveBatch {
    fn new(
        callable: &CallableRevision,
        marks_topic: &str,
        letters: &[DeadLetter],
        ran: Vec<(usize, RecordOutcome)>,
    ) -> Self {
        let outputs = callable.revision.manifest.outputs.values();
        let raw =
            outputs.filter(|output| output.format == EventFormat::Raw).map(|output| output.topic.clone()).collect();
        let items =
            ran.into_iter().map(|(index, ran)| RedriveItem { index, letter: letters[index].clone(), ran }).collect();
        Self { marks_topic: marks_topic.to_owned(), by: callable.revision.stamp(), raw, items }
    }

    fn write(&self, mut writer: LogWriter, indexes: &[usize]) -> Result<(), TopicLogError> {
        match indexes.iter().try_for_each(|index| self.send(&mut writer, &self.items[*index])) {
            Ok(()) => writer.commit(),
            Err(error) => {
                // Readers see nothing behind an open transaction, so it is ended at once and not by its timeout.
                if let Err(error) = writer.abort() {
                    tracing::debug!(%error, "the broker has to end a transaction of a redrive");
                }
                Err(error)
            }
        }
    }

    fn send(&self, writer: &mut LogWriter, item: &RedriveItem) -> Result<(), TopicLogError> {
        let RecordOutcome { parcel, outcome, .. } = &item.ran;
        let place = item.letter.place();
        for message in &parcel.messages {
            let is_raw = outcome.is_ok() && self.raw.iter().any(|topic| **topic == *message.topic);
            let own = (!is_raw).then_some((REDRIVEN.as_bytes(), Some(place.as_bytes())));
            let OutgoingMessage { topic, key, value, headers } = OutgoingMessage::of(parcel, message);
            writer.publish(OutgoingMessage { topic, key, value, headers: headers.chain(own) })?;
        }
        let (what, emitted) = match outcome {
            Ok(emitted) => ("emitted", *emitted),
            Err(fault) => (fault.class.as_str(), 0),
        };
        let mark = RedriveMark::new(&item.letter, &self.by, what, emitted, now_ms());
        // A struct of texts and numbers always becomes JSON.
        let mark = serde_json::to_vec(&mark).unwrap_or_default();
        writer.send(&self.marks_topic, marks::key(&item.letter).as_bytes(), Some(&mark))
    }
}
