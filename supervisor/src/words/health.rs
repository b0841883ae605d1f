//! Whether the supervisor as a whole does its work.

/// What probes and load balancers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It takes deploys and calls.
    Serving,
    /// It is starting or shutting down.
    NotServing,
}
