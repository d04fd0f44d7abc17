//! Lanes: how fast we may ask Graph, and when we must not ask at all.
//!
//! Each lane is one quota of Graph's. Invariant: no request goes out without a
//! cell of its lane, retries and halves of a batch included, so a burst of
//! ours cannot spend the quota that the tenant's other applications share.
//! A lane is asked in two steps. [`Lane::ready`] waits and takes nothing;
//! [`Lane::take`] takes the cell at the moment of sending. Between them the
//! responder claims, so whom to act on is chosen last, and a cell is never
//! kept for later, which would let two requests fall together.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock, Reference as _};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use super::graph::backoff;

/// One write each 1/19 s.
///
/// Microsoft Graph service-specific throttling limits, "Identity and access":
/// 3,000 writes in 150 s per application and tenant, which is 20/s. With the
/// burst below no 150 s hold more than 100 + 150 × 19 = 2,950.
pub(super) const DIRECTORY_WRITE_PERIOD: Duration = Duration::from_nanos(1_000_000_000 / 19);

/// 100 writes may go out at once after a quiet time.
pub(super) const DIRECTORY_WRITE_BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);

/// One request each 1.05 s.
///
/// Microsoft Graph service-specific throttling limits, "Identity protection
/// and conditional access": 1 request per second per tenant, all applications
/// together. Counted from the answer to the one before ([`Lane::answered`]), so
/// that a request held up on its way cannot meet the next; the 50 ms are for
/// clocks.
pub(super) const IDENTITY_PROTECTION_PERIOD: Duration = Duration::from_millis(1_050);

/// A quota of Graph's and our place in it. Shared by reference; only one task
/// may take cells.
#[derive(Debug)]
pub struct Lane {
    name: &'static str,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    gate: Gate<MonotonicClock>,
    paused_until: Option<Instant>,
    /// Pauses since Graph last let a request through.
    strikes: u32,
}

impl Lane {
    /// Writes to users: revoking sessions.
    pub fn directory_writes() -> Self {
        Self::new(
            "directory_writes",
            DIRECTORY_WRITE_PERIOD,
            DIRECTORY_WRITE_BURST,
        )
    }

    /// Risky users: confirming a compromise. The first request waits a period
    /// too: the run before this one may have spent the second we are in.
    pub fn identity_protection() -> Self {
        let lane = Self::new(
            "identity_protection",
            IDENTITY_PROTECTION_PERIOD,
            NonZeroU32::MIN,
        );
        lane.lock().paused_until = Some(Instant::now() + IDENTITY_PROTECTION_PERIOD);
        lane
    }

    /// One request each `period`, and up to `burst` at once after a quiet time.
    pub(super) fn new(name: &'static str, period: Duration, burst: NonZeroU32) -> Self {
        Self {
            name,
            state: Mutex::new(State {
                gate: Gate::new(period, burst, MonotonicClock),
                paused_until: None,
                strikes: 0,
            }),
        }
    }

