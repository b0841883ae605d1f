//! Random lives of an environment against a model of the world that performs its actions.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::prelude::*;

use super::*;
use crate::words::{Phase, samples};

/// What a user, the work or the clock may do next. Numbers pick among what is there.
#[derive(Clone, Debug)]
enum Move {
    Deploy,
    Restart,
    Stop,
    Remove,
    Prepare(usize, bool),
    Ready(usize),
    Die(usize),
    Clear(usize),
    PauseOver,
    Steady(usize),
    Kill9,
}

/// Performs actions and remembers what must hold.
#[derive(Default)]
struct World {
    state: State,
    preparing: BTreeSet<Ticket>,
    living: BTreeSet<GenerationNumber>,
    told_to_go: BTreeSet<GenerationNumber>,
    clearing: BTreeSet<GenerationNumber>,
    routed: Option<GenerationNumber>,
    open_tickets: BTreeSet<Ticket>,
    journal: (Option<RevisionNumber>, Option<RevisionNumber>),
    pausing: bool,
    forgotten: bool,
    ready_ever: BTreeMap<GenerationNumber, ()>,
}

impl World {
    fn feed(&mut self, event: Event) {
        let serving_before = self.state.serving();
        for action in self.state.step(event) {
            self.perform(action, serving_before);
        }
        self.check();
    }

    fn perform(&mut self, action: Action, serving_before: Option<GenerationNumber>) {
        match action {
            Action::Journal => {
                self.journal = (self.state.promised.map(|it| it.revision), self.state.candidate.map(|it| it.revision));
            }
            Action::Tell(ticket, Told::Accepted) => assert!(self.open_tickets.insert(ticket), "accepted once"),
            Action::Tell(_, Told::Starting(_)) => {}
            Action::Tell(ticket, told) => {
                assert!(self.open_tickets.remove(&ticket), "{told:?} ends an attempt that is open, once");
                if let Told::Failed(_, still) = told {
                    assert_eq!(still, self.state.serving());
                }
            }
            Action::Prepare(ticket, revision) => {
                assert!(self.state.revisions.contains_key(&revision), "a revision that is prepared is kept");
                self.preparing.insert(ticket);
            }
            Action::AbandonPrepare(ticket) => assert!(self.preparing.remove(&ticket)),
            Action::Start(generation, _) => {
                assert!(self.living.insert(generation), "generation numbers are not reused");
            }
            Action::CutOver(generation) => {
                assert!(self.living.contains(&generation) && !self.told_to_go.contains(&generation));
                self.routed = Some(generation);
            }
            Action::Unroute(why) => {
                if let (Unserved::Starting | Unserved::Failed(_), Some(serving)) = (&why, serving_before) {
                    assert!(!self.living.contains(&serving), "{why:?} while {serving} lives and serves");
                }
                self.routed = None;
            }
            Action::Retire(generation) | Action::Terminate(generation) => {
                assert!(self.living.contains(&generation));
                self.told_to_go.insert(generation);
            }
            Action::Pause(length) => {
                assert!(length >= Duration::from_millis(100));
                assert!(!std::mem::replace(&mut self.pausing, true), "one pause at a time");
            }
            Action::CancelPause => assert!(std::mem::take(&mut self.pausing)),
            Action::Forget => {
                assert!(self.living.is_empty() && self.clearing.is_empty(), "nothing of it is left");
                self.forgotten = true;
            }
        }
    }

