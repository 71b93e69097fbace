//! The answers to calls with an idempotency key, for a while: so many a function, so many bytes in all.

use parking_lot::{Mutex, MutexGuard};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

use crate::api::invoke::view::{Invocation, Invocations};
use crate::api::problem::ApiProblem;
use crate::error_code::ErrorCode;
use crate::model::ids::FunctionName;

const KNOWN_FOR: Duration = Duration::from_secs(600);
const KEYS_OF_A_FUNCTION: usize = 1000;
const BYTES: usize = 32 << 20;

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// An answer that was given.
#[derive(Debug, Clone)]
pub(crate) struct StoredAnswer {
    pub(crate) outcome: Cow<'static, str>,
    pub(crate) body: Arc<Bytes>,
}

/// The answers of a host. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct IdempotencyCache(Arc<Mutex<CachedAnswers>>);

#[derive(Default)]
struct CachedAnswers {
    answers: HashMap<CacheKey, CacheEntry>,
    order: VecDeque<(Instant, CacheKey)>,
    of_function: HashMap<FunctionName, usize>,
    bytes: usize,
}

type CacheKey = (FunctionName, Arc<str>);

struct CacheEntry {
    fingerprint: [u8; 32],
    /// Nothing while the call is under way.
    answer: Option<StoredAnswer>,
    since: Instant,
}

pub(crate) enum KeyClaim {
    Answered(StoredAnswer),
    Yours(PendingCall),
}

/// A call under way. Dropped without an answer, its key is free again.
pub(crate) struct PendingCall {
    answers: IdempotencyCache,
    name: CacheKey,
    is_kept: bool,
}

impl IdempotencyCache {
    /// Begins a call with a key, or finds its answer.
    pub(crate) fn turn(
        &self,
        function: &FunctionName,
        key: &str,
        fingerprint: [u8; 32],
    ) -> Result<KeyClaim, ApiProblem> {
        let name: CacheKey = (function.clone(), key.into());
        let mut known = self.known();
        known.forget_old(function, Instant::now());
        if let Some(entry) = known.answers.get(&name) {
            if entry.fingerprint != fingerprint {
                return Err(ApiProblem::new(ErrorCode::IdempotencyKeyReused));
            }
            return match &entry.answer {
                Some(kept) => Ok(KeyClaim::Answered(kept.clone())),
                None => Err(ApiProblem::new(ErrorCode::RequestInProgress)),
            };
        }
        let since = Instant::now();
        known.answers.insert(name.clone(), CacheEntry { fingerprint, answer: None, since });
        known.order.push_back((since, name.clone()));
        *known.of_function.entry(function.clone()).or_default() += 1;
        Ok(KeyClaim::Yours(PendingCall { answers: self.clone(), name, is_kept: false }))
    }

    fn known(&self) -> MutexGuard<'_, CachedAnswers> {
        self.0.lock()
    }
}

impl CachedAnswers {
    /// Makes room for one more key of `function`.
    fn forget_old(&mut self, function: &FunctionName, now: Instant) {
        while let Some((since, _)) = self.order.front()
            && (now.duration_since(*since) > KNOWN_FOR || self.bytes > BYTES)
        {
            let Some((since, name)) = self.order.pop_front() else { break };
            self.remove(&name, since);
        }
        if self.of_function.get(function).is_some_and(|keys| *keys >= KEYS_OF_A_FUNCTION)
            && let Some(at) = self.order.iter().position(|(_, (of, _))| of == function)
            && let Some((since, name)) = self.order.remove(at)
        {
            self.remove(&name, since);
        }
    }

    /// Forgets the entry that was made then; a later one of the same name stays.
    fn remove(&mut self, name: &CacheKey, since: Instant) {
        if self.answers.get(name).is_none_or(|entry| entry.since != since) {
            return;
        }
        let Some(entry) = self.answers.remove(name) else { return };
        self.bytes -= entry.answer.map_or(0, |kept| kept.body.len());
        if let Some(keys) = self.of_function.get_mut(&name.0) {
            *keys -= 1;
            if *keys == 0 {
                self.of_function.remove(&name.0);
            }
        }
    }
}

