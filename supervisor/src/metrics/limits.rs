//! How often each named limit was reached.

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::{
    labels::{ByLimit, Word},
    registered,
};

/// One counter for each named limit.
#[derive(Clone)]
pub struct LimitMetrics {
    reached: Family<ByLimit, Counter>,
}

impl LimitMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self { reached: registered(registry, "limit_reached", "How often each named limit was reached") }
    }

    /// The counter of one limit, named after its constant in snake_case without unit. It shows from this call on, with
    /// 0: ask for it where the limit is set up, and keep it.
    pub fn counter(&self, limit: &'static str) -> Counter {
        self.reached.get_or_create_owned(&ByLimit { limit: Word(limit) })
    }
}
