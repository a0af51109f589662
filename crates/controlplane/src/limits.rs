//! How often somebody may ask, how often somebody may guess, and how much is done at once.
//!
//! Four limits of different kinds, of which the first three refuse and the last makes people wait:
//!
//! * **Guesses.** Signing in fails five times in a quarter of an hour, per e-mail address and per
//!   client address; then every further attempt is refused before the password is looked at, the right
//!   one, too. An attempt counts as failed from its beginning and is forgiven when it succeeds, so that
//!   a hundred guesses at once are not a way around. The quarter of an hour is of the catalog's clock.
//! * **Requests.** So many a second, with a burst, for each user, service account and (where nobody
//!   known asks) client address. This guards the machine that serves, so it is counted by that machine's
//!   own monotonic clock, whatever time the catalog believes it is.
//! * **Followers.** So many replies that go on for as long as a job does at the same time, of all and of
//!   each who asks.
//! * **Turns.** So many at the same time hash a password, ask one cluster's server, read storage at
//!   length: what takes a core, a server's connections, or a network for itself.
//!
//! All are kept in memory: several replicas count for themselves, and a restart forgets. A guesser who
//! has N replicas to choose from has N times five guesses, which is still far too few.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use jiff::{SignedDuration, Timestamp};
use strongroom_catalog::ClusterId;
use strongroom_catalog::grants::Grantee;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Error, Kind, Result};

/// How many attempts to sign in may fail.
const GUESSES: usize = 5;
/// Within which time.
const GUESSING: SignedDuration = SignedDuration::from_mins(15);
/// From how many keys on those that are no longer needed are looked for.
const MANY: usize = 10_000;

/// What a refused caller is told, in the original's words.
const REFUSAL: &str = "rate limit exceeded";

/// Whose failed attempts are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Guesser {
    Email(String),
    Address(IpAddr),
}

/// Failed attempts to sign in.
#[derive(Debug, Default)]
pub(crate) struct Guesses(Mutex<HashMap<Guesser, VecDeque<Timestamp>>>);

/// An attempt that counts as failed unless it is forgiven.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    guesses: &'a Guesses,
    by: Vec<Guesser>,
    at: Timestamp,
}

impl Guesses {
    /// Begins an attempt, or refuses it.
    pub(crate) fn attempt(
        &self,
        email: &str,
        address: Option<&str>,
        now: Timestamp,
    ) -> Result<Attempt<'_>> {
        let email = email.trim().to_lowercase().chars().take(254).collect();
        let address = address.and_then(|address| address.parse().ok()).map(network);
        let by: Vec<_> = [Some(Guesser::Email(email)), address.map(Guesser::Address)]
            .into_iter()
            .flatten()
            .collect();
        // Of a time to come, too: the clock was ahead.
        let is_over = |time: &Timestamp| now.duration_since(*time).abs() >= GUESSING;
        let recent = |times: &VecDeque<Timestamp>| times.back().is_some_and(|it| !is_over(it));

        let mut failures = self.lock();
        if failures.len() > MANY {
            failures.retain(|_, times| recent(times));
        }
        for guesser in &by {
            let Some(times) = failures.get_mut(guesser) else { continue };
            while times.front().is_some_and(is_over) {
                times.pop_front();
            }
            if times.len() >= GUESSES {
                let over = times.front().map(|first| GUESSING - now.duration_since(*first));
                let retry_after = over.and_then(|over| over.try_into().ok()).unwrap_or_default();
                return Err(Error::new(Kind::TooManyRequests { retry_after }, REFUSAL)
                    .hint("too many attempts to sign in have failed; wait, then try again"));
            }
        }
        for guesser in &by {
            failures.entry(guesser.clone()).or_default().push_back(now);
        }
        Ok(Attempt { guesses: self, by, at: now })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Guesser, VecDeque<Timestamp>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// It proved who it was: earlier failures with this e-mail address were slips. Those of the client's
    /// address stay: somebody who may sign in could else guess other people's passwords in between.
    pub(crate) fn succeeded(self) {
        let mut failures = self.guesses.lock();
        for guesser in &self.by {
            if matches!(guesser, Guesser::Email(_)) {
                failures.remove(guesser);
            }
        }
        drop(failures);
        self.forgive();
    }