    fn check(&self) {
        let state = &self.state;
        let mut owned = state.retiring.clone();
        let candidate = state.candidate.and_then(|it| match it.stage {
            Stage::Starting(generation) => Some(generation),
            Stage::Preparing => None,
        });
        let promised = state.promised.and_then(|it| match it.life {
            Life::Serving(generation) | Life::Starting(generation) => Some(generation),
            Life::Pausing | Life::Preparing(_) => None,
        });
        for generation in [candidate, promised].into_iter().flatten() {
            assert!(owned.insert(generation), "a generation has one owner");
        }
        assert_eq!(owned, self.living, "every living generation has an owner");
        assert_eq!(state.clearing, self.clearing, "what has ended is waited for");
        if state.phase() == Phase::Stopped {
            assert!(self.living.is_empty() && self.clearing.is_empty(), "stopped means that nothing is left");
        }
        assert_eq!(state.serving(), self.routed, "the route is where the state says");
        assert_eq!(state.retiring.iter().collect::<Vec<_>>(), self.told_to_go.iter().collect::<Vec<_>>());
        assert!(state.wanted().iter().all(|number| state.revisions.contains_key(number)));
        let open = state.candidate.map(|it| it.ticket);
        assert_eq!(self.open_tickets, open.into_iter().collect(), "only the candidate's attempt is open");
        let durable = (state.promised.map(|it| it.revision), state.candidate.map(|it| it.revision));
        assert_eq!(self.journal, durable, "what is promised and accepted is in the journal");
        if state.intent == Intent::Run && state.promised.is_some() {
            assert!(!matches!(state.phase(), Phase::Failed | Phase::Deploying | Phase::Stopped));
        }
        let pausing = state.promised.is_some_and(|it| it.life == Life::Pausing);
        assert_eq!(self.pausing, pausing, "a pause is running exactly when the state waits for it");
    }

    fn make(&mut self, what: &Move) {
        match *what {
            Move::Deploy => self.feed(Event::Accepted(revision(self.state.next_revision()))),
            Move::Restart => {
                if let Some(target) = self.state.restart_target() {
                    self.feed(Event::RestartRequested(target));
                }
            }
            Move::Stop => self.feed(Event::StopRequested),
            Move::Remove => self.feed(Event::RemoveRequested),
            Move::Prepare(which, succeeds) => self.settle_prepare(which, succeeds),
            Move::Ready(which) => self.make_ready(which),
            Move::Die(which) => self.end_one(which),
            Move::Clear(which) => self.clear_one(which),
            Move::PauseOver => {
                if std::mem::take(&mut self.pausing) {
                    self.feed(Event::PauseOver);
                }
            }
            Move::Steady(which) => {
                if let Some(generation) = nth(&self.living, which) {
                    self.feed(Event::Steady(generation));
                }
            }
            Move::Kill9 => self.kill_and_recover(),
        }
    }

    fn settle_prepare(&mut self, which: usize, succeeds: bool) {
        let Some(ticket) = nth(&self.preparing, which) else { return };
        self.preparing.remove(&ticket);
        self.feed(if succeeds { Event::Prepared(ticket) } else { Event::PrepareFailed(ticket, failure()) });
    }

    fn make_ready(&mut self, which: usize) {
        let Some(generation) = nth(&self.living, which) else { return };
        if self.ready_ever.insert(generation, ()).is_none() {
            self.feed(Event::Ready(generation));
        }
    }

    fn end_one(&mut self, which: usize) {
        let Some(generation) = nth(&self.living, which) else { return };
        self.living.remove(&generation);
        let expected = self.told_to_go.remove(&generation);
        if self.routed == Some(generation) {
            self.routed = None;
        }
        self.clearing.insert(generation);
        self.feed(Event::Ended(generation, (!expected).then(failure)));
    }

    fn clear_one(&mut self, which: usize) {
        let Some(generation) = nth(&self.clearing, which) else { return };
        self.clearing.remove(&generation);
        self.feed(Event::Gone(generation));
    }

    /// SIGKILL of the supervisor: what is not in the journal is gone.
    fn kill_and_recover(&mut self) {
        let (promised, candidate) = self.journal;
        let kept = std::mem::take(&mut self.state);
        *self = Self { journal: self.journal, ready_ever: std::mem::take(&mut self.ready_ever), ..Self::default() };
        self.state = State {
            promised: promised.map(|revision| Promised { revision, life: Life::Pausing }),
            candidate: candidate.map(|revision| Candidate { ticket: 0, revision, stage: Stage::Preparing }),
            revisions: kept.revisions,
            newest: kept.newest,
            newest_generation: kept.newest_generation,
            intent: kept.intent,
            previous: kept.previous,
            stopped: kept.stopped,
            ..State::default()
        };
        self.feed(Event::Recovered);
        assert_eq!(self.state.promised.map(|it| it.revision), promised, "what was READY is brought back");
        assert_eq!(self.state.candidate.map(|it| it.revision), candidate, "what was accepted is resumed");
    }
}

fn nth<T: Copy + Ord>(set: &BTreeSet<T>, which: usize) -> Option<T> {
    set.iter().nth(which % set.len().max(1)).copied()
}

