//! pexvisor: the table of contents. Boot order first, then shutdown order.

#[expect(dead_code, reason = "the parts that use these words follow")]
mod words;

fn main() {}