    /// It did not come to an answer, or a right one.
    pub(crate) fn forgive(self) {
        let mut failures = self.guesses.lock();
        for guesser in &self.by {
            if let Some(times) = failures.get_mut(guesser)
                && let Some(own) = times.iter().rposition(|time| *time == self.at)
            {
                times.remove(own);
            }
        }
    }
}

/// The part of an address that one client has for itself: of IPv6, it has 2^64 to choose from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

/// How many requests are let through.
pub(crate) struct Requests(Option<Limiters>);

struct Limiters {
    programs: DefaultKeyedRateLimiter<Grantee>,
    people: DefaultKeyedRateLimiter<Grantee>,
    strangers: DefaultKeyedRateLimiter<IpAddr>,
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Requests({})", if self.0.is_some() { "limited" } else { "not limited" })
    }
}

impl Requests {
    /// So many a second, for everybody. Programs may ask four times as much at once, and the console,
    /// which asks for all that a page shows, ten times. None: no limit.
    pub(crate) fn per_second(rate: Option<NonZeroU32>) -> Self {
        Requests(rate.map(|rate| {
            let burst = |times: u32| {
                let times = NonZeroU32::new(times).unwrap_or(NonZeroU32::MIN);
                Quota::per_second(rate).allow_burst(rate.saturating_mul(times))
            };
            Limiters {
                programs: RateLimiter::keyed(burst(4)),
                people: RateLimiter::keyed(burst(10)),
                strangers: RateLimiter::keyed(burst(4)),
            }
        }))
    }

    /// Lets a request of somebody known through, or refuses it.
    pub(crate) fn count(&self, grantee: Grantee) -> Result<()> {
        let Some(limiters) = &self.0 else { return Ok(()) };
        match grantee {
            Grantee::User(_) => check(&limiters.people, &grantee),
            Grantee::ServiceAccount(_) => check(&limiters.programs, &grantee),
        }
    }

    /// Counts a request without valid credentials. Only those: whoever shares an address with a
    /// guesser, as behind a proxy, is let through with the right ones.
    pub(crate) fn count_stranger(&self, address: Option<&str>) -> Result<()> {
        let Some(limiters) = &self.0 else { return Ok(()) };
        match address.and_then(|address| address.parse().ok()) {
            Some(address) => check(&limiters.strangers, &network(address)),
            None => Ok(()),
        }
    }
}

fn check<K: Clone + Eq + std::hash::Hash>(
    limiter: &DefaultKeyedRateLimiter<K>,
    key: &K,
) -> Result<()> {
    if limiter.len() > MANY {
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|refused| {
        let retry_after = refused.wait_time_from(DefaultClock::default().now());
        Error::new(
            Kind::TooManyRequests { retry_after: retry_after.max(Duration::from_millis(1)) },
            REFUSAL,
        )
        .hint("ask less often, or wait as long as Retry-After says")
    })
}

/// The most replies that go on, at the same time in this process.
const FOLLOWERS: usize = 200;
/// Of them, the most of one user or service account.
const FOLLOWERS_EACH: usize = 20;
/// When one who was refused asks again.
const FOLLOW_LATER: Duration = Duration::from_secs(5);

/// Whose replies go on, and how many of each.
#[derive(Debug, Default)]
pub(crate) struct Followers(Mutex<HashMap<Option<Grantee>, usize>>);

