//! The words that the tests of the promises are written in: a supervisor to start, kill and look at from outside, the
//! pexes to deploy, the calls to make.
//!
//! Nothing here links pexvisor: the tests see what a client, an operator and the kernel see.

pub mod control;
pub mod echo;
pub mod http;
pub mod http2;
pub mod http_store;
pub mod load;
pub mod observe;
pub mod pexes;
pub mod poll;
pub mod ports;
pub mod program;
pub mod s3;
pub mod supervisor;

pub use control::{Control, Outcome, request};
pub use echo::Echo;
pub use http_store::HttpStore;
pub use load::Load;
pub use pexes::Store;
pub use poll::eventually;
pub use supervisor::Supervisor;
