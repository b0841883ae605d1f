//! pexvisor as the real PID 1 of a real machine with cgroup v2: an emulated one, booted once for all tests here.
//!
//! The claims themselves are in integration/guest/claims.py and run inside; each test here is one of them. `make test-vm`
//! prepares what is booted; without it every test fails. The machine is slow: nothing here is about time.

mod machine;

use machine::Report;

fn holds(claim: &str) {
    Report::of_this_run().assert_holds(claim);
}

#[test]
fn pexvisor_is_pid_1() {
    holds("pexvisor_is_pid_1");
}

#[test]
fn pexvisor_has_moved_out_of_the_way_of_controllers() {
    holds("pexvisor_has_moved_out_of_the_way_of_controllers");
}

#[test]
fn every_limit_is_the_kernels() {
    holds("every_limit_is_the_kernels");
}

#[test]
fn a_deploy_serves() {
    holds("a_deploy_serves");
}

#[test]
fn a_generation_has_a_leaf_with_its_limits() {
    holds("a_generation_has_a_leaf_with_its_limits");
}

#[test]
fn a_deploy_over_it_leaves_nothing_of_the_old_generation() {
    holds("a_deploy_over_it_leaves_nothing_of_the_old_generation");
}

#[test]
fn a_memory_hog_is_killed_in_its_leaf_and_told_of() {
    holds("a_memory_hog_is_killed_in_its_leaf_and_told_of");
}

#[test]
fn a_stop_leaves_no_process_however_it_hid() {
    holds("a_stop_leaves_no_process_however_it_hid");
}

#[test]
fn an_orphan_that_is_nobodys_is_reaped() {
    holds("an_orphan_that_is_nobodys_is_reaped");
}

#[test]
fn the_neighbour_never_failed_a_call() {
    holds("the_neighbour_never_failed_a_call");
}

#[test]
fn sigterm_lets_a_call_in_flight_end() {
    holds("sigterm_lets_a_call_in_flight_end");
}

#[test]
fn sigterm_ends_pexvisor_with_exit_code_0() {
    // The kernel cannot go on without PID 1 and says with which status it went.
    let console = Report::of_this_run().console;
    assert!(console.contains("Attempted to kill init! exitcode=0x00000000"), "{console}");
}

#[test]
fn no_claim_of_the_guest_is_without_a_test() {
    let tests = include_str!("main.rs");
    for claim in Report::of_this_run().claims() {
        assert!(tests.contains(&format!("holds(\"{claim}\")")), "{claim} has no test");
    }
}