impl Followers {
    fn lock(&self) -> MutexGuard<'_, HashMap<Option<Grantee>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reply that goes on. It counts until this is dropped.
#[derive(Debug)]
pub struct Follower {
    followers: Arc<Followers>,
    who: Option<Grantee>,
}

impl Follower {
    /// Counts another one, or refuses it.
    pub(crate) fn of(followers: &Arc<Followers>, who: Option<Grantee>) -> Result<Follower> {
        let refused = |message: String| {
            let kind = Kind::TooManyRequests { retry_after: FOLLOW_LATER };
            Err(Error::new(kind, message)
                .hint("end one of them first, or ask for the job itself every few seconds"))
        };
        let mut counts = followers.lock();
        if counts.get(&who).is_some_and(|own| *own >= FOLLOWERS_EACH) {
            return refused(format!(
                "you follow {FOLLOWERS_EACH} jobs already, which are the most"
            ));
        }
        if counts.values().sum::<usize>() >= FOLLOWERS {
            return refused(format!("{FOLLOWERS} jobs are followed already, which are the most"));
        }
        *counts.entry(who).or_default() += 1;
        Ok(Follower { followers: Arc::clone(followers), who })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut counts = self.followers.lock();
        if let Some(own) = counts.get_mut(&self.who) {
            *own -= 1;
            if *own == 0 {
                counts.remove(&self.who);
            }
        }
    }
}

/// Passwords that are hashed at the same time: that takes memory and a core by intention.
const HASHED_AT_ONCE: usize = 4;
/// Requests that ask one cluster's server something at the same time. Each opens up to four connections
/// to it.
const ASKED_AT_ONCE: usize = 2;
/// Requests that read storage at length (rows, differences, plans of restores) at the same time.
const READ_AT_ONCE: usize = 4;

/// Turns at heavy work in this process. Who gets none yet waits.
#[derive(Debug)]
pub(crate) struct Turns {
    hashing: Arc<Semaphore>,
    /// Of each cluster that was asked since the start.
    asking: Mutex<HashMap<ClusterId, Arc<Semaphore>>>,
    reading: Arc<Semaphore>,
}

/// A turn. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(
    #[expect(dead_code, reason = "held until it is dropped")] OwnedSemaphorePermit,
);

impl Default for Turns {
    fn default() -> Self {
        Turns {
            hashing: Arc::new(Semaphore::new(HASHED_AT_ONCE)),
            asking: Mutex::default(),
            reading: Arc::new(Semaphore::new(READ_AT_ONCE)),
        }
    }
}

impl Turns {
    /// Waits for a turn at hashing a password.
    pub(crate) async fn to_hash(&self) -> Result<Turn> {
        turn(&self.hashing).await
    }

    /// Waits for a turn at asking a cluster's server: a page that many people look at does not take all
    /// of its connections.
    pub(crate) async fn to_ask(&self, cluster: ClusterId) -> Result<Turn> {
        let turns = {
            let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Semaphore::new(ASKED_AT_ONCE));
            Arc::clone(asking.entry(cluster).or_insert_with(new))
        };
        turn(&turns).await
    }

    /// Waits for a turn at reading storage at length.
    pub(crate) async fn to_read(&self) -> Result<Turn> {
        turn(&self.reading).await
    }
}

