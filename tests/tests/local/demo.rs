//! `millstream demo`, the first command that a new user runs.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use millstream_tests::host::binary;

fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Child {
    // A demo that stays up by mistake would run without end.
    let mut command = Command::new("timeout");
    command.args(["--foreground", "90"]).arg(binary()).arg("demo").args(arguments).envs(settings.iter().copied());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("timeout can be started")
}

/// Reads what `demo` prints up to the first line that holds `words`.
fn read_until(demo: &mut Child, words: &str) -> Vec<String> {
    let mut seen = Vec::new();
    for line in BufReader::new(demo.stdout.as_mut().expect("it is piped")).lines() {
        seen.push(line.expect("text"));
        if seen.last().is_some_and(|line| line.contains(words)) {
            return seen;
        }
    }
    panic!("no line holds {words:?}: {seen:?}");
}

fn interrupt(demo: &Child) {
    let pid = i32::try_from(demo.id()).expect("a process id");
    // `timeout` passes it on.
    let status = Command::new("kill").args(["-INT", &pid.to_string()]).status().expect("kill can be started");
    assert!(status.success());
}

#[test]
fn it_says_each_step_and_ends_with_its_counts() {
    let mut demo = start(&[], &[]);
    let seen = read_until(&mut demo, "demo: 11 in, 16 out, 1 dead letters");
    let place = |words: &str| {
        seen.iter().position(|line| line.contains(words)).unwrap_or_else(|| panic!("{words:?} is missing: {seen:?}"))
    };
    let steps = [
        "starting a broker",
        "deploying place-bid",
        "deploying item-complete",
        "deploying notify-bidders",
        "waiting for",
        "› bids",
    ];
    assert!(steps.map(place).is_sorted(), "{seen:?}");
    assert!(demo.wait().expect("it ends").success());
}

#[test]
fn an_interrupt_ends_it_quietly() {
    let mut demo = start(&[], &[]);
    read_until(&mut demo, "deploying place-bid");
    interrupt(&demo);
    let output = demo.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert_eq!(stderr, "");
}

#[test]
fn it_stays_where_it_was_asked_to_listen() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|taken| taken.local_addr()).expect("a port").port();
    let address = format!("127.0.0.1:{port}");
    let mut demo = start(&["--stay"], &[("MILLSTREAM_LISTEN", &address)]);
    let seen = read_until(&mut demo, "The host stays up at");
    assert!(seen.last().is_some_and(|line| line.contains(&format!("http://{address},"))), "{seen:?}");
    interrupt(&demo);
    let mut rest = String::new();
    demo.stdout.take().expect("it is piped").read_to_string(&mut rest).expect("text");
    assert!(demo.wait().expect("it ends").success(), "{rest}");
}
