//! The real binary on a real Kafka, with kcat and Kafka's own tools on the other side.

mod broker {
    mod api;
    mod api_access;
    mod away;
    mod bad_input;
    mod cloudevents;
    mod conformance;
    mod document;
    mod exactly_once;
    mod faults;
    mod foreign;
    mod hosts;
    mod languages;
    mod lineage;
    mod live_limits;
    mod page;
    mod refused;
    mod retries;
    mod rights;
    mod setting;
    mod stalls;
    mod starts;
    mod stream;
    mod topics;
    mod usage;
}
