//! Compiling what users upload, in a child process with limits.
//!
//! Compiling hostile input may take any time and memory. So this program runs itself once more for it: the child takes
//! the module on stdin, limits itself before it reads a byte, and writes the compiled code to a file that the host
//! made. A child that exceeds its wall time is killed.

mod child;
mod componentize;
mod process_priority;

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use wasmtime::Module;
use wasmtime::component::Component;

use crate::wasm::shape::BinaryForm;
pub(crate) use child::{WORD, child_main};
pub(crate) use componentize::FINGERPRINT;
use process_priority::ProcessPriority;

const OUTPUT_VARIABLE: &str = "MILLSTREAM_COMPILE_OUTPUT";
const MEMORY_VARIABLE: &str = "MILLSTREAM_COMPILE_MEMORY";
const CPU_VARIABLE: &str = "MILLSTREAM_COMPILE_CPU_SECONDS";
const STANDING_VARIABLE: &str = "MILLSTREAM_COMPILE_STANDING";
/// For how long a compilation takes only what no one else wants: four times what the largest modules take on two cores with
/// nothing else to do. A small one does not wait long on a busy host, and a large one disturbs no one on one that is not.
const LEFTOVERS_FOR_EACH_MIB: f64 = 1.5;
/// The exit code that says: the reason is on stdout.
const REFUSED: u8 = 3;
/// The longest reason that is read.
const REASON_MAX: u64 = 4096;

/// What one compilation may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CompileLimits {
    /// Time on the wall, waiting included, from when it has a share of the cores.
    pub(crate) wall: Duration,
    /// Time of all processors together; whole seconds.
    pub(crate) cpu: Duration,
    pub(crate) memory: u64,
}

impl Default for CompileLimits {
    /// Ten times what the largest usual modules (Python, JavaScript) take.
    fn default() -> Self {
        Self { wall: Duration::from_secs(120), cpu: Duration::from_secs(120), memory: 4 << 30 }
    }
}

/// How the child is started.
#[derive(Debug, Clone)]
pub(crate) struct CompilerCommand {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
}

impl CompilerCommand {
    /// This program, with the word that makes its `main` call [`child_main`]. It is named by what is running, so that
    /// an upgrade of the file in mid-life does not mix two versions.
    pub(crate) fn this_program() -> Self {
        Self { program: PathBuf::from("/proc/self/exe"), arguments: vec![WORD.into()] }
    }
}

/// Why a module was not compiled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    /// The compiler found the module wrong.
    #[error("the module is refused by the compiler: {0}")]
    Refused(String),
    /// Too slow on the wall.
    #[error("the module is refused: compiling it took longer than {0:?} and was stopped; make it smaller or simpler")]
    WallTime(Duration),
    #[error(
        "the module is refused: compiling it took more than {0:?} of processor time and was stopped; make it smaller \
         or simpler"
    )]
    CpuTime(Duration),
    #[error("the module is refused: compiling it took more than {0} bytes of memory; make it smaller or simpler")]
    Memory(u64),
    /// It ended in another way.
    #[error("the module is refused: the compiler did not survive it ({0})")]
    Died(ExitStatus),
    /// The system did not let it run.
    #[error("cannot run the compiler {program:?}: {error}")]
    Run { program: PathBuf, error: std::io::Error },
}

/// Code that is ready to be linked.
pub(crate) enum CompiledCode {
    Component(Component),
    Module(Module),
}

/// Compiles `module`, which looks like `form`, in this process.
pub(crate) fn compile(
    engine: &wasmtime::Engine,
    module: &[u8],
    form: BinaryForm,
) -> Result<CompiledCode, CompileError> {
    let refused = |error: wasmtime::Error| CompileError::Refused(format!("{error:#}"));
    match form {
        BinaryForm::Component(_) => {
            Component::from_binary(engine, module).map(CompiledCode::Component).map_err(refused)
        }
        BinaryForm::Command => Module::from_binary(engine, module).map(CompiledCode::Module).map_err(refused),
        BinaryForm::Embedded => {
            let component = componentize::componentize(module).map_err(CompileError::Refused)?;
            Component::from_binary(engine, &component).map(CompiledCode::Component).map_err(refused)
        }
    }
}

/// Compiles `module` into the file `output` in a child: with what the cores have left over, as long as that may do.
pub(crate) async fn run(
    command: &CompilerCommand,
    limits: &CompileLimits,
    module: &[u8],
    output: &Path,
) -> Result<(), CompileError> {
    let wall = Duration::from_secs_f64(module.len() as f64 / 1_048_576.0 * LEFTOVERS_FOR_EACH_MIB).min(limits.wall);
    let leftovers = CompileLimits { wall, ..*limits };
    match attempt(command, &leftovers, ProcessPriority::Idle, module, output).await {
        Err(CompileError::WallTime(wall)) => {
            tracing::debug!(?wall, "the cores have too little left over for a compilation; it gets its share now");
            attempt(command, limits, ProcessPriority::Low, module, output).await
        }
        finished => finished,
    }
}

