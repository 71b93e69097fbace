//! The real binary on a real Kafka, with kcat and Kafka's own tools on the other side.

mod broker {
    mod api;
    mod api_access;
    mod bad_input;
    mod cloudevents;
    mod exactly_once;
    mod faults;
    mod hosts;
    mod live_limits;
    mod refused;
    mod retries;
    mod setting;
    mod stalls;
    mod starts;
    mod stream;
    mod topics;
}
