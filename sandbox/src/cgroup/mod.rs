//! Control groups: who is in the box, how much they may use, how much they did, and their end.
//!
//! Four layers, lowest first: a checked name (`path`), one control file (`file`), one directory (`group`), and our
//! tree with its leaves (`tree`, `leaf`). Two kernels' dialects (`v1`, `v2`), and `loose` for containers that allow
//! neither, sit below one `Leaf` type. The root is found (`discover`) or given, never assumed.
//!
//! Calls block for as long as the kernel does; `Leaf::kill` for up to [`EMPTY_WAIT_MAX`].

mod discover;
mod ending;
mod enforcement;
mod error;
mod file;
mod group;
mod leaf;
mod limits;
mod loose;
mod oom;
mod path;
mod tree;
mod usage;
mod v1;
mod v2;

pub use discover::Mounts;
pub use enforcement::{Enforcement, Resource, Tier};
pub use error::{CgroupError, Operation};
pub use group::EMPTY_WAIT_MAX;
pub(crate) use group::wait_until;
pub use leaf::Leaf;
pub use limits::Limits;
pub use oom::OomEvents;
pub use path::{BadName, GroupName};
pub use tree::{LeafName, Leftovers, Tree};
pub use usage::Usage;