    /// The lane's name, a label of metrics.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Waits until a request may go out and takes nothing. Returns how long
    /// that took. Safe to drop at any point.
    pub async fn ready(&self) -> Duration {
        let since = Instant::now();
        loop {
            let wait = self.lock().wait();
            if wait.is_zero() {
                return since.elapsed();
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes the cell of one request, waiting for it where need be.
    pub async fn take(&self) {
        loop {
            let Err(wait) = self.lock().gate.take() else {
                return;
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// An answer has come: the next request goes out a whole period from now.
    /// For lanes that have one request under way at a time.
    pub fn answered(&self) {
        self.lock().gate.restart();
    }

    /// Holds the whole lane: for as long as Graph said, or with a backoff that
    /// grows until [`Lane::flowing`]. `roll` is random, 0 to 1. Returns for
    /// how long the lane is now held. What was in flight when a pause began
    /// may lengthen it on Graph's word, but is no strike of its own.
    pub fn pause(&self, asked_for: Option<Duration>, roll: f64) -> Duration {
        let mut state = self.lock();
        let held = state.pause_left();
        let pause = if held.is_zero() {
            let pause = asked_for.unwrap_or_else(|| backoff(state.strikes, roll));
            state.strikes = state.strikes.saturating_add(1);
            pause
        } else {
            held.max(asked_for.unwrap_or_default())
        };
        state.paused_until = Some(Instant::now() + pause);
        pause
    }

    /// Graph let a request through: the next pause starts small again.
    pub fn flowing(&self) {
        self.lock().strikes = 0;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait(&self) -> Duration {
        self.pause_left().max(self.gate.wait())
    }

    fn pause_left(&self) -> Duration {
        self.paused_until
            .map_or(Duration::ZERO, |until| until.duration_since(Instant::now()))
    }
}

/// GCRA that can also be asked without being charged.
#[derive(Debug)]
pub(super) struct Gate<C: Clock> {
    limiter: RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>,
    clock: C,
    period: Duration,
    /// No cell before then; never later than one period away.
    free_at: Option<C::Instant>,
}

impl<C: Clock + Clone> Gate<C> {
    #[expect(clippy::expect_used, reason = "the periods are constants above zero")]
    pub(super) fn new(period: Duration, burst: NonZeroU32, clock: C) -> Self {
        let quota = Quota::with_period(period)
            .expect("a lane's period is above zero")
            .allow_burst(burst);
        Self {
            limiter: RateLimiter::direct_with_clock(quota, clock.clone()).with_middleware(),
            clock,
            period,
            free_at: None,
        }
    }

    /// How long until a cell is free.
    pub(super) fn wait(&self) -> Duration {
        self.free_at.map_or(Duration::ZERO, |at| {
            at.duration_since(self.clock.now()).into()
        })
    }

    /// Lets a whole period pass before the next cell.
    pub(super) fn restart(&mut self) {
        self.free_at = Some(self.clock.now() + self.period.into());
    }

    /// Takes a cell, or says how long until one is free.
    pub(super) fn take(&mut self) -> Result<(), Duration> {
        let now = self.clock.now();
        let wait = self.wait();
        if !wait.is_zero() {
            return Err(wait);
        }
        match self.limiter.check() {
            Ok(after) if after.remaining_burst_capacity() > 0 => {
                self.free_at = None;
                Ok(())
            }
            Ok(_) => {
                self.free_at = Some(now + self.period.into());
                Ok(())
            }
            Err(not_until) => {
                self.free_at = Some(not_until.earliest_possible());
                // Never zero, so that a caller's loop always makes way.
                Err(not_until.wait_time_from(now).max(Duration::from_micros(1)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use proptest::prelude::*;

    use super::*;

    /// The documented window and what it may hold.
    const WINDOW: Duration = Duration::from_secs(150);
    const WRITES_MAX: usize = 3_000;

    /// Takes as fast as the gate lets it, with these pauses (when, how long)
    /// in between, and returns when each request went out.
    fn greedy(
        mut gate: Gate<FakeRelativeClock>,
        clock: &FakeRelativeClock,
        idle: &[(u64, u64)],
        for_seconds: u64,
    ) -> Vec<Duration> {
        let start = clock.now();
        let mut idle = idle.iter().peekable();
        let mut sent = Vec::new();
        loop {
            let now: Duration = clock.now().duration_since(start).into();
            if now >= Duration::from_secs(for_seconds) {
                return sent;
            }
            if let Some((_, pause)) = idle.next_if(|(at, _)| now >= Duration::from_secs(*at)) {
                clock.advance(Duration::from_secs(*pause));
                continue;
            }
            let wait = gate.wait();
            if !wait.is_zero() {
                clock.advance(wait);
                continue;
            }
            match gate.take() {
                Ok(()) => sent.push(now),
                Err(wait) => clock.advance(wait),
            }
        }
    }

    fn fullest_window(sent: &[Duration]) -> usize {
        let mut first = 0;
        let mut fullest = 0;
        for (last, at) in sent.iter().enumerate() {
            while *at - sent[first] > WINDOW {
                first += 1;
            }
            fullest = fullest.max(last + 1 - first);
        }
        fullest
    }

    fn directory_gate(clock: &FakeRelativeClock) -> Gate<FakeRelativeClock> {
        Gate::new(DIRECTORY_WRITE_PERIOD, DIRECTORY_WRITE_BURST, clock.clone())
    }

    #[test]
    fn directory_writes_use_most_of_the_quota_and_never_more() {
        let clock = FakeRelativeClock::default();
        let sent = greedy(directory_gate(&clock), &clock, &[], 600);
        let fullest = fullest_window(&sent);
        assert!(fullest <= WRITES_MAX, "{fullest} writes in a window");
        assert!(fullest >= 2_900, "{fullest} writes in the fullest window");
        assert_eq!(
            sent.iter().filter(|at| at.is_zero()).count(),
            100,
            "the burst"
        );
    }

    proptest! {
        #[test]
        fn no_window_exceeds_the_quota_whatever_the_pauses(
            idle in prop::collection::vec((0_u64..400, 1_u64..120), 0..6),
        ) {
            let mut idle = idle;
            idle.sort_unstable();
            let clock = FakeRelativeClock::default();
            let sent = greedy(directory_gate(&clock), &clock, &idle, 500);
            prop_assert!(fullest_window(&sent) <= WRITES_MAX);
        }

        #[test]
        fn identity_protection_never_sees_two_requests_in_a_second(
            idle in prop::collection::vec((0_u64..100, 1_u64..9), 0..9),
        ) {
            let mut idle = idle;
            idle.sort_unstable();
            let clock = FakeRelativeClock::default();
            let gate = Gate::new(IDENTITY_PROTECTION_PERIOD, NonZeroU32::MIN, clock.clone());
            let sent = greedy(gate, &clock, &idle, 120);
            for pair in sent.windows(2) {
                prop_assert!(pair[1] - pair[0] >= IDENTITY_PROTECTION_PERIOD);
            }
        }
    }

    #[test]
    fn asking_takes_nothing() {
        let clock = FakeRelativeClock::default();
        let mut gate = Gate::new(Duration::from_secs(1), NonZeroU32::MIN, clock.clone());
        for _ in 0..10 {
            assert_eq!(gate.wait(), Duration::ZERO);
        }
        assert_eq!(gate.take(), Ok(()));
        assert_eq!(gate.wait(), Duration::from_secs(1));
        assert_eq!(gate.take(), Err(Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        assert_eq!(gate.wait(), Duration::ZERO);
        assert_eq!(gate.take(), Ok(()));
    }

    #[test]
    fn after_an_answer_a_whole_period_passes() {
        let clock = FakeRelativeClock::default();
        let period = Duration::from_secs(1);
        let mut gate = Gate::new(period, NonZeroU32::MIN, clock.clone());
        assert_eq!(gate.take(), Ok(()));
        // The request took 0.7 s; the lane alone would be free at 1 s.
        clock.advance(Duration::from_millis(700));
        gate.restart();
        clock.advance(Duration::from_millis(900));
        assert_eq!(gate.take(), Err(Duration::from_millis(100)));
        clock.advance(Duration::from_millis(100));
        assert_eq!(gate.take(), Ok(()));
    }

    #[test]
    fn a_pause_is_as_long_as_graph_asked_for() {
        let lane = Lane::identity_protection();
        let asked = Duration::from_millis(2_128);
        assert_eq!(lane.pause(Some(asked), 0.5), asked);
        assert!(lane.lock().wait() > Duration::from_secs(1));
    }

    #[test]
    fn answers_that_were_in_flight_lengthen_a_pause_and_never_shorten_it() {
        let lane = Lane::directory_writes();
        let long = Duration::from_secs(50);
        lane.pause(Some(long), 0.5);
        assert!(lane.pause(Some(Duration::from_secs(1)), 0.5) > Duration::from_secs(40));
        assert!(lane.pause(None, 0.5) > Duration::from_secs(40));
        assert_eq!(lane.pause(Some(long * 2), 0.5), long * 2);
        assert_eq!(lane.lock().strikes, 1, "one pause, one strike");
    }

    #[test]
    fn unnamed_pauses_grow_until_a_request_gets_through() {
        let lane = Lane::identity_protection();
        let pause_again = || {
            lane.lock().paused_until = None;
            lane.pause(None, 1.0)
        };
        assert_eq!(pause_again(), Duration::from_secs(1));
        assert_eq!(pause_again(), Duration::from_secs(2));
        assert_eq!(pause_again(), Duration::from_secs(4));
        lane.flowing();
        assert_eq!(pause_again(), Duration::from_secs(1));
    }
}
