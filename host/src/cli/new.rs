//! `millstream new`: a folder with a function that builds, has a test, and deploys.

mod language;
mod sdk;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::failure::VerbFailure;
use crate::cli::progress;
use crate::error_code::ErrorCode;
use crate::model::ids::FunctionName;
use language::GuestLanguage;

const EXAMPLES: &str = "\
Examples:
  millstream new greet
  millstream new greet --lang go
  millstream new greet --lang rust --sdk ../millstream/guest-sdk
  millstream new greet --lang python --path functions/greet";

/// Scaffold a new function in a folder of its own
///
/// The folder holds a millstream.toml, the code and a test, and needs no other file: `millstream test` builds the function
/// and runs the test, `millstream deploy` sends it to a host.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct NewArgs {
    /// The function's name
    #[arg(value_parser = function_name)]
    name: FunctionName,
    /// The language to write it in
    #[arg(long, value_enum, default_value_t = GuestLanguage::Rust)]
    lang: GuestLanguage,
    /// The folder to create [default: the function's name]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// For Rust: the folder guest-sdk of a clone, instead of a copy of the SDK in the new folder
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

/// Creates the folder and prints its path.
pub(crate) fn run(arguments: &NewArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let folder = arguments.path.clone().unwrap_or_else(|| PathBuf::from(arguments.name.as_str()));
    let sdk = sdk_path(arguments)?;
    check_free(&folder)?;
    for (path, text) in files(arguments, sdk.as_deref()) {
        let path = folder.join(path);
        write_new(&path, &text).map_err(|error| not_made(format!("cannot write {}: {error}", path.display())))?;
    }
    let (language, shown) = (arguments.lang, folder.display());
    progress::report(format_args!(
        "made {} in {}; it needs {}. Next:\n\n  cd {shown}\n  millstream test .\n  millstream deploy . --wait\n",
        arguments.name,
        language.name(),
        language.needs(),
    ));
    Ok(writeln!(out, "{shown}")?)
}

/// The files of the new folder, by their paths in it.
fn files(arguments: &NewArgs, sdk: Option<&str>) -> Vec<(String, String)> {
    let name = arguments.name.as_str();
    let language = arguments.lang;
    let marks = [
        ("{{name}}", name),
        ("{{snake}}", &name.replace('-', "_")),
        ("{{failure}}", language.failure()),
        ("{{main}}", language.main()),
        ("{{sdk}}", sdk.unwrap_or(sdk::WITHIN)),
        ("{{version}}", env!("CARGO_PKG_VERSION")),
    ];
    let fill = |text: &str| marks.iter().fold(text.to_owned(), |text, (mark, value)| text.replace(mark, value));
    let mut files: Vec<(String, String)> =
        language.files().iter().map(|(path, text)| ((*path).to_owned(), fill(text))).collect();
    if language == GuestLanguage::Rust && sdk.is_none() {
        files.push((format!("{}/Cargo.toml", sdk::FOLDER), fill(sdk::WORKSPACE)));
        files.extend(sdk::FILES.iter().map(|(path, text)| (format!("{}/{path}", sdk::FOLDER), (*text).to_owned())));
    }
    files
}

/// The SDK that was asked for, as Cargo is to find it from any folder.
fn sdk_path(arguments: &NewArgs) -> Result<Option<String>, VerbFailure> {
    let Some(sdk) = &arguments.sdk else { return Ok(None) };
    let wrong = |reason: String| not_made(format!("--sdk {}: {reason}", sdk.display()));
    if arguments.lang != GuestLanguage::Rust {
        return Err(wrong("--sdk is for functions in Rust".to_owned()));
    }
    let sdk = sdk.canonicalize().map_err(|error| wrong(error.to_string()))?;
    if !fs::read_to_string(sdk.join("Cargo.toml")).is_ok_and(|text| text.contains("\"millstream-sdk\"")) {
        return Err(wrong("it has no Cargo.toml of millstream-sdk; name the folder guest-sdk of a clone".to_owned()));
    }
    // Within a basic string of TOML.
    match sdk.to_str() {
        Some(path) if !path.contains(['"', '\\']) => Ok(Some(path.to_owned())),
        _ => Err(wrong("Cargo can't name this path".to_owned())),
    }
}

/// Refuses a folder that has something in it.
fn check_free(folder: &Path) -> Result<(), VerbFailure> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(not_made(format!("{} is there already and not empty", folder.display()))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(not_made(format!("{}: {error}", folder.display()))),
    }
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::File::create_new(path)?.write_all(text.as_bytes())
}

fn not_made(detail: String) -> VerbFailure {
    VerbFailure::new(ErrorCode::FolderNotMade, detail)
}

fn function_name(text: &str) -> Result<FunctionName, String> {
    FunctionName::new(text).map_err(|error| match near_name(text) {
        Some(name) => format!("{error}; how about \"{name}\"?"),
        None => error.to_string(),
    })
}

/// A function name that resembles `text`.
fn near_name(text: &str) -> Option<FunctionName> {
    let mut name = String::new();
    let mut after_lower = false;
    for letter in text.chars() {
        if letter.is_ascii_uppercase() && after_lower {
            name.push('-');
        }
        after_lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        match letter.to_ascii_lowercase() {
            letter @ ('a'..='z' | '0'..='9') => name.push(letter),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    let name = name.trim_start_matches(|letter: char| !letter.is_ascii_lowercase());
    let cut = &name[..name.len().min(FunctionName::MAX_LEN)];
    FunctionName::new(cut.trim_end_matches('-')).ok()
}

#[cfg(test)]
mod tests;
