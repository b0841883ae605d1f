//! Loads: calls one at a time, or a fixed number at once on one connection. Each answer is checked.

use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;

use crate::call::{CallError, Connection};

/// What every load calls: it is answered by a real Dagster code server and by the echo server alike.
const PING: &str = "/api.DagsterApi/Ping";

/// `PingRequest` and the head of `PingReply`: one text, field 1. So is every request of the peer's door.
#[derive(Clone, PartialEq, Message)]
pub struct Text {
    #[prost(string, tag = "1")]
    pub text: String,
}

impl Text {
    pub fn encoded(text: &str) -> Bytes {
        Self { text: text.to_owned() }.encode_to_vec().into()
    }
}

/// Latencies of one block of serial calls.
pub struct Latencies {
    sorted: Vec<Duration>,
}

impl Latencies {
    /// The latency in ms that `hundredths` percent of the calls do not exceed.
    pub fn percentile_ms(&self, hundredths: usize) -> f64 {
        let index = (self.sorted.len() * hundredths / 100).min(self.sorted.len() - 1);
        self.sorted[index].as_secs_f64() * 1e3
    }
}

/// Makes `count` calls, the next when the last is answered.
pub async fn serial(connection: &mut Connection, count: usize) -> Result<Latencies, CallError> {
    let message = Text::encoded("benchmark");
    let mut sorted = Vec::with_capacity(count);
    for _ in 0..count.max(1) {
        let started = Instant::now();
        ping(connection, &message).await?;
        sorted.push(started.elapsed());
    }
    sorted.sort_unstable();
    Ok(Latencies { sorted })
}

/// Keeps `at_once` calls in flight on one connection for `length`; calls answered per second.
pub async fn rate(connection: &Connection, at_once: usize, length: Duration) -> Result<f64, CallError> {
    let started = Instant::now();
    let lanes: Vec<_> = (0..at_once).map(|_| tokio::spawn(lane(connection.clone(), started + length))).collect();
    let mut answered = 0;
    for lane in lanes {
        answered += lane.await.expect("a lane neither panics nor is aborted")?;
    }
    Ok(f64::from(answered) / started.elapsed().as_secs_f64())
}

async fn lane(mut connection: Connection, until: Instant) -> Result<u32, CallError> {
    let message = Text::encoded("benchmark");
    let mut answered = 0;
    while Instant::now() < until {
        ping(&mut connection, &message).await?;
        answered += 1;
    }
    Ok(answered)
}

/// Dagster's answer may carry more fields after the echo.
async fn ping(connection: &mut Connection, message: &Bytes) -> Result<(), CallError> {
    let answer = connection.call(PING, message).await?;
    if answer.starts_with(message) { Ok(()) } else { Err(CallError::Malformed("another echo than was sent")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_taken_from_the_sorted_latencies() {
        let latencies = Latencies { sorted: (1..=100).map(Duration::from_millis).collect() };
        assert!((latencies.percentile_ms(50) - 51.0).abs() < 1e-9);
        assert!((latencies.percentile_ms(99) - 100.0).abs() < 1e-9);
    }
}
