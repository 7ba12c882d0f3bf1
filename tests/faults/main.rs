//! Clients, faults and a verdict: loads a server while it is killed, stopped or cut off, records what the
//! clients saw, and decides whether that is what a single store could have answered.

mod brute;
mod explain;
mod history;
mod known;
mod linear;
mod model;
mod random;
mod recorded;
