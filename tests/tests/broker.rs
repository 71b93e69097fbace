//! The real binary on a real Kafka, with kcat and Kafka's own tools on the other side.

mod broker {
    mod cloudevents;
    mod exactly_once;
    mod faults;
    mod hosts;
    mod refused;
    mod retries;
    mod setting;
    mod starts;
    mod stream;
}
