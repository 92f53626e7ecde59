//! The builder: catalogue and cluster in, graph out.

mod cluster;
mod order;
mod random;
mod refusals;
mod shipped;
mod worked;
