//! The verbs that need neither host nor Kafka, as their users run them.

mod local {
    mod bench;
    mod command_line;
    mod demo;
    mod dev;
    mod fixtures;
    mod new;
    mod terminal;
}
