//! Limits that are changed while records flow: the member of the group stays, and no record is lost or done twice.

use millstream_tests::fixture::HostFixture;
use millstream_tests::paced_producer::PacedProducer;
use millstream_tests::{PROGRESS, kcat, wait_until};

const RECORDS: usize = 2000;

#[test]
fn other_limits_take_effect_without_a_restart() {
    let fixture = HostFixture::new("limits", 1);
    fixture.deploy("faults", "[limits]\noutput = \"1KiB\"\n");
    let (client, name) = (&fixture.host.client, &fixture.name);
    let member = || fixture.kafka.group(&fixture.group()).into_iter().map(|at| at.member).collect::<Vec<_>>();
    let before = member();
    assert!(before.len() == 1 && before[0] != "-", "{before:?}");

    // Each more than a kibibyte.
    let inputs = (0..RECORDS).map(|index| ("k".to_owned(), format!("ok:{index}:{}", "x".repeat(2000)))).collect();
    let flow = PacedProducer::start(&fixture.kafka.bootstrap, &fixture.input, inputs, 500);
    wait_until("the small limit is felt", PROGRESS, || client.counter(name, "dead_lettered") > 100);
    let manifest = format!(
        "name = \"{name}\"\ntopics = [\"{}\"]\ninitial_offset = \"earliest\"\noutputs = {{ default = \"{}\" }}\n\
         [limits]\noutput = \"10KiB\"\n",
        fixture.input, fixture.output
    );
    let path = format!("/v1/functions/{name}/manifest?wait=30s");
    let (status, answer) = client.send("PUT", &path, &[("content-type", "application/toml")], &manifest);
    assert_eq!((status, &answer["revision"], &answer["state"]), (200, &2.into(), &"running".into()), "{answer}");
    flow.finish();
    client.wait_for_no_lag(name, PROGRESS);

    let outputs = kcat::read(&fixture.kafka.bootstrap, &fixture.output);
    let dead = kcat::read(&fixture.kafka.bootstrap, &fixture.dead());
    assert!(dead.len() > 100 && outputs.len() > 100, "{} dead letters, {} emissions", dead.len(), outputs.len());
    assert_eq!(dead.len() + outputs.len(), RECORDS, "each record once");
    let number =
        |record: &kcat::Record| record.text().split(':').nth(1).and_then(|number| number.parse::<usize>().ok());
    let numbers: Vec<_> = dead.iter().chain(&outputs).map(number).collect();
    assert!(
        numbers.iter().copied().eq((0..RECORDS).map(Some)),
        "one revision up to an offset, the other from there on"
    );
    assert!(dead.iter().all(|letter| letter.header("millstream-error-class") == Some("output-limit")));
    let stamp = format!("{name}@2");
    assert!(outputs.iter().all(|record| record.header("ce_millstreamfunction") == Some(&stamp)));
    assert_eq!(member(), before, "no member left the group or joined it");
}
