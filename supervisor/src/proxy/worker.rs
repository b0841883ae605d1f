//! The threads that carry calls. Nothing else runs on them, so nothing else holds calls up.

use std::io;

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

use super::limits::THREAD_STACK_BYTES;

/// One thread with a runtime of its own; it ends when this is dropped, and cuts off what still runs on it.
pub struct Worker {
    handle: Handle,
    _alive: oneshot::Sender<()>,
}

impl Worker {
    /// Starts the thread with this number.
    pub fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel();
        std::thread::Builder::new().name(format!("proxy-{number}")).stack_size(THREAD_STACK_BYTES).spawn(
            move || {
                // Nothing is ever sent: the sender's end is the signal.
                let _ = runtime.block_on(ended);
            },
        )?;
        Ok(Self { handle, _alive: alive })
    }

    /// Where to spawn onto it.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}
