//! pexvisor as the real PID 1 of real Docker containers, from the image that deploy/Dockerfile makes.
//!
//! `make test-container` builds the image and brings a Docker daemon; without them every test here fails. What holds in
//! any process, container or not, has its test in the host tier.

mod cgroups;
mod compose;
mod docker;
mod image;
mod pid_1;
mod restart;
mod stop;