async fn turn(turns: &Arc<Semaphore>) -> Result<Turn> {
    // Turns are given until the service ends, so this is not met.
    let closed = |error| Error::new(Kind::Internal, "no turns are given any more").caused_by(error);
    Arc::clone(turns).acquire_owned().await.map(Turn).map_err(closed)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use strongroom_catalog::{ServiceAccountId, UserId};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn the_sixth_guess_at_a_password_is_refused_for_a_quarter_of_an_hour() {
        let guesses = Guesses::default();
        for second in 0..5 {
            assert!(guesses.attempt("Ann@example.org", None, at(second)).is_ok());
        }
        let refused = guesses.attempt("ann@example.org ", None, at(10)).unwrap_err();
        let Kind::TooManyRequests { retry_after } = refused.kind() else { panic!("{refused:?}") };
        assert_eq!(retry_after, Duration::from_secs(890));
        assert!(guesses.attempt("bob@example.org", None, at(10)).is_ok());
        assert!(guesses.attempt("ann@example.org", None, at(900)).is_ok());
        assert!(
            guesses.attempt("ann@example.org", None, at(900)).is_err(),
            "the second left at 901"
        );
    }

    #[test]
    fn what_failed_while_the_clock_was_ahead_is_over() {
        let guesses = Guesses::default();
        for _ in 0..5 {
            assert!(guesses.attempt("ann@example.org", None, at(1_000_000)).is_ok());
        }
        assert!(guesses.attempt("ann@example.org", None, at(1_000_000)).is_err());
        assert!(guesses.attempt("ann@example.org", None, at(0)).is_ok());
    }

    #[test]
    fn many_addresses_of_one_client_count_as_one() {
        let guesses = Guesses::default();
        for number in 0..5 {
            let address = format!("2001:db8::{number}");
            assert!(guesses.attempt(&format!("{number}@a"), Some(&address), at(0)).is_ok());
        }
        assert!(guesses.attempt("x@a", Some("2001:db8::ffff"), at(1)).is_err());
        assert!(guesses.attempt("x@a", Some("2001:db9::1"), at(1)).is_ok());
    }

    #[test]
    fn who_signs_in_has_slipped_and_not_guessed() {
        let guesses = Guesses::default();
        for _ in 0..20 {
            guesses.attempt("ann@a", Some("10.0.0.1"), at(0)).unwrap();
            guesses.attempt("ann@a", Some("10.0.0.2"), at(0)).unwrap().succeeded();
            let by = Guesser::Address("10.0.0.1".parse().unwrap());
            if guesses.lock()[&by].len() == 5 {
                break;
            }
        }
        assert!(guesses.attempt("bob@a", Some("10.0.0.1"), at(1)).is_err(), "the address guessed");
        assert!(guesses.attempt("ann@a", Some("10.0.0.2"), at(1)).is_ok());
    }

    #[test]
    fn a_hundred_guesses_at_once_are_five() {
        let guesses = Guesses::default();
        let begun: Vec<_> = (0..100).map(|_| guesses.attempt("ann@a", None, at(0))).collect();
        assert_eq!(begun.iter().filter(|attempt| attempt.is_ok()).count(), 5);
    }

    #[test]
    fn everybody_has_a_burst_of_their_own() {
        let requests = Requests::per_second(NonZeroU32::new(10));
        let (ann, robot) =
            (Grantee::User(UserId::new()), Grantee::ServiceAccount(ServiceAccountId::new()));
        for (who, burst) in [(ann, 100), (robot, 40)] {
            let let_through = (0..200).filter(|_| requests.count(who).is_ok()).count();
            // Some come back while the test runs.
            assert!((burst..burst + 20).contains(&let_through), "{let_through}");
        }
        let strangers = (0..200).filter(|_| requests.count_stranger(Some("10.0.0.1")).is_ok());
        assert!((40..60).contains(&strangers.count()));
        assert!(requests.count_stranger(Some("10.0.0.2")).is_ok());
        let unlimited = Requests::per_second(None);
        assert!((0..1000).all(|_| unlimited.count(ann).is_ok()));
    }

    #[test]
    fn so_many_follow_at_a_time_and_a_place_that_is_left_is_free() {
        let followers = Arc::new(Followers::default());
        let follow = |who| Follower::of(&followers, who);
        let mut all = Vec::new();
        for _ in 0..FOLLOWERS / FOLLOWERS_EACH {
            let who = Some(Grantee::User(UserId::new()));
            all.extend((0..FOLLOWERS_EACH).map(|_| follow(who).unwrap()));
            let refused = follow(who).unwrap_err();
            assert_eq!(refused.message(), "you follow 20 jobs already, which are the most");
        }
        let refused = follow(None).unwrap_err();
        assert_eq!(refused.message(), "200 jobs are followed already, which are the most");
        assert!(matches!(refused.kind(), Kind::TooManyRequests { .. }));
        all.pop();
        let last = follow(None).unwrap();
        assert!(follow(None).is_err());
        drop((last, all));
        assert!(followers.lock().is_empty());
    }

    #[tokio::test]
    async fn turns_are_waited_for_and_those_of_one_cluster_are_no_others() {
        let turns = Turns::default();
        let (one, other) = (ClusterId::new(), ClusterId::new());
        let mut held = Vec::new();
        while let Some(turn) = turns.to_ask(one).now_or_never() {
            held.push(turn.unwrap());
        }
        assert_eq!(held.len(), ASKED_AT_ONCE);
        assert!(turns.to_ask(other).now_or_never().is_some());
        held.pop();
        assert!(turns.to_ask(one).now_or_never().is_some(), "a turn that ended is another's");

        let hashing: Vec<_> = (0..10).map_while(|_| turns.to_hash().now_or_never()).collect();
        let reading: Vec<_> = (0..10).map_while(|_| turns.to_read().now_or_never()).collect();
        assert_eq!((hashing.len(), reading.len()), (HASHED_AT_ONCE, READ_AT_ONCE));
    }
}