async fn attempt(
    command: &CompilerCommand,
    limits: &CompileLimits,
    standing: ProcessPriority,
    module: &[u8],
    output: &Path,
) -> Result<(), CompileError> {
    let failed = |error| CompileError::Run { program: command.program.clone(), error };
    let mut child = Command::new(&command.program)
        .args(&command.arguments)
        .env_clear()
        .env(OUTPUT_VARIABLE, output)
        .env(MEMORY_VARIABLE, limits.memory.to_string())
        .env(CPU_VARIABLE, limits.cpu.as_secs().max(1).to_string())
        .env(STANDING_VARIABLE, standing.word())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let Ok(finished) = tokio::time::timeout(limits.wall, converse(&mut child, module)).await else {
        // It is gone before its output file is.
        let _ = child.kill().await;
        return Err(CompileError::WallTime(limits.wall));
    };
    let (status, reason) = finished.map_err(failed)?;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) if code == i32::from(REFUSED) => Err(CompileError::Refused(reason)),
        (_, Some(libc::SIGXCPU | libc::SIGKILL)) => Err(CompileError::CpuTime(limits.cpu)),
        // What Rust does when memory is refused to it.
        (_, Some(libc::SIGABRT)) => Err(CompileError::Memory(limits.memory)),
        _ => Err(CompileError::Died(status)),
    }
}

