//! One generation as the proxy sees it: its number, its socket, its gate.

use std::sync::Arc;

use super::{Gate, Guard};
use crate::{code_server::CodeSocket, words::GenerationNumber};

/// Where the calls of one generation go.
#[derive(Debug)]
pub struct Target {
    generation: GenerationNumber,
    socket: CodeSocket,
    gate: Arc<Gate>,
}

impl Target {
    /// A target that takes calls.
    pub fn new(generation: GenerationNumber, socket: CodeSocket) -> Self {
        Self { generation, socket, gate: Arc::new(Gate::default()) }
    }

    /// The generation that answers.
    pub fn generation(&self) -> GenerationNumber {
        self.generation
    }

    /// The way to its code server.
    pub fn socket(&self) -> &CodeSocket {
        &self.socket
    }

    /// Enters for one call; `None` when the generation drains, and the route must be looked up again.
    pub fn try_enter(&self) -> Option<Guard> {
        self.gate.try_enter()
    }

    /// Takes no more calls. Publish the next route first.
    pub fn close(&self) {
        self.gate.close();
    }

    /// Whether it takes calls.
    pub fn is_open(&self) -> bool {
        self.gate.is_open()
    }

    /// Returns when it is closed and its last call has ended. Without bound: the caller sets the deadline.
    pub async fn drained(&self) {
        self.gate.drained().await;
    }

    /// Calls that have not ended.
    pub fn in_flight(&self) -> u64 {
        self.gate.in_flight()
    }
}
