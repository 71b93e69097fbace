//! `millstream dev`, interactively: a change becomes the next revision, a mistake does not, and offsets are kept.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_tests::client::{Client, module};
use millstream_tests::host::binary;
use millstream_tests::process::Process;
use millstream_tests::{kcat, wait_until};

const LONG: Duration = Duration::from_secs(60);

/// A running `millstream dev` in a folder with the function `up`.
struct Dev {
    process: Process,
    folder: tempfile::TempDir,
    shown: Arc<Mutex<String>>,
}

impl Dev {
    /// What the build line copies is the "source".
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let project = folder.path().join("up");
        fs::create_dir(&project).expect("a folder");
        let manifest = "name = \"up\"\ntopics = [\"up.in\"]\noutputs = { default = \"up.out\" }\n\
            module = \"out/up.wasm\"\nbuild = \"mkdir -p out && cp source.wasm out/up.wasm\"\n";
        fs::write(project.join("millstream.toml"), manifest).expect("written");
        fs::write(project.join("source.wasm"), module("uppercase")).expect("written");
        let stderr = File::create(folder.path().join("stderr")).expect("a file");
        let mut process = Process::start(&binary().to_string_lossy(), |command| {
            command.args(["dev", "up", "--listen", "127.0.0.1:0"]).current_dir(folder.path());
            command.stdout(std::process::Stdio::piped()).stderr(stderr);
        });
        let shown = Arc::new(Mutex::new(String::new()));
        let (lines, kept) = (BufReader::new(process.take_stdout()).lines(), Arc::clone(&shown));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *kept.lock().expect("no thread panics with it") += &format!("{line}\n");
            }
        });
        Self { process, folder, shown }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("up").join(name)
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }

    #[track_caller]
    fn wait_until_stderr(&self, words: &str) {
        wait_until(&format!("{words:?} in {}", self.stderr()), LONG, || self.stderr().contains(words));
    }

    #[track_caller]
    fn wait_until_shown(&self, words: &str) {
        wait_until(words, LONG, || self.shown.lock().expect("no thread panics with it").contains(words));
    }

    /// The word after `label` in standard error.
    fn word_after(&self, label: &str) -> String {
        let stderr = self.stderr();
        let (_, rest) = stderr.split_once(label).unwrap_or_else(|| panic!("no {label} in {stderr}"));
        rest.split_whitespace().next().expect("a word").to_owned()
    }
}

fn replace(file: &Path, bytes: Vec<u8>) {
    // As editors do: a new file takes the place of the old one.
    let new = file.with_extension("new~");
    fs::write(&new, bytes).expect("written");
    fs::rename(new, file).expect("renamed");
}

#[test]
fn a_change_becomes_the_next_revision_and_keeps_its_place() {
    let mut dev = Dev::start();
    dev.wait_until_stderr("revision 1 runs: up.in → up.out");
    let (api, bootstrap) = (dev.word_after("API "), dev.word_after("Kafka "));
    let port = api.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let client = Client::new(port);
    let publish = |value: &str| client.send("POST", "/v1/topics/up.in/events?key=k", &[], value);
    let (status, place) = publish("first");
    assert_eq!((status, &place["offset"]), (202, &0.into()), "{place}");
    dev.wait_until_shown("FIRST");

    replace(&dev.path("source.wasm"), module("faults"));
    dev.wait_until_stderr("changed: source.wasm");
    dev.wait_until_stderr("revision 2 runs");
    publish("ok:second");
    dev.wait_until_shown("ok:second");
    publish("reject");
    dev.wait_until_shown("✗ up.dead");
    let outputs = kcat::read(&bootstrap, "up.out");
    let stamps: Vec<_> = outputs.iter().map(|record| (record.text(), record.header("ce_millstreamfunction"))).collect();
    assert_eq!(stamps, [("FIRST", Some("up@1")), ("ok:second", Some("up@2"))], "nothing ran twice");
    client.wait_for_no_lag("up", LONG);
    let watermark = |client: &Client| -> i64 {
        let status = client.status("up");
        status["partitions"].as_array().expect("a list").iter().filter_map(|at| at["watermark"].as_i64()).sum()
    };
    assert_eq!(watermark(&client), 3);

    // A mistake in the manifest, and one that only the build finds.
    let manifest = fs::read_to_string(dev.path("millstream.toml")).expect("readable");
    replace(&dev.path("millstream.toml"), format!("{manifest}odering = \"key\"\n").into_bytes());
    dev.wait_until_stderr("did you mean \"ordering\"?");
    dev.wait_until_stderr("revision 2 keeps running");
    replace(&dev.path("millstream.toml"), manifest.clone().into_bytes());
    dev.wait_until_stderr("nothing new: revision 2 keeps running");
    fs::remove_file(dev.path("source.wasm")).expect("removed");
    dev.wait_until_stderr("error[MS0503]");
    publish("ok:third");
    dev.wait_until_shown("ok:third");

    replace(&dev.path("source.wasm"), module("uppercase"));
    dev.wait_until_stderr("revision 3 runs");
    assert_eq!((watermark(&client), kcat::read(&bootstrap, "up.out").len()), (4, 3));

    // A file that every build rewrites must not cause another build.
    let restless = manifest.replace("mkdir -p out", "date +%N > stamp && mkdir -p out");
    replace(&dev.path("millstream.toml"), restless.into_bytes());
    dev.wait_until_stderr("stamp changes during each build without a new result: it is ignored from now on");

    dev.process.signal("INT");
    assert!(dev.process.wait(LONG).success(), "{}", dev.stderr());
    assert!(!dev.stderr().contains('\u{1b}'), "no colours in a file: {}", dev.stderr());
}

#[test]
fn a_folder_without_a_manifest_is_said_before_anything_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = std::process::Command::new(binary()).arg("dev").arg(folder.path()).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && stderr.contains("error[MS0505]"), "{stderr}");
    assert!(!stderr.contains("Kafka"), "{stderr}");
}
