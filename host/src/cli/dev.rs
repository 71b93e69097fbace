//! `millstream dev`: runs functions on a broker inside this process, and redeploys them when their source changes.
//!
//! One thread does all the work: it waits for a change, builds, and deploys through the host's own API, as
//! `millstream deploy` does. A second one shows the events that appear.

mod project;
mod snapshot;
mod watcher;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::{ApiListener, EmbeddedHost, EventPrinter};
use crate::cli::failure::VerbFailure;
use crate::cli::host_client::{HostArguments, HostClient};
use crate::cli::progress;
use crate::cli::runtime;
use crate::error_code::ErrorCode;
use crate::kafka::read::topic_watch::TopicWatch;
use crate::shutdown;
use crate::telemetry::logs::{self, LineFormat};
use project::DevProject;
use watcher::FolderWatcher;

const EXAMPLES: &str = "\
Examples:
  millstream dev
  millstream dev examples/place-bid examples/item-complete
  millstream publish bids --data '{\"item\":\"lamp\"}'    # in another terminal: see what comes of it";

/// Failures, and what functions log. librdkafka's warnings are about features that the embedded broker lacks.
const LOG_LEVEL: &str = "warn,millstream::kafka=error,millstream::guest=info";
/// Partitions of the topics that are created: more than one, so that the order per key is visible.
const PARTITIONS: i32 = 2;
/// How often the thread that shows events checks whether to stop.
const LOOKS_EVERY: Duration = Duration::from_millis(200);

/// Run functions while you write them, and redeploy them at each change
///
/// Starts a host and a broker inside this process, builds and deploys the function in each folder, and does so again
/// whenever a file in it changes. If a build fails, the previous revision keeps running. A new revision continues with
/// the first record that the previous one has not taken. Emitted events and dead letters are shown as they appear.
///
/// Changes in target/, build/, dist/, node_modules/ and hidden folders are ignored. Everything is in memory, and lost
/// when the command ends.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DevArgs {
    /// The folders of functions, each with a millstream.toml
    #[arg(default_value = ".", value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// The loopback address of the API [default: 127.0.0.1:8080, or a free port if that one is in use]
    #[arg(long, value_name = "ADDRESS", env = "MILLSTREAM_LISTEN", hide_env_values = true, value_parser = parse_listen)]
    listen: Option<SocketAddr>,
}

pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "write an address such as 127.0.0.1:8080".to_owned())?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err("this host requires no token, so it listens on loopback only".to_owned()),
    }
}

pub(crate) fn run(arguments: &DevArgs) -> Result<(), VerbFailure> {
    // A folder without a manifest fails before anything starts.
    let mut projects =
        arguments.folders.iter().map(|folder| DevProject::open(folder)).collect::<Result<Vec<_>, _>>()?;
    let level = std::env::var("MILLSTREAM_LOG__LEVEL").unwrap_or_else(|_| LOG_LEVEL.to_owned());
    logs::start(&level, LineFormat::Text, None)
        .map_err(|error| VerbFailure::new(ErrorCode::InvalidHostConfig, error.to_string()))?;
    let runtime = runtime::new()?;
    let started = runtime.block_on(start(arguments.listen)).map_err(|error| VerbFailure::of_running(&error))?;
    let DevServer { embedded, listening, watch, stop } = started;
    greet(&embedded, listening.address);
    let shown = show(Arc::clone(&watch), stop.clone());
    let result = follow(&mut projects, listening.address, &watch, &stop);
    // Also when following failed.
    stop.cancel();
    progress::report("stopping; the broker's records are lost");
    let _ = shown.join();
    drop(watch);
    runtime.block_on(async {
        listening.ended().await;
        embedded.stop().await;
    });
    result
}

/// What runs until the end.
struct DevServer {
    embedded: EmbeddedHost,
    listening: ApiListener,
    watch: Arc<TopicWatch>,
    stop: CancellationToken,
}

async fn start(listen: Option<SocketAddr>) -> anyhow::Result<DevServer> {
    let stop = shutdown::on_signal()?;
    let embedded = EmbeddedHost::start("dev", PARTITIONS)?;
    let listening = embedded.listen(listen, stop.clone()).await?;
    let watch = Arc::new(embedded.watch()?);
    Ok(DevServer { embedded, listening, watch, stop })
}

fn greet(embedded: &EmbeddedHost, api: SocketAddr) {
    let broker = embedded.bootstrap_servers();
    let is_usual = api.port() == 8080;
    progress::report(format_args!("API    http://{api}"));
    progress::report(format_args!("Kafka  {broker}   (in memory, for development)"));
    if !is_usual {
        progress::report(format_args!("for other commands: export MILLSTREAM_HOST=http://{api}"));
    }
    progress::report("press Ctrl-C to stop\n");
}

/// Builds and deploys, and again at each change, until `stop`.
fn follow(
    projects: &mut [DevProject],
    api: SocketAddr,
    watch: &TopicWatch,
    stop: &CancellationToken,
) -> Result<(), VerbFailure> {
    let host = format!("http://{api}").parse().map_err(|error| {
        VerbFailure::new(ErrorCode::Internal, format!("the host's own address cannot be read: {error}"))
    })?;
    let client = HostClient::new(&HostArguments { host, token: None })?;
    let mut watcher = FolderWatcher::new()?;
    let mut topics = Vec::new();
    while !stop.is_cancelled() {
        for index in 0..projects.len() {
            let others: Vec<String> = projects
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index)
                .filter_map(|(_, project)| project.name())
                .map(str::to_owned)
                .collect();
            let project = &mut projects[index];
            // Watched before the build, so that no change is missed.
            watcher.follow(&project.folders())?;
            if let Some(changed) = project.changes() {
                project.report_changes(&changed);
                for topic in project.rebuild(&client, &others, stop) {
                    if !topics.contains(&topic) {
                        watch.add(&topic).map_err(|error| VerbFailure::new(ErrorCode::Internal, error.to_string()))?;
                        topics.push(topic);
                    }
                }
            }
        }
        watcher.wait_for_a_change(stop);
    }
    Ok(())
}

/// Prints events as they appear, until `stop`.
fn show(watch: Arc<TopicWatch>, stop: CancellationToken) -> JoinHandle<()> {
    let audience = EventPrinter::new();
    std::thread::spawn(move || {
        while !stop.is_cancelled() {
            match watch.next(LOOKS_EVERY) {
                Ok(Some(record)) => drop(audience.show(&record)),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "cannot read the events that appear"),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_listened_on() {
        assert!(parse_listen("127.0.0.1:0").is_ok() && parse_listen("[::1]:9").is_ok());
        assert!(parse_listen("0.0.0.0:8080").unwrap_err().contains("loopback"));
        assert!(parse_listen("8080").unwrap_err().contains("127.0.0.1:8080"));
    }
}
