//! Every bound of the data path, with its unit and reason.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// Threads that carry calls. Few, because a call that changes threads pays for it twice: one on a machine of two cores,
/// beside the code servers and the rest of the supervisor; no more than four.
pub fn threads_by_default() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, 4))
}

/// Bytes of stack of a data thread. Its futures live on the heap.
pub const THREAD_STACK_BYTES: usize = 1024 * 1024;

/// Connections from clients at once; the next one is closed at once. See [`connections_max`].
const CONNECTIONS_MAX: usize = 4096;

/// Share of the process's open files that connections may take: each costs two or more, and what deploys, journals and
/// pipes need must be left whatever clients do.
const OPEN_FILES_PER_CONNECTION: u64 = 4;

/// Connections from clients at once, with the open files that this process may have now.
pub fn connections_max() -> usize {
    let open_files_max = getrlimit(Resource::Nofile).current;
    let share = open_files_max.map_or(u64::MAX, |files| files / OPEN_FILES_PER_CONNECTION);
    usize::try_from(share).map_or(CONNECTIONS_MAX, |share| share.clamp(1, CONNECTIONS_MAX))
}

/// A connection that has not said its HTTP/2 preface by then is closed.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Calls in flight on one connection; h2 tells the client, whose further calls wait there.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 4096;

/// Calls of a burst that are taken before they go on: few enough that the code server has work early, many enough that
/// they share a write.
pub const GROUP_CALLS: usize = 8;

/// Calls of a burst that are taken in groups. What is cancelled before it is taken counts against the client (see
/// [`CANCELLED_UNSEEN_MAX`]), so the rest of a large burst is taken without a pause.
pub const GROUPED_CALLS_MAX: usize = 64;

/// Bytes that a client may send ahead on one call: enough for 20 MB/s over a round trip of 50 ms.
pub const CLIENT_WINDOW_BYTES: u32 = 1024 * 1024;

/// Bytes of one frame of a client: HTTP/2's own default. The first frame of a call goes with its head, whether the code
/// server has room or not.
pub const CLIENT_FRAME_BYTES_MAX: u32 = 16 * 1024;

/// Bytes that a code server may send ahead on one call: it is on this host, a round trip away by microseconds.
pub const SERVER_WINDOW_BYTES: u32 = 256 * 1024;

/// Bytes that a peer may send ahead on one connection. So large that a few hundred calls whose other end does not read
/// stop only themselves, and not their neighbours on the connection.
pub const CONNECTION_WINDOW_BYTES: u32 = 64 * 1024 * 1024;

/// Bytes of all calls together that were received and wait for their other end to read. At this bound the call that
/// would wait next is ended: the supervisor's memory is no buffer for those who do not read.
pub const WAITING_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes that h2 may hold per call for a socket that is full.
pub const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// h2 ends a whole connection when small frames pile up unread. Here they are read as they come, so only what one wake-up
/// brings counts: at most 128 socket reads (tokio's budget), some 150,000 frames of a few bytes at 256 units each.
pub const UNREAD_FRAMES_BUDGET: usize = 64 * 1024 * 1024;

/// Calls that were reset lately and are still known, so that their late frames are dropped in silence.
pub const RESET_CALLS_REMEMBERED: usize = 1024;

/// Calls that a client may open and cancel before they are looked at: many deadlines may end together, but a client that
/// does nothing else is cut off (CVE-2023-44487).
pub const CANCELLED_UNSEEN_MAX: usize = 256;

/// Late frames of forgotten calls that a client may send on one connection.
pub const STRAY_FRAMES_MAX: usize = 16 * 1024;

/// How often one call looks its route up again because a cut-over came between. Two are usual, a third is rare.
pub const ROUTE_LOOKUPS_MAX: usize = 16;

/// Bytes of one `grpc-message` that the proxy makes; gRPC's clients take 8 KiB of headers in all.
pub const MESSAGE_BYTES_MAX: usize = 2048;
