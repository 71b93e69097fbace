//! A wall clock of a host that a test moves.

use std::io::{Seek as _, Write as _};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::{NamedTempFile, TempDir};

use crate::host::HostOptions;
use crate::root;

#[derive(Debug)]
pub struct SkewedClock(NamedTempFile);

impl Default for SkewedClock {
    fn default() -> Self {
        Self::new()
    }
}

impl SkewedClock {
    /// A clock that is right.
    #[track_caller]
    pub fn new() -> Self {
        let clock = Self(NamedTempFile::new().expect("a file"));
        clock.set(0);
        clock
    }

    /// Gives a host this clock.
    #[track_caller]
    pub fn on(&self, options: HostOptions) -> HostOptions {
        let options = options.with("LD_PRELOAD", &library().to_string_lossy());
        options.with("MILLSTREAM_TEST_CLOCK", &self.0.path().to_string_lossy())
    }

    /// From now on it is fast by that much.
    #[track_caller]
    pub fn be_fast_by(&self, time: Duration) {
        self.set(i64::try_from(time.as_secs()).expect("a time of this world"));
    }

    /// From now on it is slow by that much.
    #[track_caller]
    pub fn be_slow_by(&self, time: Duration) {
        self.set(-i64::try_from(time.as_secs()).expect("a time of this world"));
    }

    #[track_caller]
    fn set(&self, seconds: i64) {
        let mut file = self.0.as_file();
        // In place: who has mapped the file sees it at once.
        file.rewind().expect("a file");
        file.write_all(&seconds.to_ne_bytes()).expect("written");
    }
}

/// What is preloaded, compiled once a run.
#[track_caller]
fn library() -> PathBuf {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let build = || {
        let folder = tempfile::tempdir().expect("a folder");
        let library = folder.path().join("clock.so");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&library);
        let built = compiler.arg(root().join("tests/clock/clock.c")).arg("-ldl").output();
        let built = built.expect("a C compiler: `./run setup` installs it");
        assert!(built.status.success(), "the clock: {}", String::from_utf8_lossy(&built.stderr));
        (folder, library)
    };
    BUILT.get_or_init(build).1.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `date` says is the clock's.
    #[test]
    fn a_process_sees_the_time_that_the_test_wants() {
        let clock = SkewedClock::new();
        let seconds = || -> i64 {
            let mut date = Command::new("date");
            date.arg("+%s").env("LD_PRELOAD", library()).env("MILLSTREAM_TEST_CLOCK", clock.0.path());
            let output = date.output().expect("every system has it");
            String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
        };
        let right = seconds();
        clock.be_fast_by(Duration::from_secs(3600));
        assert!((3600..3700).contains(&(seconds() - right)));
        clock.be_slow_by(Duration::from_secs(3600));
        assert!((-3600..-3500).contains(&(seconds() - right)));
    }
}