/// Sends the module, and waits for what the child says and for its end.
async fn converse(child: &mut Child, module: &[u8]) -> std::io::Result<(ExitStatus, String)> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let send = async {
        if let Some(mut stdin) = stdin {
            // A child that ends early does not read all; its exit status says why.
            let _ = stdin.write_all(module).await;
        }
    };
    let receive = async {
        let mut reason = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(REASON_MAX).read_to_end(&mut reason).await?;
        }
        std::io::Result::Ok(reason)
    };
    let ((), reason) = tokio::join!(send, receive);
    let status = child.wait().await?;
    Ok((status, String::from_utf8_lossy(&reason?).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error_code::ErrorCode;
    use crate::model::ids::ArtifactDigest;
    use crate::wasm::limiter::{INSTANCES_MAX, MEMORIES_MAX, TABLES_MAX};
    use crate::wasm::testing::{ECHO, bench, guest, load};
    use crate::wasm::{CompileLocation, EngineOptions, LoadError, WasmEngine};

    fn shell(script: &str) -> CompilerCommand {
        CompilerCommand { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] }
    }

    async fn run_shell(script: &str, limits: CompileLimits) -> Result<(), CompileError> {
        run(&shell(script), &limits, &[0; 100_000], Path::new("/nowhere")).await
    }

    #[tokio::test]
    async fn a_child_that_takes_too_long_is_killed() {
        let limits = CompileLimits { wall: Duration::from_millis(100), ..CompileLimits::default() };
        let error = run_shell("exec sleep 600", limits).await.expect_err("killed");
        assert!(matches!(error, CompileError::WallTime(_)), "{error}");
    }

    #[tokio::test]
    async fn one_that_finds_nothing_left_over_gets_a_share() {
        let limits = CompileLimits::default();
        run_shell("[ $MILLSTREAM_COMPILE_STANDING = low ] || exec sleep 600", limits).await.expect("done");
    }

    #[tokio::test]
    async fn its_end_tells_the_limit() {
        let limits = CompileLimits::default();
        let error = run_shell("echo no such type; exit 3", limits).await.expect_err("refused");
        assert!(matches!(&error, CompileError::Refused(reason) if reason == "no such type"), "{error}");
        let error = run_shell("kill -XCPU $$", limits).await.expect_err("killed");
        assert!(matches!(error, CompileError::CpuTime(_)), "{error}");
        let error = run_shell("kill -ABRT $$", limits).await.expect_err("killed");
        assert!(matches!(error, CompileError::Memory(_)), "{error}");
        let error = run_shell("exit 101", limits).await.expect_err("died");
        assert!(matches!(error, CompileError::Died(_)), "{error}");
    }

    /// Not a test: the program that the tests below run as their compiler.
    #[test]
    #[ignore = "run by other tests"]
    fn act_as_the_compiler() {
        if let Err(reason) = child::compile() {
            println!("{reason}");
            std::process::exit(REFUSED.into());
        }
    }

    fn this_test_program() -> CompilerCommand {
        let arguments = ["wasm::compile::tests::act_as_the_compiler", "--exact", "--ignored", "--nocapture"];
        CompilerCommand { program: "/proc/self/exe".into(), arguments: arguments.map(OsString::from).to_vec() }
    }

    fn engine(command: CompilerCommand, limits: CompileLimits, cache: &Path) -> WasmEngine {
        let compile = CompileLocation::Child { command, limits, cache: cache.to_owned() };
        WasmEngine::new(EngineOptions { max_instances: 2, compile, ..EngineOptions::default() }).expect("an engine")
    }

    /// A module that takes seconds and hundreds of megabytes to compile.
    fn large_module() -> Arc<[u8]> {
        let step = "(local.set 0 (i32.xor (i32.mul (local.get 0) (local.get 1)) (i32.load (local.get 0))))";
        let function = format!("(func (param i32 i32) {})", step.repeat(30_000));
        guest(&function.repeat(12), ECHO)
    }

    #[tokio::test]
    async fn what_a_child_compiled_runs_and_is_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let module = guest("", ECHO);
        let compiling = engine(this_test_program(), CompileLimits::default(), folder.path());
        load(&compiling, Arc::clone(&module)).await;
        let no_compiler = CompilerCommand { program: "/nowhere/compiler".into(), arguments: Vec::new() };
        let finding = engine(no_compiler, CompileLimits::default(), folder.path());
        let bench = bench(&finding, module).await;
        let mut instance = bench.sandbox.start().await.expect("started");
        assert_eq!(instance.call(b"x", 1, Duration::from_secs(9)).await.as_deref(), Ok(&b"x"[..]));
    }

    #[tokio::test]
    async fn what_does_not_compile_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = engine(this_test_program(), CompileLimits::default(), folder.path());
        // The outer form is right, the inner core module is not.
        let mut module = guest("", ECHO).to_vec();
        let body = module.windows(4).rposition(|bytes| bytes == [0x20, 0, 0x20, 1]).expect("the body of the entry");
        module[body + 1] = 99;
        let error = engine.load(module.as_slice().into(), ArtifactDigest::of(&module)).await.expect_err("refused");
        assert_eq!(error.code(), ErrorCode::CompileFailed);
        assert!(error.to_string().contains("unknown local 99"), "{error}");
    }

    /// A command with so many memories and tables.
    fn command_with(memories: usize, tables: usize) -> Vec<u8> {
        let text = format!(
            "(module {} {} (func (export \"_start\")))",
            "(memory 1)".repeat(memories),
            "(table 1 funcref)".repeat(tables)
        );
        wat::parse_str(text).expect("valid text")
    }

    /// What compiling lets pass, the engine may still refuse to load.
    #[tokio::test]
    async fn the_engine_holds_the_limits_of_the_security_page_and_says_why() {
        let page = include_str!("../../../docs/security.md");
        let row = format!(
            "memories, tables, core instances of one function | {MEMORIES_MAX}, {TABLES_MAX}, {INSTANCES_MAX} |"
        );
        assert!(page.contains(&row), "docs/security.md lacks {row}");
        let folder = tempfile::tempdir().expect("a folder");
        let (command, limits, cache) = (this_test_program(), CompileLimits::default(), folder.path().to_owned());
        let compile = CompileLocation::Child { command, limits, cache };
        // As many as one function may have of each must fit into what all have together.
        let options = EngineOptions { max_instances: 16, compile, ..EngineOptions::default() };
        let engine = WasmEngine::new(options).expect("an engine");
        load(&engine, command_with(MEMORIES_MAX, TABLES_MAX).into()).await;
        for (memories, tables, named) in
            [(MEMORIES_MAX + 1, 1, "memories count of 17"), (1, TABLES_MAX + 1, "tables count of 65")]
        {
            let module = command_with(memories, tables);
            let error = engine.load(module.as_slice().into(), ArtifactDigest::of(&module)).await.expect_err("refused");
            assert_eq!(error.code(), ErrorCode::CompileFailed, "{error}");
            assert!(error.to_string().contains(named), "{error}");
        }
        let kept = std::fs::read_dir(folder.path()).expect("there").count();
        assert_eq!(kept, 2, "only what can be loaded is kept: its code and its checksum");
    }

    #[tokio::test]
    async fn compile_bombs_end_at_their_limits() {
        let module = large_module();
        let digest = ArtifactDigest::of(&module);
        let limited = async |limits| {
            let folder = tempfile::tempdir().expect("a folder");
            let engine = engine(this_test_program(), limits, folder.path());
            let refused = engine.load(Arc::clone(&module), digest).await.expect_err("refused");
            assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 0, "nothing is left behind");
            match refused {
                LoadError::Compile(error) => error,
                other => panic!("{other}"),
            }
        };
        let normal = CompileLimits::default();
        let error = limited(CompileLimits { cpu: Duration::from_secs(1), ..normal }).await;
        assert!(matches!(error, CompileError::CpuTime(_)), "{error}");
        let error = limited(CompileLimits { memory: 64 << 20, ..normal }).await;
        assert!(matches!(error, CompileError::Memory(_)), "{error}");
        let error = limited(CompileLimits { wall: Duration::from_millis(300), ..normal }).await;
        assert!(matches!(error, CompileError::WallTime(_)), "{error}");
    }

    #[tokio::test]
    async fn a_compiler_that_is_not_there_is_named() {
        let command = CompilerCommand { program: "/nowhere/compiler".into(), arguments: Vec::new() };
        let error = run(&command, &CompileLimits::default(), b"", Path::new("/nowhere")).await.expect_err("not there");
        assert!(error.to_string().contains("/nowhere/compiler"), "{error}");
    }
}
