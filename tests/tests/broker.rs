//! The real binary on a real Kafka, with kcat and Kafka's own tools on the other side.

mod broker {
    mod api;
    mod api_access;
    mod away;
    mod bad_input;
    mod cloudevents;
    mod compression;
    mod conformance;
    mod dead_letters;
    mod document;
    mod exactly_once;
    mod faults;
    mod foreign;
    mod header_names;
    mod hosts;
    mod languages;
    mod leaks;
    mod lineage;
    mod live_limits;
    mod otlp;
    mod page;
    mod pauses;
    mod refused;
    mod refused_connections;
    mod replays;
    mod resets;
    mod retries;
    mod rights;
    mod schedules;
    mod secured;
    mod shadows;
    mod stalls;
    mod starts;
    mod stream;
    mod system_certificates;
    mod topics;
    mod usage;
}
