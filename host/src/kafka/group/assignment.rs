//! Changing what a group member has: by the difference where its group's protocol is cooperative, as a whole where it is
//! eager.

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::kafka::partition_list;

/// The strategy of members that come and go: a rebalance moves few partitions, in two phases.
pub(crate) const DYNAMIC: &str = "cooperative-sticky";

/// The strategy of members that keep their places over a restart. A member that is restarted between the two phases of a
/// cooperative rebalance gets its place back and does not know that there is a second one: what it was to give away
/// belongs to no one, until something else starts a rebalance. An eager one has no phases.
pub(crate) const STATIC: &str = "roundrobin";

/// Takes `added`, each partition from its offset on.
pub(crate) fn add<C: ConsumerContext>(client: &BaseConsumer<C>, added: &TopicPartitionList) -> KafkaResult<()> {
    if !is_eager(client) {
        return client.incremental_assign(added);
    }
    let mut whole = client.position()?;
    for element in added.elements() {
        partition_list::push(&mut whole, element.topic(), element.partition(), element.offset())?;
    }
    client.assign(&whole)
}

pub(crate) fn remove<C: ConsumerContext>(client: &BaseConsumer<C>, removed: &TopicPartitionList) -> KafkaResult<()> {
    if !is_eager(client) {
        return client.incremental_unassign(removed);
    }
    let mut rest = TopicPartitionList::new();
    for element in client.position()?.elements() {
        if partition_list::find(removed, element.topic(), element.partition()).is_none() {
            partition_list::push(&mut rest, element.topic(), element.partition(), element.offset())?;
        }
    }
    if rest.count() == 0 { client.unassign() } else { client.assign(&rest) }
}

fn is_eager<C: ConsumerContext>(client: &BaseConsumer<C>) -> bool {
    matches!(client.rebalance_protocol(), RebalanceProtocol::Eager)
}
