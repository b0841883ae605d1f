//! The table from names to targets: read on every call without a lock, replaced as a whole on every change.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;

use super::Target;
use crate::words::EnvironmentName;

/// What a call for an environment meets.
#[derive(Clone, Debug)]
pub enum Route {
    /// A generation answers.
    Serving(Arc<Target>),
    /// A first generation, or one after a restart of the supervisor, is on its way.
    Starting,
    /// The last generation failed and none serves.
    Failed {
        /// What failed and what to do next, for the caller of the environment.
        message: String,
    },
    /// Stopped on request.
    Stopped,
}

/// All routes. Clones share one table.
#[derive(Clone, Debug, Default)]
pub struct Routes(Arc<ArcSwap<HashMap<EnvironmentName, Route>>>);

impl Routes {
    /// The route of `name`, or `None` when there is no such environment.
    pub fn get(&self, name: &EnvironmentName) -> Option<Route> {
        self.0.load().get(name).cloned()
    }

    /// Publishes the route of `name`. For a cut-over, close the old target after this.
    pub fn set(&self, name: &EnvironmentName, route: &Route) {
        self.0.rcu(|routes| {
            let mut routes = HashMap::clone(routes);
            routes.insert(name.clone(), route.clone());
            routes
        });
    }

    /// Forgets `name`: there is no such environment from now on.
    pub fn remove(&self, name: &EnvironmentName) {
        self.0.rcu(|routes| {
            let mut routes = HashMap::clone(routes);
            routes.remove(name);
            routes
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    use super::*;
    use crate::{code_server::CodeSocket, words::GenerationNumber};

    fn target(generation: GenerationNumber) -> Arc<Target> {
        Arc::new(Target::new(generation, CodeSocket::new("/nowhere".into(), Arc::new(|_| true))))
    }

    #[test]
    fn a_name_leads_where_it_was_last_set_to() {
        let (routes, etl) = (Routes::default(), "etl".parse().unwrap());
        assert!(routes.get(&etl).is_none());
        routes.clone().set(&etl, &Route::Starting);
        assert!(matches!(routes.get(&etl), Some(Route::Starting)));
        routes.set(&etl, &Route::Serving(target(7)));
        assert!(matches!(routes.get(&etl), Some(Route::Serving(target)) if target.generation() == 7));
        routes.remove(&etl);
        assert!(routes.get(&etl).is_none());
    }

    #[test]
    fn many_cut_overs_lose_no_call() {
        let (routes, etl) = (Routes::default(), "etl".parse().unwrap());
        routes.set(&etl, &Route::Serving(target(1)));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let callers: Vec<_> = (0..3).map(|_| scope.spawn(|| call_until(&stop, &routes, &etl))).collect();
            for generation in 2..5_000 {
                let Some(Route::Serving(old)) = routes.get(&etl) else { panic!("it always serves") };
                routes.set(&etl, &Route::Serving(target(generation)));
                old.close();
            }
            stop.store(true, SeqCst);
            assert!(callers.into_iter().map(|caller| caller.join().unwrap()).sum::<u64>() > 0);
        });
    }

    fn call_until(stop: &AtomicBool, routes: &Routes, etl: &EnvironmentName) -> u64 {
        let (mut calls, mut newest) = (0, 0);
        while !stop.load(SeqCst) {
            let entered = (0..100).find_map(|_| match routes.get(etl) {
                Some(Route::Serving(target)) => target.try_enter().map(|guard| (guard, target)),
                _ => None,
            });
            let (_guard, target) = entered.expect("a call finds an open gate");
            assert!(target.generation() >= newest, "the route never goes back");
            (calls, newest) = (calls + 1, target.generation());
        }
        calls
    }
}
