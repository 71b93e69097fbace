//! Looks at dead letters: the newest first, or one by its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::offset_target::OffsetTarget;
use crate::kafka::admin::{AdminError, PartitionBounds};
use crate::kafka::read::range::{self, PartitionRange};
use crate::model::function::Revision;
use crate::model::ids::FunctionName;
use crate::model::position::TopicPartition;
use crate::redrive::cursor::UpperBounds;
use crate::redrive::letter::DeadLetter;
use crate::redrive::marks::RedriveMark;
use crate::redrive::{DeadLetters, LettersError};

/// The fewest records that are looked at in a partition at once.
const SMALLEST_WINDOW: i64 = 50;
/// The most records that are looked at for one page: others may share the topic.
const MOST_RECORDS: i64 = 20_000;

/// Some of a function's dead letters.
#[derive(Debug)]
pub(crate) struct LetterPage {
    pub(crate) topic: Arc<str>,
    /// The newest first, each with what became of it.
    pub(crate) letters: Vec<(DeadLetter, Option<RedriveMark>)>,
    /// Where older ones are, when there may be some.
    pub(crate) older: Option<UpperBounds>,
}

impl DeadLetters {
    /// The newest dead letters of a function, at most `limit` of them; of those below `before`.
    pub(crate) async fn page(
        &self,
        live: &Revision,
        limit: usize,
        before: Option<UpperBounds>,
    ) -> Result<LetterPage, LettersError> {
        let topic: Arc<str> = live.manifest.dead_letter_topic.as_str().into();
        let places = self.places(&topic).await?;
        let mut stacks: Vec<LetterStack> =
            places.iter().map(|place| LetterStack::new(place, before.as_ref())).collect();
        let mut letters = Vec::new();
        let mut window = (limit as i64).max(SMALLEST_WINDOW);
        let mut looked_at = 0;
        while letters.len() < limit {
            let parts: Vec<PartitionRange> =
                stacks.iter().filter(|stack| stack.starves()).map(|stack| stack.next(window)).collect();
            if !parts.is_empty() {
                if looked_at >= MOST_RECORDS {
                    break;
                }
                looked_at += parts.iter().map(|(_, offsets)| offsets.end - offsets.start).sum::<i64>();
                self.fill(&mut stacks, parts, &live.manifest.name).await?;
                window = (window * 2).min(MOST_RECORDS / 4);
                continue;
            }
            let newest = stacks.iter_mut().max_by_key(|stack| stack.letters.last().map(|letter| letter.written_ms));
            match newest.and_then(|stack| stack.letters.pop()) {
                Some(letter) => letters.push(letter),
                None => break,
            }
        }
        let older: BTreeMap<i32, i64> = stacks.iter().filter_map(LetterStack::left).collect();
        let marks = self.0.marks.of(&letters).await?;
        let older = (!older.is_empty()).then_some(UpperBounds(older));
        Ok(LetterPage { topic, letters: letters.into_iter().zip(marks).collect(), older })
    }

    /// The dead letter at a place, with what became of it; nothing when there is none of the function.
    pub(crate) async fn letter(
        &self,
        live: &Revision,
        partition: i32,
        offset: i64,
    ) -> Result<Option<(DeadLetter, Option<RedriveMark>)>, LettersError> {
        let letter = self.read_at(live, &[(partition, offset)]).await?.pop();
        let Some(letter) = letter else { return Ok(None) };
        let mark = self.0.marks.of(std::slice::from_ref(&letter)).await?.pop().flatten();
        Ok(Some((letter, mark)))
    }

