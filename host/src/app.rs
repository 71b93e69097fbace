//! L6: the composition root: the only place where parts meet.

mod demo;
mod embedded;
mod event_printer;
mod host;
mod identity;
pub(crate) mod local;

use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;

pub(crate) use demo::{DemoEnd, DemoOptions, demo};
pub(crate) use embedded::{ApiListener, EmbeddedHost};
pub(crate) use event_printer::EventPrinter;

use self::host::{ClusterBackend, Host};
use self::identity::HostIdentity;
use crate::api;
use crate::config::host::{HostConfig, LogFormat};
use crate::error_code::ErrorCode;
use crate::failpoint;
use crate::shutdown;
use crate::telemetry::logs::{self, LineFormat};
use crate::telemetry::otlp::OtlpHandle;

/// A host that is asked to stop ends this long after its longest `drain_timeout`, at most, whatever it waits for: Kubernetes'
/// usual 30 s are enough for a drain of 15 s.
const EXIT_WITHIN: Duration = Duration::from_secs(14);

/// Runs a host until it is asked to stop.
pub(crate) async fn serve(config: HostConfig) -> anyhow::Result<()> {
    let format = match config.log.format {
        LogFormat::Text => LineFormat::Text,
        LogFormat::Json => LineFormat::Json,
    };
    let otlp = OtlpHandle::new(&config.otlp).context("otlp can't be used").context(ErrorCode::InvalidHostConfig)?;
    logs::start(&config.log.level, format, otlp.log_layer())?;
    failpoint::set_up();
    let identity = HostIdentity::take(&config.data_dir).context(ErrorCode::DataDirUnusable)?;
    // What is wrong with the files is reported before anything starts.
    let tls = config.api.tls.as_ref().map(api::acceptor).transpose().context(ErrorCode::InvalidHostConfig)?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("can't listen on {}", config.listen))
        .context(ErrorCode::CannotListen)?;
    let stop = shutdown::on_signal()?;
    let surroundings = ClusterBackend::of_cluster(&config, identity.id.clone(), otlp)?;
    let host = Host::start(&config, surroundings)?;
    tracing::info!(listen = %listener.local_addr()?, kafka = config.kafka.bootstrap_servers, host = &*identity.id,
        version = env!("CARGO_PKG_VERSION"), "millstream is listening");
    warn_of_plain_tokens(&config, tls.is_some());
    let directory = host.directory();
    shutdown::exit_late(stop.clone(), move || directory.longest_drain() + EXIT_WITHIN);
    let served = api::serve(listener, host.api(), tls, stop.clone().cancelled_owned()).await;
    // Also when the API failed: what runs is finished and committed.
    stop.cancel();
    host.stop().await;
    served.context("the API ended")
}

fn warn_of_plain_tokens(config: &HostConfig, has_tls: bool) {
    if config.listen.ip().is_loopback() || has_tls {
        return;
    }
    match config.api.tokens.is_empty() {
        true => tracing::warn!("insecure: anyone who reaches this host may deploy code; set api.token"),
        false => tracing::warn!("tokens cross the network in plain HTTP; set api.tls_certificate, or end TLS in front"),
    }
}
