//! What a test of one function stands on: a broker, topics of its own, and hosts that share a registry of their own.

mod broker;
mod function;
mod host;

pub use broker::TestBroker;
pub use function::FunctionFixture;
pub use host::HostFixture;
