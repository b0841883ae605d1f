//! Steady calls from several clients at once while something else happens, every one of them accounted for.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::task::JoinHandle;
use tonic::Status;

use crate::Echo;

/// Pause of one client between two calls: some hundred calls a second in all, with cores left for the deploy.
const PAUSE: Duration = Duration::from_millis(5);

/// Calls that go on until they are stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Report>>,
}

/// What came of the calls.
#[derive(Debug, Default)]
pub struct Report {
    /// Calls answered well, by the marker in the answer.
    pub answers: BTreeMap<String, u64>,
    /// Calls that failed.
    pub failures: Vec<Status>,
}

impl Load {
    /// Calls `Marker` from each of these clients, one call at a time per client.
    pub fn start(clients: impl IntoIterator<Item = Echo>) -> Self {
        let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let clients =
            clients.into_iter().map(|echo| tokio::spawn(call_on(echo, stop.clone(), calls.clone()))).collect();
        Self { stop, calls, clients }
    }

    /// Returns when `more` further calls have been made.
    pub async fn further(&self, more: u64) {
        let goal = self.calls.load(Relaxed) + more;
        crate::eventually("the load makes further calls", async || (self.calls.load(Relaxed) >= goal).then_some(()))
            .await;
    }

    /// Ends the calls and sums up.
    pub async fn stop(self) -> Report {
        self.stop.store(true, Relaxed);
        let mut sum = Report::default();
        for client in self.clients {
            let report = client.await.expect("a client does not panic");
            sum.failures.extend(report.failures);
            for (marker, count) in report.answers {
                *sum.answers.entry(marker).or_default() += count;
            }
        }
        sum
    }
}

async fn call_on(echo: Echo, stop: Arc<AtomicBool>, calls: Arc<AtomicU64>) -> Report {
    let mut report = Report::default();
    while !stop.load(Relaxed) {
        match echo.marker().await {
            Ok(marker) => *report.answers.entry(marker).or_default() += 1,
            Err(status) => report.failures.push(status),
        }
        calls.fetch_add(1, Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
    report
}
