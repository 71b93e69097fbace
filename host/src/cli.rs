//! L6: the command line, one file a verb.
//!
//! A verb writes its result, and nothing else, to the stream that it is given (stdout); progress goes to stderr. It
//! returns success or a [`VerbFailure`], which decides the exit code.

mod bench;
mod build;
mod completions;
mod config;
mod delete;
mod demo;
mod deploy;
mod dev;
mod dlq;
mod failure;
mod function_args;
mod host_client;
mod invoke;
mod list;
mod logs;
mod new;
mod pause;
mod progress;
mod project;
mod promote;
mod publish;
mod replay;
mod reset;
mod revisions;
mod rollback;
mod runtime;
mod serve;
mod shadow;
mod sides;
mod status;
mod table;
mod test;
#[cfg(test)]
mod testing;
mod trace;
mod trigger;
mod usage;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use failure::VerbFailure;

const AFTER_HELP: &str = "\
Exit codes:
  0  success
  1  failure; stderr says why, with a code like MS0101
  2  the command line is wrong
  3  the function does not exist
  4  the host cannot be reached

Results go to stdout, everything else to stderr. With --json, results are JSON.";

/// Run sandboxed Wasm functions on Kafka records
#[derive(Debug, Parser)]
#[command(name = "millstream", version, after_help = AFTER_HELP, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(serve::ServeArgs),
    Demo(demo::DemoArgs),
    Dev(dev::DevArgs),
    New(new::NewArgs),
    Build(build::BuildArgs),
    Test(test::TestArgs),
    Bench(bench::BenchArgs),
    Deploy(deploy::DeployArgs),
    List(list::ListArgs),
    Status(status::StatusArgs),
    Delete(delete::DeleteArgs),
    Invoke(invoke::InvokeArgs),
    Publish(publish::PublishArgs),
    Logs(logs::LogsArgs),
    Revisions(revisions::RevisionsArgs),
    Rollback(rollback::RollbackArgs),
    Shadow(shadow::ShadowArgs),
    Promote(promote::PromoteArgs),
    Pause(pause::PauseArguments),
    Resume(pause::ResumeArguments),
    Reset(reset::ResetArgs),
    Replay(replay::ReplayArgs),
    Dlq(dlq::DlqArgs),
    Trigger(trigger::TriggerArgs),
    Trace(trace::TraceArgs),
    Usage(usage::UsageArgs),
    Config(config::ConfigArgs),
    Completions(completions::CompletionsArgs),
}

impl Verb {
    fn run(self, out: &mut dyn Write) -> Result<(), VerbFailure> {
        match self {
            Self::Serve(arguments) => serve::run(&arguments),
            Self::Demo(arguments) => demo::run(&arguments),
            Self::Dev(arguments) => dev::run(&arguments),
            Self::New(arguments) => new::run(&arguments, out),
            Self::Build(arguments) => build::run(&arguments, out),
            Self::Test(arguments) => test::run(&arguments, out),
            Self::Bench(arguments) => bench::run(&arguments, out),
            Self::Deploy(arguments) => deploy::run(&arguments, out),
            Self::List(arguments) => list::run(&arguments, out),
            Self::Status(arguments) => status::run(&arguments, out),
            Self::Delete(arguments) => delete::run(&arguments, out),
            Self::Invoke(arguments) => invoke::run(&arguments, out),
            Self::Publish(arguments) => publish::run(&arguments, out),
            Self::Logs(arguments) => logs::run(&arguments, out),
            Self::Revisions(arguments) => revisions::run(&arguments, out),
            Self::Rollback(arguments) => rollback::run(&arguments, out),
            Self::Shadow(arguments) => shadow::run(&arguments, out),
            Self::Promote(arguments) => promote::run(&arguments, out),
            Self::Pause(arguments) => pause::pause(&arguments, out),
            Self::Resume(arguments) => pause::resume(&arguments, out),
            Self::Reset(arguments) => reset::run(&arguments, out),
            Self::Replay(arguments) => replay::run(&arguments, out),
            Self::Dlq(arguments) => dlq::run(&arguments, out),
            Self::Trigger(arguments) => trigger::run(&arguments, out),
            Self::Trace(arguments) => trace::run(&arguments, out),
            Self::Usage(arguments) => usage::run(&arguments, out),
            Self::Config(arguments) => config::run(&arguments, out),
            Self::Completions(arguments) => completions::run(&arguments, CommandLine::command(), out),
        }
    }
}

/// Runs the verb that the process was started with. A wrong command line ends the process with exit code 2.
pub(crate) fn run() -> ExitCode {
    let command_line = CommandLine::parse();
    // Not locked: `demo` prints from other threads.
    let mut out = io::stdout();
    let result = command_line.verb.run(&mut out).and_then(|()| Ok(out.flush()?));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_verb_has_examples() {
        for verb in CommandLine::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = format!("millstream {}", verb.get_name());
            assert!(help.starts_with("Examples:\n") && help.contains(&example), "{}: {help}", verb.get_name());
        }
    }

    #[test]
    fn wrong_command_lines_end_with_two() {
        for wrong in [
            &["millstream"][..],
            &["millstream", "deplyo"],
            &["millstream", "status"],
            &["millstream", "status", "No_Name"],
            &["millstream", "deploy", "--manifest", "f"],
            &["millstream", "deploy", "dir", "--manifest", "f", "--module", "g"],
            &["millstream", "deploy", "dir", "--wait=soon"],
            &["millstream", "deploy", "dir", "--ignore", "time"],
            &["millstream", "deploy", "dir", "--shadow", "--wait"],
            &["millstream", "shadow", "f", "--stop", "--check"],
            &["millstream", "list", "--host", "ftp://a"],
            &["millstream", "invoke", "No_Name", "--data", "x"],
            &["millstream", "rollback", "f", "--to", "0"],
            &["millstream", "dlq"],
            &["millstream", "dlq", "redrive", "f"],
            &["millstream", "dlq", "redrive", "f", "--all", "0/1"],
            &["millstream", "dlq", "show", "f", "1"],
            &["millstream", "replay", "f"],
            &["millstream", "replay", "f@0", "--topic", "t"],
            &["millstream", "reset", "f"],
            &["millstream", "reset", "f", "--to", "soon"],
            &["millstream", "reset", "f", "--to", "0", "--partition", "-1"],
            &["millstream", "new", "No_Name"],
            &["millstream", "new", "f", "--lang", "cobol"],
        ] {
            let error = CommandLine::try_parse_from(wrong).expect_err("it is wrong");
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
    }
}
