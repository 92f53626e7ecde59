//! SSH: the transport trait of the engine, and russh behind it.

pub mod knownhosts;
