//! Single flight: many ask for the same thing at once, one job makes it, all get the answer.
//!
//! A caller that goes away does not disturb the others; when the last one has gone, the job is cancelled. Nothing is
//! remembered after the answer: what is on disk is the cache.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

type Landing<V> = Shared<BoxFuture<'static, V>>;

/// The jobs under way, by what they make.
#[derive(Clone)]
pub struct Flights<K, V: Clone, P> {
    under_way: Arc<Mutex<HashMap<K, Flight<V, P>>>>,
}

struct Flight<V: Clone, P> {
    landing: WeakShared<BoxFuture<'static, V>>,
    progress: watch::Receiver<P>,
}

/// Whether a caller started the job that it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Berth {
    /// It did.
    Starter,
    /// It joined another's.
    Guest,
}

/// One caller's share in a job.
pub struct Passenger<V: Clone, P> {
    /// Its part in it.
    pub berth: Berth,
    /// Resolves to the job's answer; dropping the last one cancels the job.
    pub landing: Landing<V>,
    /// How far the job is; closed when it has ended.
    pub progress: watch::Receiver<P>,
}

impl<K, V, P> Flights<K, V, P>
where
    K: Eq + Hash + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
    P: Default + Send + Sync + 'static,
{
    /// No job under way.
    pub fn new() -> Self {
        Self { under_way: Arc::default() }
    }

    /// Joins the job that makes `key`, or starts it.
    pub fn board<F>(&self, key: &K, start: impl FnOnce(watch::Sender<P>) -> F) -> Passenger<V, P>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under_way = self.lock();
        if let Some(passenger) = under_way.get(key).and_then(Flight::passenger) {
            return passenger;
        }
        // Those that nobody waits for any more.
        under_way.retain(|_, flight| flight.landing.upgrade().is_some());
        let (sender, progress) = watch::channel(P::default());
        let landing = self.take_off(key.clone(), start(sender));
        let weak = landing.downgrade().expect("a future that was never polled has not ended");
        under_way.insert(key.clone(), Flight { landing: weak, progress: progress.clone() });
        Passenger { berth: Berth::Starter, landing, progress }
    }

    /// Whether this job is under way.
    #[cfg(test)]
    fn is_under_way(&self, key: &K) -> bool {
        self.lock().get(key).is_some_and(|flight| flight.landing.upgrade().is_some())
    }

    /// A task of its own, so that the job goes on whichever of its callers is being polled.
    fn take_off(&self, key: K, job: impl Future<Output = V> + Send + 'static) -> Landing<V> {
        let flights = Self { under_way: self.under_way.clone() };
        let task = AbortOnDropHandle::new(tokio::spawn(job));
        async move {
            let landed = task.await;
            flights.lock().remove(&key);
            match landed {
                Ok(value) => value,
                Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
                // Only a runtime that shuts down cancels a task whose handle is still held.
                Err(_) => std::future::pending().await,
            }
        }
        .boxed()
        .shared()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flight<V, P>>> {
        // Each change of the map is one call: a panic elsewhere leaves it whole.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Clone, P> Flight<V, P> {
    fn passenger(&self) -> Option<Passenger<V, P>> {
        let landing = self.landing.upgrade()?;
        Some(Passenger { berth: Berth::Guest, landing, progress: self.progress.clone() })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn fifty_callers_share_one_job_and_its_answer() {
        let flights = Flights::<_, usize, ()>::new();
        let started = Arc::new(AtomicUsize::new(0));
        let join = || {
            let started = started.clone();
            flights.board(&"key", |_| async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                started.fetch_add(1, Ordering::SeqCst)
            })
        };
        let callers: Vec<_> = (0..50).map(|_| join().landing).collect();
        assert_eq!(futures_util::future::join_all(callers).await, vec![0; 50]);
        assert_eq!(started.load(Ordering::SeqCst), 1);
        assert!(!flights.is_under_way(&"key"));
        assert_eq!(join().landing.await, 1, "an answer is not remembered");
    }

    #[tokio::test]
    async fn one_caller_that_leaves_does_not_disturb_the_others() {
        let flights = Flights::<_, u8, ()>::new();
        let go = Arc::new(Notify::new());
        let join = || {
            let go = go.clone();
            flights.board(&1, |_| async move {
                go.notified().await;
                7
            })
        };
        let first = tokio::spawn(join().landing);
        let second = tokio::spawn(join().landing);
        tokio::time::sleep(Duration::from_millis(10)).await;
        first.abort();
        assert!(first.await.is_err());
        go.notify_one();
        assert_eq!(second.await.expect("not aborted"), 7);
    }

    #[tokio::test]
    async fn a_job_ends_with_its_last_caller() {
        struct Dropped(Arc<Notify>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        let flights = Flights::<_, u8, ()>::new();
        let dropped = Arc::new(Notify::new());
        let guard = Dropped(dropped.clone());
        let passenger = flights.board(&1, |_| async move {
            let _guard = guard;
            std::future::pending().await
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        drop(passenger);
        tokio::time::timeout(Duration::from_secs(5), dropped.notified()).await.expect("the job was dropped");
        assert!(!flights.is_under_way(&1));
    }
}
