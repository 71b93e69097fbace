//! L6: the composition root: the only place where parts meet.

use crate::config::host::HostConfig;

/// How the demo is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoOptions {
    /// Whether it stays up with its page when the auction is over.
    pub stay: bool,
}

/// Runs a host until it is told to stop.
pub async fn serve(_config: HostConfig) -> anyhow::Result<()> {
    anyhow::bail!("this build has no data path")
}

/// Plays the auction on the embedded broker.
pub async fn demo(_options: DemoOptions) -> anyhow::Result<()> {
    anyhow::bail!("this build has no data path")
}