fn failure() -> Failure {
    Failure::new(FailureReason::Crashed, "it died")
}

fn revision(number: RevisionNumber) -> Revision {
    Revision { number, spec: samples::spec(), image: String::new() }
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => Just(Move::Deploy),
        2 => Just(Move::Restart),
        1 => Just(Move::Stop),
        1 => Just(Move::Remove),
        8 => (0..4_usize, prop::bool::weighted(0.8)).prop_map(|(which, succeeds)| Move::Prepare(which, succeeds)),
        8 => (0..8_usize).prop_map(Move::Ready),
        6 => (0..8_usize).prop_map(Move::Die),
        5 => (0..8_usize).prop_map(Move::Clear),
        3 => Just(Move::PauseOver),
        1 => (0..8_usize).prop_map(Move::Steady),
        1 => Just(Move::Kill9),
    ];
    prop::collection::vec(one, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_breaks_the_promises(moves in moves()) {
        let mut world = World::default();
        for what in &moves {
            if world.forgotten {
                break;
            }
            world.make(what);
        }
    }

    #[test]
    fn after_any_life_a_deploy_that_gets_ready_serves(moves in moves()) {
        let mut world = World::default();
        moves.iter().take_while(|_| true).for_each(|what| if !world.forgotten { world.make(what) });
        if world.state.intent == Intent::Remove {
            return Ok(());
        }
        world.make(&Move::Deploy);
        let newest = world.state.newest;
        let candidate = world.state.candidate.expect("a deploy makes a candidate");
        world.preparing.remove(&candidate.ticket);
        world.feed(Event::Prepared(candidate.ticket));
        let generation = world.state.newest_generation;
        world.feed(Event::Ready(generation));
        prop_assert_eq!(world.state.promised, Some(Promised { revision: newest, life: Life::Serving(generation) }));
        prop_assert_eq!(world.state.phase(), Phase::Serving);
    }
}

#[test]
fn a_failed_deploy_leaves_the_old_generation_serving() {
    let mut world = World::default();
    [Move::Deploy, Move::Prepare(0, true), Move::Ready(0), Move::Deploy, Move::Prepare(0, false)]
        .iter()
        .for_each(|what| world.make(what));
    assert_eq!(world.state.serving(), Some(1));
    assert_eq!(world.state.phase(), Phase::Serving);
    assert!(world.state.last_failure.is_some());
}

#[test]
fn each_generation_that_drains_beyond_the_bound_ends_the_oldest_that_does() {
    let mut world = World::default();
    let draining_max = RETIRING_MAX as u64;
    for generation in 1..=draining_max + 4 {
        world.make(&Move::Deploy);
        world.make(&Move::Prepare(0, true));
        let todo = world.state.clone().step(Event::Ready(generation));
        let terminated: Vec<_> = todo.iter().filter(|action| matches!(action, Action::Terminate(_))).collect();
        // What was told to go and has not gone is told again: one more each time.
        let expected: Vec<_> = (1..(generation).saturating_sub(draining_max)).map(Action::Terminate).collect();
        assert_eq!(terminated, expected.iter().collect::<Vec<_>>(), "generation {generation}");
        world.feed(Event::Ready(generation));
    }
}

#[test]
fn a_death_is_acted_on_at_once_and_a_stop_waits_for_what_is_left_of_it() {
    let mut world = World::default();
    [Move::Deploy, Move::Prepare(0, true), Move::Ready(0), Move::Die(0)].iter().for_each(|what| world.make(what));
    assert!(world.pausing, "the restart is on its way while the remains are cleared away");
    world.make(&Move::Stop);
    assert_eq!(world.state.phase(), Phase::Stopping);
    world.make(&Move::Clear(0));
    assert_eq!(world.state.phase(), Phase::Stopped);
}

#[test]
fn a_stop_is_not_undone_by_a_restart_of_the_supervisor() {
    let mut world = World::default();
    [Move::Deploy, Move::Prepare(0, true), Move::Ready(0), Move::Stop, Move::Die(0), Move::Clear(0), Move::Kill9]
        .iter()
        .for_each(|what| world.make(what));
    assert_eq!(world.state.phase(), Phase::Stopped);
    assert_eq!(world.state.restart_target(), Some(1));
}
