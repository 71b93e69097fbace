//! One generation of a consumer group as a member saw it: what a transaction shows Kafka, to prove that its host is not a
//! zombie.
//!
//! It is taken when a rebalance is heard of, and never later. Kafka does not check who owns a partition: a host that was
//! halted, joined again and then showed its *fresh* generation would commit over its successor (tried on Kafka 4.1).

#![allow(unsafe_code, reason = "rdkafka keeps the generation's number to itself; its library tells it")]

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::bindings as ffi;
use rdkafka::client::NativeClient;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, ConsumerGroupMetadata};

/// See the module. Retired for good as soon as the group changes.
pub(crate) struct GroupGeneration {
    pub(crate) metadata: ConsumerGroupMetadata,
    number: i32,
    member: String,
    is_current: Arc<AtomicBool>,
}

impl GroupGeneration {
    /// The generation that `consumer` is in; none while it is in no group.
    pub(crate) fn of<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<Self> {
        let before = identity(consumer.client().native_client())?;
        let metadata = consumer.group_metadata()?;
        // The numbers of a member only grow, so what lies between two equal ones is the same.
        let after = identity(consumer.client().native_client())?;
        let (number, member) = (before == after).then_some(after)?;
        // Kafka takes offsets without a generation from anyone while the group is empty.
        let is_member = number > 0 && !member.is_empty();
        is_member.then(|| Self { metadata, number, member, is_current: Arc::new(AtomicBool::new(true)) })
    }

    /// Whether the group has not changed since, as far as this host heard.
    pub(crate) fn is_current(&self) -> bool {
        self.is_current.load(Ordering::Acquire)
    }

    pub(crate) fn retire(&self) {
        self.is_current.store(false, Ordering::Release);
    }

    /// With KIP-848 the number of a member moves on while its partitions stay, and no rebalance reports it. It may be read
    /// again as long as the member is the same and heard of no rebalance: anyone who was expelled hears of one before it may
    /// join again. What is read is retired together with this one.
    pub(crate) fn renewed<C: ConsumerContext>(&self, consumer: &BaseConsumer<C>) -> Option<Self> {
        let fresh = Self::of(consumer)?;
        let is_same = fresh.member == self.member && !consumer.assignment_lost() && self.is_current();
        is_same.then(|| Self { is_current: self.is_current.clone(), ..fresh })
    }
}

impl std::fmt::Debug for GroupGeneration {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Generation({} of {}, current: {})", self.number, self.member, self.is_current())
    }
}

fn identity(client: &NativeClient) -> Option<(i32, String)> {
    // SAFETY: the client lives as long as the borrow. The metadata is this function's own, checked not to be null, and
    // destroyed once; the member's id is a C string that lives as long as the metadata and is copied before.
    unsafe {
        let metadata = ffi::rd_kafka_consumer_group_metadata(client.ptr());
        if metadata.is_null() {
            return None;
        }
        let number = ffi::rd_kafka_consumer_group_metadata_generation_id(metadata);
        let member = ffi::rd_kafka_consumer_group_metadata_member_id(metadata);
        let member = match member.is_null() {
            true => String::new(),
            false => CStr::from_ptr(member).to_string_lossy().into_owned(),
        };
        ffi::rd_kafka_consumer_group_metadata_destroy(metadata);
        Some((number, member))
    }
}