    /// The letters at these places, those that there are, in the order of their places.
    pub(crate) async fn read_at(
        &self,
        live: &Revision,
        wanted: &[(i32, i64)],
    ) -> Result<Vec<DeadLetter>, LettersError> {
        let topic: Arc<str> = live.manifest.dead_letter_topic.as_str().into();
        let is_there = |place: &PartitionBounds, offset: i64| (place.beginning..place.end).contains(&offset);
        let mut letters = Vec::new();
        for place in self.places(&topic).await? {
            let number = place.partition.partition;
            let mut offsets: Vec<i64> = wanted
                .iter()
                .filter(|(partition, offset)| *partition == number && is_there(&place, *offset))
                .map(|(_, offset)| *offset)
                .collect();
            offsets.sort_unstable();
            offsets.dedup();
            // Letters that lie close together are read in one go.
            for near in offsets.chunk_by(|one, next| next - one <= SMALLEST_WINDOW) {
                let part = (place.partition.clone(), near[0]..near[near.len() - 1] + 1);
                let found = self.read(vec![part], &live.manifest.name).await?;
                letters.extend(found.into_iter().filter(|letter| near.contains(&letter.offset)));
            }
        }
        Ok(letters)
    }

    /// The partitions of a dead letter topic, with their beginnings and ends. None when it was never made.
    pub(crate) async fn places(&self, topic: &str) -> Result<Vec<PartitionBounds>, LettersError> {
        let admin = &self.0.ground.environment.admin;
        match admin.partitions_of(vec![topic.to_owned()]).await {
            Ok(partitions) => Ok(admin.locate(partitions, OffsetTarget::Earliest).await?),
            Err(AdminError::MissingTopics(_)) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// The letters of `function` in these parts of one topic.
    pub(crate) async fn read(
        &self,
        parts: Vec<PartitionRange>,
        function: &FunctionName,
    ) -> Result<Vec<DeadLetter>, LettersError> {
        let mut portions = range::read(&self.0.ground.environment.kafka, parts);
        let mut letters = Vec::new();
        while let Some(portion) = portions.recv().await {
            letters.extend(portion?.into_iter().filter_map(|record| DeadLetter::read(record, function)));
        }
        Ok(letters)
    }

    async fn fill(
        &self,
        stacks: &mut [LetterStack],
        parts: Vec<PartitionRange>,
        function: &FunctionName,
    ) -> Result<(), LettersError> {
        for (partition, offsets) in &parts {
            if let Some(stack) = stacks.iter_mut().find(|stack| stack.partition == *partition) {
                stack.looked_at = offsets.start;
            }
        }
        for letter in self.read(parts, function).await? {
            if let Some(stack) = stacks.iter_mut().find(|stack| stack.partition == letter.partition) {
                stack.letters.push(letter);
            }
        }
        Ok(())
    }
}

/// The letters of a partition that are not on the page yet, the newest on top.
struct LetterStack {
    partition: TopicPartition,
    beginning: i64,
    /// From here on it was looked at.
    looked_at: i64,
    letters: Vec<DeadLetter>,
}

impl LetterStack {
    fn new(place: &PartitionBounds, before: Option<&UpperBounds>) -> Self {
        let PartitionBounds { partition, beginning, end, .. } = place;
        let bound = match before {
            // A partition that the text does not name has nothing older.
            Some(UpperBounds(bounds)) => bounds.get(&partition.partition).copied().unwrap_or(*beginning),
            None => *end,
        };
        let looked_at = bound.clamp(*beginning, *end);
        Self { partition: partition.clone(), beginning: *beginning, looked_at, letters: Vec::new() }
    }

    /// Whether more must be looked at before anyone knows which letter is the newest.
    fn starves(&self) -> bool {
        self.letters.is_empty() && self.looked_at > self.beginning
    }

    fn next(&self, window: i64) -> PartitionRange {
        (self.partition.clone(), (self.looked_at - window).max(self.beginning)..self.looked_at)
    }

    /// Where older letters are, if there may be some.
    fn left(&self) -> Option<(i32, i64)> {
        let bound = self.letters.last().map_or(self.looked_at, |letter| letter.offset + 1);
        (bound > self.beginning).then_some((self.partition.partition, bound))
    }
}
