//! The demo.

/// How the demo is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoOptions {
    /// Whether it stays up with its page when the auction is over.
    pub stay: bool,
}

/// Plays the auction on the embedded broker.
pub async fn demo(_options: DemoOptions) -> anyhow::Result<()> {
    anyhow::bail!("this build has no demo")
}