impl PendingCall {
    /// Keeps the answer for anyone who comes with the same key.
    pub(crate) fn keep(mut self, answer: StoredAnswer) {
        self.is_kept = true;
        let mut known = self.answers.known();
        let bytes = answer.body.len();
        // It may have had to give way meanwhile.
        let Some(entry) = known.answers.get_mut(&self.name) else { return };
        entry.answer = Some(answer);
        known.bytes += bytes;
    }
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let mut known = self.answers.known();
        let Some(since) = known.answers.get(&self.name).map(|entry| entry.since) else { return };
        known.remove(&self.name, since);
        known.order.retain(|(then, name)| (*then, name) != (since, &self.name));
    }
}

impl StoredAnswer {
    pub(crate) fn of(invocation: &Invocation) -> Self {
        Self::new(invocation.outcome(), invocation)
    }

    pub(crate) fn of_batch(invocations: &Invocations) -> Self {
        let failed = invocations.results.iter().map(Invocation::outcome).find(|outcome| outcome != "emitted");
        Self::new(failed.unwrap_or(Cow::Borrowed("emitted")), invocations)
    }

    fn new(outcome: Cow<'static, str>, body: &impl Serialize) -> Self {
        // Structs of texts and numbers always become JSON.
        Self { outcome, body: Arc::new(serde_json::to_vec(body).unwrap_or_default().into()) }
    }

    /// The answer for someone who had it before, or could have.
    pub(crate) fn into_response_again(self) -> Response {
        let mut response = self.into_response();
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> FunctionName {
        FunctionName::new(name).unwrap()
    }

    fn kept(bytes: usize) -> StoredAnswer {
        StoredAnswer { outcome: "emitted".into(), body: Arc::new(vec![b'x'; bytes].into()) }
    }

    fn begin(answers: &IdempotencyCache, key: &str) -> PendingCall {
        match answers.turn(&name("mill"), key, [0; 32]) {
            Ok(KeyClaim::Yours(calling)) => calling,
            Ok(KeyClaim::Answered(_)) => panic!("{key} was answered before"),
            Err(problem) => panic!("{key}: {}", problem.text()),
        }
    }

    fn code(answers: &IdempotencyCache, function: &str, key: &str, fingerprint: [u8; 32]) -> Option<ErrorCode> {
        answers.turn(&name(function), key, fingerprint).err().map(|problem| problem.code())
    }

    #[test]
    fn a_key_is_one_call_with_one_answer() {
        let answers = IdempotencyCache::default();
        let calling = begin(&answers, "k");
        assert_eq!(code(&answers, "mill", "k", [0; 32]), Some(ErrorCode::RequestInProgress));
        assert_eq!(code(&answers, "mill", "k", [1; 32]), Some(ErrorCode::IdempotencyKeyReused));
        calling.keep(kept(3));
        assert!(
            matches!(answers.turn(&name("mill"), "k", [0; 32]), Ok(KeyClaim::Answered(kept)) if kept.body.len() == 3)
        );
        assert_eq!(code(&answers, "mill", "k", [1; 32]), Some(ErrorCode::IdempotencyKeyReused));
        assert_eq!(code(&answers, "other", "k", [1; 32]), None, "keys are a function's own");
    }

    #[test]
    fn a_call_that_came_to_nothing_leaves_its_key_free() {
        let answers = IdempotencyCache::default();
        drop(begin(&answers, "k"));
        drop(begin(&answers, "k"));
        let known = answers.known();
        assert!(known.answers.is_empty() && known.order.is_empty() && known.of_function.is_empty());
    }

    #[test]
    fn the_oldest_answers_give_way() {
        let answers = IdempotencyCache::default();
        for key in 0..KEYS_OF_A_FUNCTION + 1 {
            begin(&answers, &key.to_string()).keep(kept(1));
        }
        assert_eq!(answers.known().answers.len(), KEYS_OF_A_FUNCTION);
        begin(&answers, "0").keep(kept(BYTES + 1));
        begin(&answers, "last").keep(kept(1));
        let size = |known: &CachedAnswers| (known.answers.len(), known.bytes);
        assert_eq!(size(&answers.known()), (1, 1));
        let later = Instant::now() + KNOWN_FOR + Duration::from_secs(1);
        answers.known().forget_old(&name("mill"), later);
        assert_eq!(size(&answers.known()), (0, 0));
    }
}
