//! Reads an upload: a form of the parts `manifest` and `module`, each once, in any order, never more than its limit.
//!
//! The module goes to a file without a name while it arrives, however long that takes: who uploads slowly costs disk, and
//! no memory.

use std::path::Path;
use std::time::Duration;

use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use crate::api::problem::ApiProblem;
use crate::config::manifest::{self, ManifestError};
use crate::error_code::ErrorCode;
use crate::model::function::Manifest;
use crate::model::ids::FunctionName;

const ARRIVES_WITHIN: Duration = Duration::from_secs(300);
/// How long the rest of a refused upload is taken.
const REST_WITHIN: Duration = Duration::from_secs(10);
pub(crate) const MANIFEST_BYTES: u64 = 256 * 1024;

pub(crate) type ParseManifest = fn(&str) -> Result<Manifest, ManifestError>;

/// What an upload may bring, and where it is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UploadBounds<'a> {
    pub(crate) module_bytes: u64,
    pub(crate) folder: &'a Path,
}

/// A function that has arrived.
#[derive(Debug)]
pub(crate) struct StoredUpload {
    pub(crate) manifest: Manifest,
    pub(crate) module: SpooledModule,
}

/// A module in a file that has no name: it goes when this goes, or when the host ends.
#[derive(Debug)]
pub(crate) struct SpooledModule {
    file: File,
    bytes: usize,
}

impl SpooledModule {
    /// The module, for when it is worked on.
    pub(crate) async fn read(mut self) -> Result<Bytes, ApiProblem> {
        let mut module = Vec::with_capacity(self.bytes);
        let read = async {
            self.file.rewind().await?;
            self.file.read_to_end(&mut module).await
        };
        read.await.map_err(|error| not_kept(&error))?;
        Ok(module.into())
    }
}

/// Reads the form of a request that deploys `name`.
pub(crate) async fn read(
    form: Result<Multipart, MultipartRejection>,
    name: &FunctionName,
    room: UploadBounds<'_>,
) -> Result<StoredUpload, ApiProblem> {
    let form = form.map_err(|_| {
        ApiProblem::new(ErrorCode::UnsupportedMediaType).with_detail(
            "the request must be multipart/form-data, with its boundary, of the parts \"manifest\" and \"module\"",
        )
    })?;
    match tokio::time::timeout(ARRIVES_WITHIN, read_parts(form, name, room)).await {
        Ok(upload) => upload,
        Err(_elapsed) => Err(ApiProblem::new(ErrorCode::RequestTimeout)
            .with_detail(format!("the upload did not arrive within {} s", ARRIVES_WITHIN.as_secs()))),
    }
}

async fn read_parts(
    mut form: Multipart,
    name: &FunctionName,
    room: UploadBounds<'_>,
) -> Result<StoredUpload, ApiProblem> {
    let (mut manifest, mut module) = (None, None);
    while let Some(part) = form.next_field().await.map_err(|error| broken(&error, room.module_bytes))? {
        let read = match part.name().unwrap_or_default() {
            "manifest" if manifest.is_none() => read_manifest(part, name).await.map(|read| manifest = Some(read)),
            "module" if module.is_none() => read_module(part, room).await.map(|read| module = Some(read)),
            again @ ("manifest" | "module") => Err(invalid(format!("part \"{again}\" came twice"))),
            other => Err(invalid(format!("it has a part \"{}\" that no one asked for", other.escape_debug()))),
        };
        if let Err(problem) = read {
            pass_over_rest(form).await;
            return Err(problem);
        }
    }
    match (manifest, module) {
        (Some(manifest), Some(module)) => Ok(StoredUpload { manifest, module }),
        (None, _) => Err(invalid("part \"manifest\" is missing")),
        (_, None) => Err(invalid("part \"module\" is missing")),
    }
}

/// Takes what arrives of an upload that is refused.
pub(crate) async fn pass_over(form: Result<Multipart, MultipartRejection>) {
    if let Ok(form) = form {
        pass_over_rest(form).await;
    }
}

/// A client that still sends when the answer comes sees a broken connection instead of it. The body's own limit bounds
/// how much there can be.
async fn pass_over_rest(mut form: Multipart) {
    let rest = async { while let Ok(Some(_)) = form.next_field().await {} };
    // What is not there by now is not waited for.
    let _ = tokio::time::timeout(REST_WITHIN, rest).await;
}

