//! `millstream deploy`: builds a function and deploys it on a host.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::blocking::multipart::{Form, Part};
use serde_json::Value;

use crate::api::views::{DeployedView, ShadowDeployed};
use crate::cli::build::build_folder;
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::{OutputArgs, read_answer};
use crate::cli::host_client::HostClient;
use crate::cli::progress;
use crate::cli::project::{self, ManifestFile};
use crate::cli::table::json_name;
use crate::config::manifest::ManifestNotation;
use crate::config::quantity::parse_duration;
use crate::error_code::ErrorCode;
use crate::model::status::FunctionState;

const EXAMPLES: &str = "\
Examples:
  millstream deploy examples/uppercase --wait
  millstream deploy . --wait=2m --json
  millstream deploy . --shadow --ignore time    # see `millstream shadow`
  millstream deploy --manifest millstream.toml --module uppercase.wasm";

/// An upload is compiled and stored in Kafka before it is answered.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// Build a function and deploy it
///
/// Returns once the host has compiled and stored the function, and its start offsets are committed. If the function is
/// deployed already, it gets a new revision.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DeployArgs {
    /// The folder with the function's millstream.toml; the function is built first
    #[arg(value_name = "DIR", required_unless_present = "manifest")]
    folder: Option<PathBuf>,
    /// Without a build: the manifest
    #[arg(long, value_name = "FILE", requires = "module", conflicts_with = "folder")]
    manifest: Option<PathBuf>,
    /// Without a build: the Wasm module
    #[arg(long, value_name = "FILE", requires = "manifest", conflicts_with = "folder")]
    module: Option<PathBuf>,
    /// Wait until the function's partitions are assigned, at most this long; a timeout isn't an error
    #[arg(
        long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "30s",
        value_parser = parse_duration
    )]
    wait: Option<Duration>,
    /// Run it as a shadow: on the records of the live revision, without writing its events, until it is promoted
    #[arg(long, conflicts_with = "wait")]
    shadow: bool,
    /// With --shadow: an attribute or a header to ignore when events are compared, for example time
    #[arg(long, value_name = "NAME", requires = "shadow")]
    ignore: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Builds, uploads, and prints the result.
pub(crate) fn run(arguments: &DeployArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let (manifest, module_path) = prepare(arguments)?;
    let client = HostClient::new(&arguments.output.host)?;
    if arguments.shadow {
        return cast(&client, arguments, &manifest, &module_path, out);
    }
    let answer = upload(&client, &manifest, &module_path, arguments.wait)?;
    let DeployedView { name, revision, digest, state, .. } = read_answer(answer.clone())?;
    if arguments.wait.is_some() && state == FunctionState::Starting {
        progress::report(format_args!("it is still starting: watch `millstream status {name}`"));
    }
    arguments.output.show(answer, out, |_: DeployedView, out| {
        Ok(writeln!(out, "deployed {name}@{revision} ({digest}), {}", json_name(&state))?)
    })
}

fn cast(
    client: &HostClient,
    arguments: &DeployArgs,
    manifest: &ManifestFile,
    module: &Path,
    out: &mut dyn Write,
) -> Result<(), VerbFailure> {
    let name = manifest.project.manifest.name.as_str();
    let query = (!arguments.ignore.is_empty()).then(|| ("ignore", arguments.ignore.join(",")));
    let answer = send(client, &["v1", "functions", name, "shadow"], manifest, module, query, ANSWER_TIMEOUT)?;
    arguments.output.show(answer, out, |ShadowDeployed { name, revision, digest, live, .. }, out| {
        Ok(writeln!(out, "{name}@{revision} ({digest}) is the shadow of {name}@{live}")?)
    })
}

fn prepare(arguments: &DeployArgs) -> Result<(ManifestFile, PathBuf), VerbFailure> {
    match (&arguments.folder, &arguments.manifest, &arguments.module) {
        (Some(folder), _, _) => {
            let manifest = project::read_folder(folder)?;
            let module = build_folder(folder, &manifest)?;
            Ok((manifest, module))
        }
        (None, Some(manifest), Some(module)) => {
            let manifest = project::read_manifest(manifest)?;
            project::check_module(module)?;
            Ok((manifest, module.clone()))
        }
        // The command line asks for one or the other.
        _ => Err(VerbFailure::new(ErrorCode::NoProject, "neither a folder nor a manifest with a module was named")),
    }
}

/// Uploads the module at `path` and returns the host's answer: with `wait`, once the function runs or that time is over.
pub(crate) fn upload(
    client: &HostClient,
    manifest: &ManifestFile,
    path: &Path,
    wait: Option<Duration>,
) -> Result<Value, VerbFailure> {
    let name = manifest.project.manifest.name.as_str();
    let query = wait.map(|wait| ("wait", format!("{}ms", wait.as_millis())));
    send(client, &["v1", "functions", name], manifest, path, query, ANSWER_TIMEOUT + wait.unwrap_or_default())
}

