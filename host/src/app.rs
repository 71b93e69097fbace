//! L6: the composition root: the only place where parts meet.

mod demo;
mod host;
mod identity;
pub mod local;

use anyhow::Context as _;
use tokio::net::TcpListener;

pub use demo::{DemoOptions, demo};

use self::host::{Host, Surroundings};
use self::identity::Identity;
use crate::api;
use crate::config::host::{HostConfig, LogFormat};
use crate::error_code::ErrorCode;
use crate::failpoint;
use crate::shutdown;
use crate::telemetry::logs::{self, LineFormat};

/// Runs a host until it is told to stop.
pub async fn serve(config: HostConfig) -> anyhow::Result<()> {
    let format = match config.log.format {
        LogFormat::Text => LineFormat::Text,
        LogFormat::Json => LineFormat::Json,
    };
    logs::start(&config.log.level, format)?;
    failpoint::set_up();
    let identity = Identity::take(&config.data_dir).context(ErrorCode::DataDirUnusable)?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("can't listen on {}", config.listen))
        .context(ErrorCode::CannotListen)?;
    let stop = shutdown::on_signal()?;
    let surroundings = Surroundings::of_cluster(&config, identity.id.clone())?;
    let host = Host::start(&config, surroundings)?;
    tracing::info!(listen = %listener.local_addr()?, kafka = config.kafka.bootstrap_servers, host = &*identity.id,
        version = env!("CARGO_PKG_VERSION"), "millstream is listening");
    let served = api::serve(listener, host.api(), stop.clone().cancelled_owned()).await;
    // Also when the API failed: what runs is finished and committed.
    stop.cancel();
    host.stop().await;
    served.context("the API ended")
}
