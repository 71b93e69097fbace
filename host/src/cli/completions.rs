//! `millstream completions`: prints a script that completes verbs and options in a shell.

use std::io::Write;

use clap::Command;
use clap_complete::Shell;

use crate::cli::failure::VerbFailure;

const EXAMPLES: &str = "\
Examples:
  millstream completions bash > ~/.local/share/bash-completion/completions/millstream
  millstream completions zsh > \"${fpath[1]}/_millstream\"
  millstream completions fish > ~/.config/fish/completions/millstream.fish";

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script for `command`.
pub(crate) fn run(arguments: &CompletionsArgs, mut command: Command, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    // Written at once, so that a closed pipe does not panic.
    Ok(out.write_all(&script)?)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, ValueEnum as _};

    use super::*;
    use crate::cli::CommandLine;

    #[test]
    fn every_shell_gets_every_verb() {
        for shell in Shell::value_variants() {
            let mut out = Vec::new();
            run(&CompletionsArgs { shell: *shell }, CommandLine::command(), &mut out).unwrap();
            let script = String::from_utf8(out).unwrap();
            for verb in CommandLine::command().get_subcommands() {
                assert!(script.contains(verb.get_name()), "{shell}: {}", verb.get_name());
            }
        }
    }
}
