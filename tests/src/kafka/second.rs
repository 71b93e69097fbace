//! A second broker of a cluster, which can go while the first one stays.

use std::fs;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Kafka, QUICK, format_storage, run_broker};
use crate::process::{Process, free_port};

/// Its number in the cluster.
pub const NUMBER: i32 = 2;

/// Stopped when dropped, so the cluster notices at once and assigns no partition to it.
#[derive(Debug)]
pub struct SecondBroker {
    process: Process,
    folder: TempDir,
}

impl Kafka {
    /// Adds a broker that holds what is put on it by name.
    #[track_caller]
    pub fn second_broker(&self) -> SecondBroker {
        let folder = tempfile::tempdir().expect("a folder");
        let first = fs::read_to_string(self.folder.path().join("server.properties")).expect("the settings");
        let (port, proxied) = (free_port(), free_port());
        // Of two lines for a key the later one counts.
        let own = format!(
            "\nprocess.roles=broker\nnode.id={NUMBER}\nlog.dirs={}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{proxied}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{proxied}\n",
            folder.path().join("data").display()
        );
        fs::write(folder.path().join("server.properties"), first + &own).expect("written");
        format_storage(&folder);
        SecondBroker { process: run_broker(&folder, &QUICK), folder }
    }
}

impl SecondBroker {
    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same data.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.process.kill();
        self.process = run_broker(&self.folder, &QUICK);
    }
}

impl Drop for SecondBroker {
    fn drop(&mut self) {
        let start = Instant::now();
        if self.process.ended().is_none() {
            self.process.signal("TERM");
        }
        while self.process.ended().is_none() && start.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
