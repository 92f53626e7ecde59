//! Making, reading and writing plans.

pub mod options;
