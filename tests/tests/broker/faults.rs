//! What a guest can do wrong: each a fault class of its own, the host unharmed, neighbours served.

use std::time::Duration;

use millstream_tests::fixture::HostFixture;
use millstream_tests::{SLOW_PROGRESS, kcat};

#[test]
fn every_fault_has_its_class_and_harms_nobody_else() {
    let mut fixture = HostFixture::new("faults", 4);
    let bootstrap = fixture.kafka.bootstrap.clone();
    let neighbour = format!("{}-neighbour", fixture.name);
    let (input, output) = (format!("{neighbour}.in"), format!("{neighbour}.out"));
    fixture.kafka.create_topic(&input, 1);
    let manifest =
        format!("topics = [\"{input}\"]\ninitial_offset = \"earliest\"\noutputs = {{ default = \"{output}\" }}");
    fixture.host.client.deploy(&neighbour, "uppercase", &manifest);

    let cases = [
        ("trap", "trap"),
        ("loop", "timeout"),
        ("sleep", "timeout"),
        ("memory", "memory"),
        ("recurse", "trap"),
        ("output", "output-limit"),
        ("unknown-output", "unknown-output"),
        ("retry", "retry"),
        ("reject", "reject"),
    ];
    for (command, _) in cases {
        kcat::produce_one(&bootstrap, &fixture.input, Some(command), &[], command.as_bytes());
    }
    fixture.deploy(
        "faults",
        "ordering = \"key\"\n[retry]\nmax_attempts = 2\nbackoff = \"10ms\"\n[limits]\ntimeout = \"500ms\"\nmemory = \"128MiB\"\n",
    );
    kcat::produce(&bootstrap, &input, (0..50).map(|index| ("k".to_owned(), format!("n{index}"))));
    let served = kcat::read_at_least(&bootstrap, &output, 50, Duration::from_secs(30));
    assert_eq!(served.len(), 50, "the neighbour is served");

    fixture.host.client.wait_for_no_lag(&fixture.name, SLOW_PROGRESS);
    let dead = kcat::read(&bootstrap, &fixture.dead());
    for (command, class) in cases {
        let letters: Vec<_> = dead.iter().filter(|letter| letter.text() == command).collect();
        assert_eq!(letters.len(), 1, "{command}: {letters:?}");
        assert_eq!(letters[0].header("millstream-error-class"), Some(class), "{command}: {:?}", letters[0].headers);
    }
    assert_eq!(dead.len(), cases.len());
    assert_eq!(kcat::read(&bootstrap, &fixture.output).len(), 0, "nothing of a failed invocation is emitted");
    assert!(fixture.host.is_alive());
    let mib = fixture.host.resident_bytes() / (1 << 20);
    assert!(mib < 400, "the host has {mib} MiB after the bombs");
}

#[test]
fn a_guest_sees_no_files_no_network_and_only_its_environment() {
    let fixture = HostFixture::new("denied", 1);
    let bootstrap = &fixture.kafka.bootstrap;
    for command in ["file", "socket", "env", "logs"] {
        kcat::produce_one(bootstrap, &fixture.input, Some(command), &[], command.as_bytes());
    }
    fixture.deploy("faults", "[env]\nREGION = \"eu\"\n");
    fixture.host.client.wait_for_no_lag(&fixture.name, SLOW_PROGRESS);
    let outputs = kcat::read(bootstrap, &fixture.output);
    let of = |key: &str| {
        let found = outputs.iter().find(|record| record.key_text() == key);
        found.unwrap_or_else(|| panic!("{key} came out; dead: {:?}", kcat::read(bootstrap, &fixture.dead()))).text()
    };
    assert!(of("env").contains("REGION=eu") && !of("env").contains("PATH="), "{}", of("env"));
    for denied in ["file", "socket"] {
        assert!(!of(denied).is_empty(), "{denied} gives the reason");
    }
}

#[test]
fn what_is_no_module_is_refused() {
    let fixture = HostFixture::new("refused", 1);
    let manifest = format!("name = \"{}\"\ntopics = [\"{}\"]\n", fixture.name, fixture.input);
    let put = |module: Vec<u8>| fixture.host.client.put(&fixture.name, &manifest, module);
    let module = millstream_tests::client::module("uppercase");
    let mut flipped = module.clone();
    let middle = flipped.len() / 2;
    flipped[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0x55);
    for bad in
        [Vec::new(), b"hello".to_vec(), module[..module.len() / 2].to_vec(), b"\x7fELFprecompiled".to_vec(), flipped]
    {
        let (status, answer) = put(bad);
        assert!((400..500).contains(&status), "{status}: {answer}");
        assert!(answer["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{answer}");
    }
    let (status, answer) = fixture.host.client.put(&fixture.name, "name = \"x\"\ntopic = [\"a\"]", module);
    assert!((400..500).contains(&status) && answer["detail"].to_string().contains("topics"), "{answer}");
}
