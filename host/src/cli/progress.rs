//! Progress on stderr: lines, and on a terminal a bar for long work.

use parking_lot::{Mutex, MutexGuard};
use std::fmt::Display;
use std::io::{self, IsTerminal as _, Read, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressBarIter, ProgressDrawTarget, ProgressStyle};

const TICK: Duration = Duration::from_millis(120);

/// The bar that is drawn now: lines appear above it.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Prints `what` on stderr. A closed stderr is not a reason to stop.
pub(crate) fn report(what: impl Display) {
    let write = || {
        let _ = writeln!(io::stderr(), "{what}");
    };
    match &*bar() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

fn bar() -> MutexGuard<'static, Option<ProgressBar>> {
    BAR.lock()
}

/// An upload: a bar while bytes are sent, then the time since, while the host compiles. Without a terminal it is a line.
/// Dropping this removes it.
pub(crate) struct UploadProgress(ProgressBar);

impl UploadProgress {
    pub(crate) fn begin(path: &Path, bytes: u64) -> Self {
        let drawn = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
        drawn.set_style(style("uploading {bar:30} {bytes} of {total_bytes}"));
        if drawn.is_hidden() || !is_watched() {
            report(format_args!("uploading {} ({} KiB)", path.display(), bytes.div_ceil(1024)));
            drawn.set_draw_target(ProgressDrawTarget::hidden());
        }
        *bar() = Some(drawn.clone());
        Self(drawn)
    }

    /// Reads `module` for the request, and shows how far it is.
    pub(crate) fn read<R: Read + Send + 'static>(&self, module: R) -> impl Read + Send + 'static + use<R> {
        // A request that is retried starts over.
        self.0.reset();
        UploadReader { module: self.0.wrap_read(module), bar: self.0.clone() }
    }
}

impl Drop for UploadProgress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
        *bar() = None;
    }
}

struct UploadReader<R> {
    module: ProgressBarIter<R>,
    bar: ProgressBar,
}

impl<R: Read> Read for UploadReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.module.read(buffer)?;
        if self.bar.length().is_some_and(|all| self.bar.position() >= all) {
            self.bar.set_style(style("the host compiles and starts it {spinner} {elapsed}"));
            self.bar.enable_steady_tick(TICK);
        }
        Ok(read)
    }
}

/// A bar with a word beside it. Without a terminal nothing is drawn. Dropping this removes it.
pub(crate) struct ProgressLine(ProgressBar);

impl ProgressLine {
    pub(crate) fn new() -> Self {
        let drawn = match is_watched() {
            true => ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()),
            false => ProgressBar::hidden(),
        };
        drawn.set_style(style("{bar:30} {human_pos} of {human_len}  {msg}"));
        Self(drawn)
    }

    /// Sets the total.
    pub(crate) fn of(&self, all: u64) {
        self.0.set_length(all);
    }

    pub(crate) fn show(&self, done: u64, beside: String) {
        self.0.set_position(done);
        self.0.set_message(beside);
    }

    /// Runs `write`, whose output appears above the bar.
    pub(crate) fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are ours, and a test draws them.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Whether stderr is a terminal that can move its cursor.
fn is_watched() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_was_given() {
        let upload = UploadProgress::begin(Path::new("f.wasm"), 5);
        for _ in 0..2 {
            let mut sent = Vec::new();
            upload.read(&b"hello"[..]).read_to_end(&mut sent).unwrap();
            assert_eq!((sent.as_slice(), upload.0.position()), (&b"hello"[..], 5));
        }
        report("a line meanwhile");
    }

    #[test]
    fn templates_are_valid() {
        for template in [
            "uploading {bar:30} {bytes} of {total_bytes}",
            "the host compiles and starts it {spinner} {elapsed}",
            "{bar:30} {human_pos} of {human_len}  {msg}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
