//! TCP ports for servers that are started, killed and started again.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering::Relaxed},
};

/// The ports given out start here and end below the range that the kernel hands out by itself: out of that, another
/// process would be given a port for a connection before a server binds it again after a restart.
const FIRST: u16 = 10_000;
/// How many there are. Ten thousand above each is still below the kernel's range, for servers with a second port there.
const COUNT: u16 = 10_000;

/// A port that nobody listens on. Tests are processes of their own: each starts to look somewhere else.
pub fn free_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() * 16 % u32::from(COUNT)).expect("it is below COUNT");
    let mut candidates = std::iter::repeat_with(|| FIRST + (start + TRIED.fetch_add(1, Relaxed)) % COUNT);
    candidates.by_ref().take(1_000).find(|&port| is_free(port)).expect("one of a thousand ports is free")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
