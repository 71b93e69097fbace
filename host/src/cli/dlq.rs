//! `millstream dlq`: lists, shows and redrives dead letters.

mod list;
mod redrive;
mod show;

use std::io::Write;

use crate::cli::failure::VerbFailure;

const EXAMPLES: &str = "\
Examples:
  millstream dlq list place-bid
  millstream dlq show place-bid 0/12
  millstream dlq redrive place-bid 0/12 1/4
  millstream dlq redrive place-bid --all --to 7";

/// Look at dead letters and redrive them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DlqArgs {
    #[command(subcommand)]
    action: DlqAction,
}

#[derive(Debug, clap::Subcommand)]
enum DlqAction {
    List(list::DlqListArgs),
    Show(show::DlqShowArgs),
    Redrive(redrive::DlqRedriveArgs),
}

pub(crate) fn run(arguments: &DlqArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    match &arguments.action {
        DlqAction::List(arguments) => list::run(arguments, out),
        DlqAction::Show(arguments) => show::run(arguments, out),
        DlqAction::Redrive(arguments) => redrive::run(arguments, out),
    }
}

/// A dead letter's position in its topic: `PARTITION/OFFSET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RecordId {
    partition: i32,
    offset: i64,
}

fn place(text: &str) -> Result<RecordId, String> {
    let read = || {
        let (partition, offset) = text.split_once('/')?;
        Some(RecordId { partition: partition.parse().ok()?, offset: offset.parse().ok()? })
    };
    let is_place = |place: &RecordId| place.partition >= 0 && place.offset >= 0;
    read().filter(is_place).ok_or_else(|| "write PARTITION/OFFSET, such as 0/12".to_owned())
}
