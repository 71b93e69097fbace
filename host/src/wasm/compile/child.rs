//! The child's side of a compilation: it limits itself, reads the module from stdin and writes compiled code to a file.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::wasm::compile::componentize::componentize;
use crate::wasm::compile::process_priority::ProcessPriority;
use crate::wasm::compile::{CPU_VARIABLE, MEMORY_VARIABLE, OUTPUT_VARIABLE, REASON_MAX, REFUSED, STANDING_VARIABLE};
use crate::wasm::config;
use crate::wasm::shape::{self, BinaryForm};

/// The first argument by which this program knows that it is to compile.
pub(crate) const WORD: &str = "__compile";

/// Compiles what is on stdin, as the host that started this process asks in the environment. For `main` to call when
/// the first argument is [`WORD`].
pub(crate) fn child_main() -> ExitCode {
    match compile() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            let end = (0..=reason.len().min(REASON_MAX as usize)).rev().find(|end| reason.is_char_boundary(*end));
            let _ = std::io::stdout().write_all(&reason.as_bytes()[..end.unwrap_or(0)]);
            ExitCode::from(REFUSED)
        }
    }
}

/// Does it, or says why not.
pub(crate) fn compile() -> Result<(), String> {
    limit_resources()?;
    ProcessPriority::from_word(&variable(STANDING_VARIABLE)?).take();
    let output = variable(OUTPUT_VARIABLE)?;
    let mut module = Vec::new();
    std::io::stdin().read_to_end(&mut module).map_err(|error| format!("cannot read the module: {error}"))?;
    let engine = wasmtime::Engine::new(&config::code_settings()).map_err(|error| format!("{error:#}"))?;
    let code = match shape::inspect(&module).map_err(|error| error.to_string())? {
        BinaryForm::Component(_) => engine.precompile_component(&module),
        BinaryForm::Embedded => engine.precompile_component(&componentize(&module)?),
        BinaryForm::Command => engine.precompile_module(&module),
    };
    let code = code.map_err(|error| format!("{error:#}"))?;
    std::fs::write(&output, code).map_err(|error| format!("cannot write {}: {error}", output.display()))
}

/// Limits processor time, and memory by what is written to: threads reserve far more address space than they use.
fn limit_resources() -> Result<(), String> {
    let memory = number(MEMORY_VARIABLE)?;
    let cpu_seconds = number(CPU_VARIABLE)?;
    let limit = |resource, soft: u64, hard: u64| {
        setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })
            .map_err(|error| format!("cannot limit the compiler: {error}"))
    };
    limit(Resource::Core, 0, 0)?;
    limit(Resource::Fsize, memory, memory)?;
    limit(Resource::Data, memory, memory)?;
    limit(Resource::Cpu, cpu_seconds, cpu_seconds.saturating_add(1))
}

fn variable(name: &str) -> Result<OsString, String> {
    std::env::var_os(name).ok_or_else(|| format!("this command is for the host's own use: {name} is not set"))
}

fn number(name: &str) -> Result<u64, String> {
    let text = variable(name)?;
    text.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| format!("{name} is not a number"))
}
