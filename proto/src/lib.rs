//! The wire of pexvisor: the messages, clients and servers made from `pexvisor/v1/supervisor.proto`.
//!
//! Nothing here has behaviour. The documentation of every field lives in the .proto file and comes along.

/// `pexvisor.v1`: the control API.
#[expect(missing_docs, clippy::all, clippy::allow_attributes, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("pexvisor.v1");
}

/// The serialised file descriptors, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