/// Sends a manifest and the module at `module` to `path`.
fn send(
    client: &HostClient,
    path: &[&str],
    manifest: &ManifestFile,
    module: &Path,
    query: Option<(&str, String)>,
    timeout: Duration,
) -> Result<Value, VerbFailure> {
    let bytes: Arc<[u8]> = std::fs::read(module)
        .map_err(|error| {
            VerbFailure::new(ErrorCode::ArtifactMissing, format!("cannot read {}: {error}", module.display()))
        })?
        .into();
    let upload = progress::UploadProgress::begin(module, bytes.len() as u64);
    let answer = client.change(path, |http, mut url| {
        if let Some((name, value)) = &query {
            url.query_pairs_mut().append_pair(name, value);
        }
        http.put(url).timeout(timeout).multipart(form(manifest, &bytes, &upload))
    });
    drop(upload);
    answer?.ok_or_else(|| VerbFailure::new(ErrorCode::UnexpectedAnswer, "the answer to a deploy is empty"))
}

fn form(manifest: &ManifestFile, module: &Arc<[u8]>, upload: &progress::UploadProgress) -> Form {
    let manifest_type = match manifest.notation {
        ManifestNotation::Toml => "application/toml",
        ManifestNotation::Json => "application/json",
    };
    let bytes = upload.read(Cursor::new(Arc::clone(module)));
    let module = Part::reader_with_length(bytes, module.len() as u64).file_name("module.wasm");
    Form::new()
        .part("manifest", typed(Part::text(manifest.text.clone()), manifest_type))
        .part("module", typed(module, "application/wasm"))
}

fn typed(part: Part, media_type: &'static str) -> Part {
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert(reqwest::header::CONTENT_TYPE, reqwest::header::HeaderValue::from_static(media_type));
    part.headers(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::host_client::HostArguments;
    use crate::cli::testing::{CannedAnswer, FakeHost, deployed};

    fn arguments(folder: &std::path::Path, host: HostArguments) -> DeployArgs {
        DeployArgs {
            folder: Some(folder.to_owned()),
            manifest: None,
            module: None,
            wait: Some(Duration::from_secs(30)),
            shadow: false,
            ignore: Vec::new(),
            output: OutputArgs { host, json: false },
        }
    }

    #[test]
    fn a_folder_is_built_and_uploaded_in_two_typed_parts() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = "name = \"f\"\ntopics = [\"in\"]\nmodule = \"f.wasm\"\nbuild = 'printf \"\\0asm12\" > f.wasm'";
        std::fs::write(folder.path().join("millstream.toml"), manifest).unwrap();
        let host = FakeHost::start(vec![CannedAnswer::new(200, &deployed("f", 2))]);
        let mut out = Vec::new();
        run(&arguments(folder.path(), host.arguments()), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("deployed f@2 (sha256:{}), running\n", "0".repeat(64)));

        let request = &host.requests()[0];
        assert_eq!(request.line, "PUT /v1/functions/f?wait=30000ms HTTP/1.1");
        let body = request.body.to_ascii_lowercase();
        assert!(body.contains("name=\"manifest\"\r\ncontent-type: application/toml\r\n"), "{body}");
        assert!(body.contains("content-type: application/wasm\r\n\r\n\0asm12\r\n"), "{body}");
        assert_eq!(body.matches("content-type").count(), 2);
    }

    #[test]
    fn a_shadow_goes_beside_the_live_revision() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = "name = \"f\"\ntopics = [\"in\"]\nmodule = \"f.wasm\"\nbuild = 'printf \"\\0asm12\" > f.wasm'";
        std::fs::write(folder.path().join("millstream.toml"), manifest).unwrap();
        let answer = deployed("f", 3).replace("\"state\":\"running\"", "\"live\":2,\"since\":\"now\"");
        let host = FakeHost::start(vec![CannedAnswer::new(201, &answer)]);
        let ignore = vec!["time".to_owned(), "x".to_owned()];
        let shadow = DeployArgs { shadow: true, ignore, wait: None, ..arguments(folder.path(), host.arguments()) };
        let mut out = Vec::new();
        run(&shadow, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("f@3 (sha256:{}) is the shadow of f@2\n", "0".repeat(64)));
        assert_eq!(host.requests()[0].line, "PUT /v1/functions/f/shadow?ignore=time%2Cx HTTP/1.1");
    }

    #[test]
    fn a_wrong_manifest_needs_no_host_to_be_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("millstream.toml"), "name = \"f\"\ntopic = [\"in\"]").unwrap();
        let nobody = HostArguments { host: FakeHost::start(vec![]).address(), token: None };
        let Err(VerbFailure::Reported(reported)) = run(&arguments(folder.path(), nobody), &mut Vec::new()) else {
            panic!("it is a failure")
        };
        assert_eq!(reported.code, "MS0101");
        assert!(reported.detail.contains("did you mean \"topics\"?"), "{}", reported.detail);
    }
}
