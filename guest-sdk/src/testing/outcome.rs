//! What came of the event of a test.

use std::time::Duration;

use millstream_flat::{Answer, Emission, EmissionKey, Verdict};
use serde::de::DeserializeOwned;

use crate::Failure;

/// What came of the event. The assertions return it again, so that they can be chained.
#[derive(Debug, Clone)]
pub struct Outcome {
    result: Result<Vec<Emitted>, Failure>,
}

/// One emission, as the host would read it.
#[derive(Debug, Clone)]
pub struct Emitted {
    output: String,
    key: Option<Vec<u8>>,
    data: Option<Vec<u8>>,
    id: Option<String>,
    source: Option<String>,
    type_: Option<String>,
    subject: Option<String>,
    time: Option<String>,
    content_type: Option<String>,
    data_schema: Option<String>,
    extensions: Vec<(String, String)>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Outcome {
    /// Reads the only verdict of `answer`.
    pub(super) fn read(answer: &Answer<'_>, input_key: Option<&[u8]>) -> Self {
        let result = match answer.verdicts().next() {
            Some(Verdict::Emitted(emissions)) => {
                Ok(emissions.iter().map(|emission| Emitted::read(&emission, input_key)).collect())
            }
            Some(Verdict::Retry { after_ms: Some(ms), reason }) => {
                Err(Failure::retry_after(Duration::from_millis(ms), reason))
            }
            Some(Verdict::Retry { after_ms: None, reason }) => Err(Failure::retry(reason)),
            Some(Verdict::Reject { reason }) => Err(Failure::reject(reason)),
            None => panic!("the answer has no verdict"),
        };
        Self { result }
    }

    /// The failure, if the handler returned one.
    pub fn failure(&self) -> Option<&Failure> {
        self.result.as_ref().err()
    }

    /// The emissions in order.
    ///
    /// # Panics
    ///
    /// When the handler failed.
    #[track_caller]
    pub fn emissions(&self) -> &[Emitted] {
        match &self.result {
            Ok(emissions) => emissions,
            Err(failure) => panic!("the function emitted nothing, it failed: {failure:?}"),
        }
    }

    /// The emission at `index`, counted from 0.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[track_caller]
    pub fn emission(&self, index: usize) -> &Emitted {
        let emissions = self.emissions();
        match emissions.get(index) {
            Some(emission) => emission,
            None => panic!("there is no emission {index}, the function emitted {}", emissions.len()),
        }
    }

    /// The outputs of the emissions in order.
    #[track_caller]
    pub fn outputs(&self) -> Vec<&str> {
        self.emissions().iter().map(Emitted::output).collect()
    }

    /// Asserts that exactly so many events were emitted.
    #[track_caller]
    pub fn assert_emitted(&self, count: usize) -> &Self {
        let emissions = self.emissions();
        assert_eq!(emissions.len(), count, "the function emitted {emissions:#?}");
        self
    }

    /// Asserts that something was emitted, and that all of it goes to `output`.
    #[track_caller]
    pub fn assert_output(&self, output: &str) -> &Self {
        let outputs = self.outputs();
        let is_there_alone = !outputs.is_empty() && outputs.iter().all(|found| *found == output);
        assert!(is_there_alone, "not everything went to {output:?}, but to {outputs:?}");
        self
    }

    /// Asserts that the event was rejected, with a reason that contains `reason`.
    #[track_caller]
    pub fn assert_rejected(&self, reason: &str) -> &Self {
        let is_so = matches!(&self.result, Err(Failure::Reject { reason: found }) if found.contains(reason));
        assert!(is_so, "the function did not reject with {reason:?}: {:?}", self.result);
        self
    }

    /// Asserts that another attempt is asked for, with a reason that contains `reason`.
    #[track_caller]
    pub fn assert_retry(&self, reason: &str) -> &Self {
        let is_so = matches!(&self.result, Err(Failure::Retry { reason: found, .. }) if found.contains(reason));
        assert!(is_so, "the function did not ask for a retry with {reason:?}: {:?}", self.result);
        self
    }

    /// Asserts that another attempt is asked for after exactly this long.
    #[track_caller]
    pub fn assert_retry_after(&self, wait: Duration) -> &Self {
        let is_so = matches!(&self.result, Err(Failure::Retry { after: Some(after), .. }) if *after == wait);
        assert!(is_so, "the function did not ask for a retry after {wait:?}: {:?}", self.result);
        self
    }
}

impl Emitted {
    fn read(emission: &Emission<'_>, input_key: Option<&[u8]>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            output: emission.output().to_owned(),
            key: match emission.key() {
                EmissionKey::Inherit => input_key.map(Into::into),
                EmissionKey::None => None,
                EmissionKey::Bytes(key) => Some(key.into()),
            },
            data: emission.data().map(Into::into),
            id: owned(emission.id()),
            source: owned(emission.source()),
            type_: owned(emission.type_()),
            subject: owned(emission.subject()),
            time: owned(emission.time()),
            content_type: owned(emission.datacontenttype()),
            data_schema: owned(emission.dataschema()),
            extensions: emission.extensions().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            headers: emission.headers().map(|(name, value)| (name.to_owned(), value.map(Into::into))).collect(),
        }
    }

    /// The output's name: `default` where the function gave none.
    pub fn output(&self) -> &str {
        &self.output
    }

    /// The key that the record will have, the input's where the function said nothing.
    pub fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    /// The data; none for a tombstone.
    pub fn data(&self) -> Option<&[u8]> {
        self.data.as_deref()
    }

    /// The data as text.
    ///
    /// # Panics
    ///
    /// When it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        match std::str::from_utf8(self.data().unwrap_or_default()) {
            Ok(text) => text,
            Err(error) => panic!("the emitted data isn't text: {error}"),
        }
    }

    /// The data, read as JSON.
    ///
    /// # Panics
    ///
    /// When it isn't such JSON.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(self.data().unwrap_or_default()) {
            Ok(value) => value,
            Err(error) => panic!("the emitted data is not the expected JSON: {error}"),
        }
    }

    /// `id`, if the function set it.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// `source`, if the function set it.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// `type`, if the function set it.
    pub fn type_(&self) -> Option<&str> {
        self.type_.as_deref()
    }

    /// `subject`.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// `time`.
    pub fn time(&self) -> Option<&str> {
        self.time.as_deref()
    }

    /// `datacontenttype`.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// `dataschema`.
    pub fn data_schema(&self) -> Option<&str> {
        self.data_schema.as_deref()
    }

    /// Extension attributes in order.
    pub fn extensions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.extensions.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The extension attribute `name`.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Kafka headers in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.headers.iter().map(|(name, value)| (&**name, value.as_deref()))
    }

    /// The value of the last Kafka header of this name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().filter(|(found, _)| *found == name).last()?.1
    }
}