async fn read_manifest(part: Field<'_>, name: &FunctionName) -> Result<Manifest, ApiProblem> {
    let parse = manifest_parser(media_type(&part), "part \"manifest\"")?;
    let bytes = collect(part, MANIFEST_BYTES).await?;
    parse_manifest(parse, &bytes, name)
}

/// Reads manifests of a media type.
pub(crate) fn manifest_parser(media_type: &str, what: &str) -> Result<ParseManifest, ApiProblem> {
    match media_type {
        "application/toml" => Ok(manifest::from_toml),
        "application/json" => Ok(manifest::from_json),
        other => Err(wrong_type(what, other, "application/toml or application/json")),
    }
}

/// The manifest in `bytes`, which must be the one of `name`.
pub(crate) fn parse_manifest(parse: ParseManifest, bytes: &[u8], name: &FunctionName) -> Result<Manifest, ApiProblem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| ApiProblem::new(ErrorCode::InvalidManifest).with_detail("the manifest is not UTF-8"))?;
    let manifest =
        parse(text).map_err(|error| ApiProblem::new(ErrorCode::InvalidManifest).with_detail(error.to_string()))?;
    if manifest.name != *name {
        let detail = format!("the path names \"{name}\", the manifest \"{}\"", manifest.name);
        return Err(ApiProblem::new(ErrorCode::NameMismatch).with_detail(detail));
    }
    Ok(manifest)
}

async fn read_module(part: Field<'_>, room: UploadBounds<'_>) -> Result<SpooledModule, ApiProblem> {
    match media_type(&part) {
        "application/wasm" => store(part, room).await,
        other => Err(wrong_type("part \"module\"", other, "application/wasm")),
    }
}

async fn store(mut part: Field<'_>, room: UploadBounds<'_>) -> Result<SpooledModule, ApiProblem> {
    let file = tempfile::tempfile_in(room.folder).map_err(|error| not_kept(&error))?;
    let mut stored = SpooledModule { file: File::from_std(file), bytes: 0 };
    while let Some(chunk) = part.chunk().await.map_err(|error| broken(&error, room.module_bytes))? {
        stored.bytes += chunk.len();
        if stored.bytes as u64 > room.module_bytes {
            return Err(too_large("part \"module\"", room.module_bytes));
        }
        stored.file.write_all(&chunk).await.map_err(|error| not_kept(&error))?;
    }
    stored.file.flush().await.map_err(|error| not_kept(&error))?;
    Ok(stored)
}

fn not_kept(error: &std::io::Error) -> ApiProblem {
    ApiProblem::new(ErrorCode::DataDirUnusable)
        .with_detail(format!("the upload cannot be kept while it arrives: {error}"))
}

async fn collect(mut part: Field<'_>, limit: u64) -> Result<Bytes, ApiProblem> {
    let name = part.name().unwrap_or_default().to_owned();
    let mut bytes = BytesMut::new();
    while let Some(chunk) = part.chunk().await.map_err(|error| broken(&error, limit))? {
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(too_large(&format!("part \"{name}\""), limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn media_type<'a>(part: &'a Field<'_>) -> &'a str {
    let content_type = part.content_type().unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim()
}

fn broken(error: &MultipartError, limit: u64) -> ApiProblem {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large("the request", limit),
        _ => invalid(error.body_text()),
    }
}

fn too_large(what: &str, limit: u64) -> ApiProblem {
    ApiProblem::new(ErrorCode::UploadTooLarge)
        .with_detail(format!("{what} has more than the {limit} bytes it may have"))
}

fn wrong_type(what: &str, found: &str, expected: &str) -> ApiProblem {
    let found = if found.is_empty() { "no content type".to_owned() } else { format!("\"{}\"", found.escape_debug()) };
    ApiProblem::new(ErrorCode::UnsupportedMediaType).with_detail(format!("{what} has {found}; it must be {expected}"))
}

fn invalid(detail: impl Into<String>) -> ApiProblem {
    ApiProblem::new(ErrorCode::InvalidUpload).with_detail(detail)
}
