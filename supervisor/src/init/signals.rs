//! The signals of the supervisor: which ask for the end, and which it does not let end it.
//!
//! PID 1 gets only signals that it has a handler for, a plain child all of them; with handlers both behave the same.
//! SIGCHLD is the reaper's. Nothing is forwarded: children have sessions of their own and are terminated one by one.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// How the end was asked for so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    /// Not at all.
    #[default]
    Run,
    /// Once: drain and terminate within the bounds.
    Graceful,
    /// Twice: kill and go.
    Immediate,
}

/// The wish to end, as everybody in the process sees it. Clones share it.
#[derive(Clone, Debug)]
pub struct Shutdown {
    wish: watch::Sender<Wish>,
}

/// A signal cannot be taken.
#[derive(Debug, thiserror::Error)]
#[error("take the signal {name}")]
pub struct SignalError {
    name: &'static str,
    source: io::Error,
}

impl Shutdown {
    /// Takes the signals of this process and listens from now on. Call it once, in a runtime, before anything is
    /// started that must be stopped.
    ///
    /// SIGTERM and SIGINT ask for the end, once gracefully, the second time at once. SIGHUP, SIGQUIT, SIGUSR1 and
    /// SIGUSR2 are logged and ignored: a terminal that goes away or a stray `kill` ends no code server. SIGPIPE is
    /// ignored by every Rust program.
    ///
    /// # Errors
    /// [`SignalError`] when the runtime has no signal driver.
    pub fn on_signals() -> Result<Self, SignalError> {
        let shutdown = Self::new();
        for (kind, name) in [(SignalKind::terminate(), "SIGTERM"), (SignalKind::interrupt(), "SIGINT")] {
            let shutdown = shutdown.clone();
            tokio::spawn(on_each(take(kind, name)?, move || {
                tracing::info!(signal = name, "asked to end");
                shutdown.request();
            }));
        }
        for (kind, name) in ignored() {
            tokio::spawn(on_each(take(kind, name)?, move || tracing::info!(signal = name, "ignored a signal")));
        }
        Ok(shutdown)
    }

    /// A shutdown that no signal asks for; for tests, and for ends that have other causes.
    pub fn new() -> Self {
        Self { wish: watch::Sender::new(Wish::Run) }
    }

    /// Asks for the end: gracefully the first time, at once from the second on.
    pub fn request(&self) {
        self.wish.send_modify(|wish| *wish = if *wish == Wish::Run { Wish::Graceful } else { Wish::Immediate });
    }

    /// Waits until the end is asked for, gracefully or at once.
    pub async fn requested(&self) {
        self.reached(Wish::Graceful).await;
    }

    /// Waits until the end is asked for at once.
    pub async fn forced(&self) {
        self.reached(Wish::Immediate).await;
    }

    async fn reached(&self, least: Wish) {
        let mut wish = self.wish.subscribe();
        wish.wait_for(|wish| *wish >= least).await.expect("self holds the sender");
    }
}

fn ignored() -> [(SignalKind, &'static str); 4] {
    [
        (SignalKind::hangup(), "SIGHUP"),
        (SignalKind::quit(), "SIGQUIT"),
        (SignalKind::user_defined1(), "SIGUSR1"),
        (SignalKind::user_defined2(), "SIGUSR2"),
    ]
}

fn take(kind: SignalKind, name: &'static str) -> Result<Signal, SignalError> {
    signal(kind).map_err(|source| SignalError { name, source })
}

async fn on_each(mut signal: Signal, action: impl Fn()) {
    while signal.recv().await.is_some() {
        action();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Long enough for a waiter to be woken, short enough to wait for when it must not be.
    const MOMENT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn the_first_request_is_graceful_and_the_second_is_not() {
        let shutdown = Shutdown::new();
        assert!(tokio::time::timeout(MOMENT, shutdown.requested()).await.is_err());
        shutdown.request();
        shutdown.requested().await;
        assert!(tokio::time::timeout(MOMENT, shutdown.forced()).await.is_err());
        shutdown.request();
        shutdown.forced().await;
        shutdown.requested().await;
    }

    #[tokio::test]
    async fn signals_to_this_process_ask_and_do_not_kill() {
        use nix::sys::signal::{Signal as Number, raise};
        let shutdown = Shutdown::on_signals().expect("a runtime with signals");
        for ignored in [Number::SIGHUP, Number::SIGQUIT, Number::SIGUSR1, Number::SIGUSR2] {
            raise(ignored).expect("to ourselves");
        }
        assert!(tokio::time::timeout(MOMENT, shutdown.requested()).await.is_err());
        raise(Number::SIGTERM).expect("to ourselves");
        shutdown.requested().await;
        raise(Number::SIGINT).expect("to ourselves");
        shutdown.forced().await;
    }
}
