//! What an environment's name leads to at this instant. The environment's driver writes it, the proxy reads it.
//!
//! A cut-over is two steps in this order: publish the new route, close the old target. A call that reads the old route
//! and then finds its gate closed looks the route up again, so no call falls between the two.

mod gate;
mod routes;
mod target;

pub use gate::{Gate, Guard};
pub use routes::{Route, Routes};
pub use target::Target;
