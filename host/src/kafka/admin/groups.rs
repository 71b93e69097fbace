//! Consumer groups as a whole.

use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

use crate::kafka::admin::{AdminError, KafkaAdmin, REQUEST_TIMEOUT, options};

const ASK_AGAIN_AFTER: Duration = Duration::from_millis(200);

impl KafkaAdmin {
    /// Deletes `group` and its offsets, waiting up to `patience` for its members to leave. No group is not an error.
    ///
    /// The broker alone decides whether the group is empty, in the same step in which it deletes it. The embedded
    /// broker cannot delete groups: there nothing happens.
    pub(crate) async fn delete_group(&self, group: &str, patience: Duration) -> Result<(), AdminError> {
        if self.is_embedded() {
            return Ok(());
        }
        let deadline = Instant::now() + patience;
        loop {
            match self.try_delete_group(group).await {
                Err(error @ AdminError::GroupHasMembers { .. }) if Instant::now() >= deadline => return Err(error),
                Err(AdminError::GroupHasMembers { .. }) => tokio::time::sleep(ASK_AGAIN_AFTER).await,
                Err(error) if error.is_unreachable() && Instant::now() < deadline => {
                    tokio::time::sleep(ASK_AGAIN_AFTER).await;
                }
                result => return result,
            }
        }
    }

    /// Whether `group` has members. Only [`KafkaAdmin::delete_group`] decides: groups of the newer protocol are not seen here.
    pub(crate) async fn group_has_members(&self, group: &str) -> Result<bool, AdminError> {
        if self.is_embedded() {
            return Ok(false);
        }
        let group = group.to_owned();
        self.blocking(move |inner| {
            let found = inner
                .client
                .inner()
                .fetch_group_list(Some(&group), REQUEST_TIMEOUT)
                .map_err(|error| AdminError::of(error, format!("describe consumer group \"{group}\"")))?;
            Ok(found.groups().iter().any(|group| !group.members().is_empty()))
        })
        .await
    }

    async fn try_delete_group(&self, group: &str) -> Result<(), AdminError> {
        let action = || format!("delete consumer group \"{group}\"");
        let results =
            self.0.client.delete_groups(&[group], &options()).await.map_err(|error| AdminError::of(error, action()))?;
        for result in results {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
                Err((_, RDKafkaErrorCode::NonEmptyGroup)) => {
                    return Err(AdminError::GroupHasMembers { group: group.to_owned() });
                }
                Err((_, code)) => return Err(AdminError::of_code(code, action())),
            }
        }
        Ok(())
    }
}
