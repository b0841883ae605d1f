//! The control API: gRPC in, the supervisor's own words inside, gRPC out.
//!
//! `parse` and `show` translate, `serve` passes on, `grpc_status` is the one place where an error gets its code. Nothing
//! here decides what happens to an environment.

mod parse;
mod show;
