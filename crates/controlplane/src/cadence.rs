//! When a backup is due, of which type, and how long it is kept: rules without any state.
//!
//! Time is cut into *slots*: multiples of the frequency since the beginning of the UTC day. All
//! frequencies divide a day, so they are multiples since the epoch as well, and neither time zones nor
//! daylight saving move them. A backup is due when the present slot has not become a job yet.
//!
//! Everything follows from that. Runs that were missed are caught up by one backup, since only the
//! present slot counts. A clock that steps forward does the same; one that steps back comes into slots
//! that became jobs before, and the catalog lets a slot become one only once. After a restart, nothing
//! but the catalog is needed to go on. A slot's name has the *generation* of the settings in it: a
//! change makes the present slot another one, and so a backup follows at once.
//!
//! Which type: SERVERLESS, BASIC and STANDARD take fulls only. DEDICATED and ADVANCED take a full where
//! there is none of the present UTC day or since the settings were changed, and else an incremental.
//! So the first slot of a day is a full one, and if that fails, the next.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use strongroom_catalog::ClusterId;
use strongroom_catalog::backup_settings::{BackupSettings, Schedule};
use strongroom_catalog::clusters::{Plan, Provider};
use strongroom_format::manifest::BackupType;

/// The frequencies that can be set, in minutes.
pub const FREQUENCIES: &[i64] = &[5, 10, 15, 30, 60, 240, 1440];
/// The retentions that can be set, in days.
pub const RETENTIONS: &[i64] = &[2, 7, 30, 90, 365];
/// How long backups are kept unless somebody says otherwise, in days.
pub const DEFAULT_RETENTION: i64 = 30;
/// How long an incremental of the dedicated plan is kept at most, in days.
const INCREMENTAL_RETENTION: i64 = 7;
const MINUTES_PER_DAY: i64 = 24 * 60;
/// How exactly backups are named by their time: a backup of this moment may seem a little older.
const PRECISION: SignedDuration = SignedDuration::from_secs(1);

/// How often a cluster of this plan is backed up, unless somebody says otherwise, in minutes.
pub fn default_frequency(plan: Plan) -> i64 {
    if plan == Plan::Basic { MINUTES_PER_DAY } else { 60 }
}

/// The frequencies that a plan allows.
pub fn allowed_frequencies(plan: Plan) -> &'static [i64] {
    if plan == Plan::Basic { &[MINUTES_PER_DAY] } else { FREQUENCIES }
}

/// Why clusters of this plan and provider have no managed backups. None: they have.
pub fn unavailable(plan: Plan, provider: Provider) -> Option<&'static str> {
    (provider == Provider::Azure && !plan.is_serverless()).then_some(
        "managed backups of dedicated clusters on Azure are in limited access, and not available \
         here; back up into your own storage",
    )
}

/// From one backup to the next.
pub fn frequency(plan: Plan, settings: &BackupSettings) -> SignedDuration {
    let minutes = match plan {
        // Fixed, whatever was set while the cluster was on another plan.
        Plan::Basic => MINUTES_PER_DAY,
        _ => settings.frequency_minutes.clamp(1, MINUTES_PER_DAY),
    };
    SignedDuration::from_mins(minutes)
}

/// The beginning of the slot that `now` lies in.
pub fn slot_at(now: Timestamp, frequency: SignedDuration) -> Timestamp {
    let length = frequency.as_secs().max(1);
    let begin = now.as_second().div_euclid(length) * length;
    Timestamp::from_second(begin).unwrap_or(now)
}

/// A slot, as jobs carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The cluster that is backed up.
    pub cluster: ClusterId,
    /// The generation of its settings.
    pub generation: i64,
    /// When the slot begins.
    pub at: Timestamp,
}

impl Slot {
    /// The name under which it becomes one job.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.cluster, self.generation, self.at)
    }

    /// Reads a name. None: it is no slot of this kind.
    pub fn parse(name: &str) -> Option<Self> {
        let (cluster, rest) = name.split_once('/')?;
        let (generation, at) = rest.split_once('/')?;
        Some(Slot {
            cluster: cluster.parse().ok()?,
            generation: generation.parse().ok()?,
            at: at.parse().ok()?,
        })
    }
}

/// A backup that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its slot.
    pub slot: Slot,
    /// Its type.
    pub kind: BackupType,
}

/// The backup of a cluster that is due now. What has become a job already is not due; nor is anything
/// while a backup waits or runs.
pub fn due(schedule: &Schedule, now: Timestamp) -> Option<Due> {
    let settings = &schedule.settings;
    let takes_none = !settings.enabled
        || schedule.open
        || schedule.location.is_none()
        || unavailable(schedule.plan, schedule.provider).is_some();
    if takes_none {
        return None;
    }
    let slot = Slot {
        cluster: settings.cluster,
        generation: settings.generation,
        at: slot_at(now, frequency(schedule.plan, settings)),
    };
    let last = schedule.last_slot.as_deref().and_then(Slot::parse);
    if last.as_ref() == Some(&slot) {
        return None;
    }
    let changed = last.is_none_or(|last| last.generation != slot.generation);
    let kind = match changed {
        true => BackupType::Full,
        false => kind(schedule, slot.at),
    };
    Some(Due { slot, kind })
}

/// The type of a backup in the slot at `at`, if the settings have not changed since the last one.
fn kind(schedule: &Schedule, at: Timestamp) -> BackupType {
    if schedule.plan.is_serverless() {
        return BackupType::Full;
    }
    let of_today = |full: Timestamp| {
        let day = |time: Timestamp| time.to_zoned(TimeZone::UTC).date();
        day(full) >= day(at) && full >= schedule.settings.updated_at - PRECISION
    };
    match schedule.last_full {
        Some(full) if of_today(full) => BackupType::Incremental,
        _ => BackupType::Full,
    }
}

/// When the next backup of a cluster is due, if one is: now, where one is overdue.
pub fn next(schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
    let free = Schedule { open: false, ..schedule.clone() };
    if let Some(due) = due(&free, now)
        && !schedule.open
    {
        return Some(due.slot.at.max(now));
    }
    let frequency = frequency(schedule.plan, &schedule.settings);
    let takes_some = schedule.settings.enabled
        && schedule.location.is_some()
        && unavailable(schedule.plan, schedule.provider).is_none();
    takes_some.then(|| slot_at(now, frequency) + frequency)
}

/// Whether a backup that was due is missing: none is as new as it should be, with some patience for
/// how long one takes.
pub fn is_missed(schedule: &Schedule, now: Timestamp) -> bool {
    let settings = &schedule.settings;
    if !settings.enabled || unavailable(schedule.plan, schedule.provider).is_some() {
        return false;
    }
    let frequency = frequency(schedule.plan, settings);
    let (least, most) = (SignedDuration::from_mins(15), SignedDuration::from_hours(2));
    let patience = frequency.clamp(least, most);
    let since = schedule.last_backup.map_or(settings.updated_at, |at| at.max(settings.updated_at));
    now.duration_since(since) > frequency + patience
}

/// How long new backups of a cluster of this plan are kept for which so many days were set.
pub fn retention(plan: Plan, days: i64) -> i64 {
    match plan {
        // Fixed, whatever was set while the cluster was on another plan.
        Plan::Basic => DEFAULT_RETENTION,
        _ => days,
    }
}

/// Until when a backup of this type is kept that is taken at `at`. An incremental of the advanced plan
/// goes with its full backup.
pub fn expires_at(
    plan: Plan,
    kind: BackupType,
    retention_days: i64,
    at: Timestamp,
    full: Option<Timestamp>,
) -> Timestamp {
    let days = |days: i64| at + SignedDuration::from_hours(24 * days.max(1));
    let retention_days = retention(plan, retention_days);
    match (kind, plan) {
        (BackupType::Full, _) => days(retention_days),
        (BackupType::Incremental, Plan::Advanced) => full.unwrap_or(days(retention_days)),
        (BackupType::Incremental, _) => days(retention_days.min(INCREMENTAL_RETENTION)),
    }
}

/// When a drill is due: never, or so many days after the last one, and at once where there was none.
pub fn drill_is_due(schedule: &Schedule, now: Timestamp) -> bool {
    let days = schedule.settings.drill_every_days;
    if days <= 0 || schedule.last_backup.is_none() {
        return false;
    }
    schedule
        .last_drill
        .is_none_or(|last| now.duration_since(last) >= SignedDuration::from_hours(24 * days))
}

/// The slot of a prune, by how urgent it is: an hour of the day, or the day. None: there was one.
pub fn prune_slot(
    cluster: ClusterId,
    urgent: bool,
    last: Option<Timestamp>,
    now: Timestamp,
) -> Option<String> {
    let length = SignedDuration::from_hours(if urgent { 1 } else { 24 });
    let at = slot_at(now, length);
    // A clock that was set back would wait for a time that is far away.
    let waits = last.is_some_and(|last| last >= at && last <= now);
    (!waits).then(|| format!("{cluster}/prune/{at}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use strongroom_catalog::LocationId;
    use strongroom_catalog::clusters::ClusterState;

    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn hours(hours: i64) -> SignedDuration {
        SignedDuration::from_hours(hours)
    }

    fn minutes(minutes: i64) -> SignedDuration {
        SignedDuration::from_mins(minutes)
    }

    /// A catalog in a few lines: slots become jobs once, and every backup succeeds at once.
    struct World {
        schedule: Schedule,
        slots: BTreeSet<String>,
        taken: Vec<(Timestamp, BackupType)>,
        /// Whether backups fail.
        fails: bool,
    }

    impl World {
        fn new(plan: Plan, frequency_minutes: i64, attached: &str) -> Self {
            let schedule = Schedule {
                plan,
                provider: Provider::SelfHosted,
                state: ClusterState::Created,
                location: Some(LocationId::new()),
                settings: BackupSettings {
                    cluster: ClusterId::new(),
                    enabled: true,
                    frequency_minutes,
                    retention_days: 30,
                    drill_every_days: 0,
                    retention_set_at: None,
                    generation: 1,
                    updated_at: time(attached),
                },
                last_slot: None,
                last_backup: None,
                last_full: None,
                open: false,
                last_drill: None,
            };
            World { schedule, slots: BTreeSet::new(), taken: Vec::new(), fails: false }
        }

        /// A tick of the scheduler, and a worker that does what is due. Whether something was.
        fn tick(&mut self, now: Timestamp) -> bool {
            let Some(due) = due(&self.schedule, now) else { return false };
            assert_eq!(Slot::parse(&due.slot.name()), Some(due.slot.clone()));
            if !self.slots.insert(due.slot.name()) {
                return false;
            }
            self.schedule.last_slot = Some(due.slot.name());
            if self.fails {
                return true;
            }
            self.taken.push((now, due.kind));
            self.schedule.last_backup = self.schedule.last_backup.max(Some(now));
            if due.kind == BackupType::Full {
                self.schedule.last_full = self.schedule.last_full.max(Some(now));
            }
            true
        }

        fn run(&mut self, from: &str, until: &str, step: SignedDuration) {
            let mut now = time(from);
            while now < time(until) {
                self.tick(now);
                now += step;
            }
        }

        fn changed(&mut self, now: &str) {
            self.schedule.settings.generation += 1;
            self.schedule.settings.updated_at = time(now);
        }

        fn fulls(&self) -> Vec<String> {
            let full = |taken: &&(Timestamp, BackupType)| taken.1 == BackupType::Full;
            self.taken.iter().filter(full).map(|(at, _)| at.to_string()).collect()
        }
    }

    #[test]
    fn every_plan_has_its_rhythm_for_three_days() {
        for (plan, frequency, fulls, all) in [
            (Plan::Serverless, 60, 72, 72),
            (Plan::Standard, 60, 72, 72),
            (Plan::Standard, 30, 144, 144),
            // Whatever is set.
            (Plan::Basic, 5, 3, 3),
            (Plan::Dedicated, 60, 3, 72),
            (Plan::Dedicated, 5, 3, 864),
            (Plan::Advanced, 240, 3, 18),
            (Plan::Advanced, 1440, 3, 3),
        ] {
            let mut world = World::new(plan, frequency, "2026-11-20T00:00:00Z");
            world.run("2026-11-20T00:00:00Z", "2026-11-23T00:00:00Z", minutes(1));
            assert_eq!(
                (world.fulls().len(), world.taken.len()),
                (fulls, all),
                "{plan} {frequency}"
            );
            let midnight = |at: &String| at.ends_with("T00:00:00Z");
            if fulls == 3 {
                assert!(world.fulls().iter().all(midnight), "{plan}: {:?}", world.fulls());
            }
        }
    }

    #[test]
    fn a_new_cluster_is_backed_up_at_once_and_then_with_the_clock() {
        let mut world = World::new(Plan::Dedicated, 60, "2026-11-20T13:37:21Z");
        world.run("2026-11-20T13:37:21Z", "2026-11-20T15:37:21Z", minutes(1));
        let expected = [
            (time("2026-11-20T13:37:21Z"), BackupType::Full),
            (time("2026-11-20T14:00:21Z"), BackupType::Incremental),
            (time("2026-11-20T15:00:21Z"), BackupType::Incremental),
        ];
        assert_eq!(world.taken, expected);
    }

    #[test]
    fn missed_runs_are_caught_up_by_one() {
        let mut world = World::new(Plan::Dedicated, 60, "2026-11-20T00:00:00Z");
        world.run("2026-11-20T00:00:00Z", "2026-11-20T05:00:00Z", minutes(1));
        world.taken.clear();
        // The service was down for a day and a half.
        world.run("2026-11-21T17:20:00Z", "2026-11-21T19:30:00Z", minutes(1));
        let expected = [
            (time("2026-11-21T17:20:00Z"), BackupType::Full),
            (time("2026-11-21T18:00:00Z"), BackupType::Incremental),
            (time("2026-11-21T19:00:00Z"), BackupType::Incremental),
        ];
        assert_eq!(world.taken, expected);
    }

    #[test]
    fn two_backups_are_never_due_at_once_and_a_long_one_is_followed_by_one() {
        let mut world = World::new(Plan::Standard, 5, "2026-11-20T00:00:00Z");
        assert!(world.tick(time("2026-11-20T00:00:00Z")));
        world.schedule.open = true;
        world.run("2026-11-20T00:01:00Z", "2026-11-20T01:03:00Z", minutes(1));
        assert_eq!(world.taken.len(), 1);
        world.schedule.open = false;
        world.run("2026-11-20T01:03:00Z", "2026-11-20T01:06:00Z", minutes(1));
        let later: Vec<String> = world.taken[1..].iter().map(|(at, _)| at.to_string()).collect();
        assert_eq!(later, ["2026-11-20T01:03:00Z", "2026-11-20T01:05:00Z"]);
    }

    #[test]
    fn a_change_of_the_settings_is_followed_by_a_full_at_once() {
        let mut world = World::new(Plan::Dedicated, 60, "2026-11-20T00:00:00Z");
        world.run("2026-11-20T00:00:00Z", "2026-11-20T05:30:00Z", minutes(1));
        world.changed("2026-11-20T05:30:00Z");
        world.schedule.settings.frequency_minutes = 30;
        world.run("2026-11-20T05:30:00Z", "2026-11-20T06:10:00Z", minutes(1));
        assert_eq!(world.fulls(), ["2026-11-20T00:00:00Z", "2026-11-20T05:30:00Z"]);
        assert_eq!(world.taken.last().unwrap().0, time("2026-11-20T06:00:00Z"));
        world.schedule.settings.enabled = false;
        world.changed("2026-11-20T06:10:00Z");
        let before = world.taken.len();
        world.run("2026-11-20T06:10:00Z", "2026-11-20T09:00:00Z", minutes(1));
        assert_eq!(world.taken.len(), before, "disabling is followed by none");
    }

    #[test]
    fn a_full_that_failed_is_followed_by_a_full() {
        let mut world = World::new(Plan::Dedicated, 60, "2026-11-20T00:00:00Z");
        world.run("2026-11-20T00:00:00Z", "2026-11-20T23:30:00Z", minutes(1));
        world.fails = true;
        world.run("2026-11-21T00:00:00Z", "2026-11-21T01:00:00Z", minutes(1));
        world.fails = false;
        world.run("2026-11-21T01:00:00Z", "2026-11-21T03:00:00Z", minutes(1));
        assert_eq!(world.fulls(), ["2026-11-20T00:00:00Z", "2026-11-21T01:00:00Z"]);
        // Also the one that a change is followed by.
        world.changed("2026-11-21T03:10:00Z");
        world.fails = true;
        assert!(world.tick(time("2026-11-21T03:10:00Z")));
        world.fails = false;
        world.run("2026-11-21T04:00:00Z", "2026-11-21T05:00:00Z", minutes(1));
        assert_eq!(world.fulls().last().unwrap(), "2026-11-21T04:00:00Z");
    }

    #[test]
    fn a_backup_taken_a_moment_before_its_settings_seems_new_enough() {
        // Backups are named by hundredths of a second, cut off.
        let mut world = World::new(Plan::Dedicated, 60, "2026-11-20T00:00:00.129Z");
        world.tick(time("2026-11-20T00:00:00.129Z"));
        world.schedule.last_full = Some(time("2026-11-20T00:00:00.12Z"));
        world.tick(time("2026-11-20T01:00:00Z"));
        assert_eq!(world.taken[1].1, BackupType::Incremental);
    }

    #[test]
    fn dedicated_on_azure_has_no_managed_backups() {
        for (plan, provider, has) in [
            (Plan::Dedicated, Provider::Azure, false),
            (Plan::Advanced, Provider::Azure, false),
            (Plan::Serverless, Provider::Azure, true),
            (Plan::Dedicated, Provider::Gcp, true),
        ] {
            let mut world = World::new(plan, 60, "2026-11-20T00:00:00Z");
            world.schedule.provider = provider;
            let now = time("2026-11-20T00:00:00Z");
            assert_eq!(world.tick(now), has, "{plan} on {provider}");
            assert_eq!(next(&world.schedule, now).is_some(), has);
            assert!(has || !is_missed(&world.schedule, now + hours(1000)));
        }
    }

    #[test]
    fn the_next_backup_is_told() {
        let mut world = World::new(Plan::Dedicated, 60, "2026-11-20T00:00:00Z");
        let now = time("2026-11-20T05:17:00Z");
        assert_eq!(next(&world.schedule, now), Some(now), "it is overdue");
        world.tick(now);
        assert_eq!(next(&world.schedule, now), Some(time("2026-11-20T06:00:00Z")));
        world.schedule.open = true;
        let later = time("2026-11-20T06:20:00Z");
        assert_eq!(next(&world.schedule, later), Some(time("2026-11-20T07:00:00Z")));
    }

    #[test]
    fn a_missing_backup_is_noticed_with_some_patience() {
        let mut world = World::new(Plan::Dedicated, 60, "2026-11-20T00:00:00Z");
        world.tick(time("2026-11-20T00:00:00Z"));
        let missed = |world: &World, now: &str| is_missed(&world.schedule, time(now));
        assert!(!missed(&world, "2026-11-20T01:59:00Z"));
        assert!(missed(&world, "2026-11-20T02:01:00Z"));
        world.schedule.last_backup = Some(time("2026-11-20T02:00:30Z"));
        assert!(!missed(&world, "2026-11-20T02:01:00Z"));
        // Nothing can be missing from before it was asked for.
        world.changed("2026-11-25T00:00:00Z");
        assert!(!missed(&world, "2026-11-25T00:30:00Z"));
        let mut daily = World::new(Plan::Basic, 1440, "2026-11-20T00:00:00Z");
        daily.tick(time("2026-11-20T00:00:00Z"));
        assert!(!missed(&daily, "2026-11-21T01:59:00Z"));
        assert!(missed(&daily, "2026-11-21T02:01:00Z"));
    }

    #[test]
    fn backups_are_kept_as_their_plan_has_it() {
        let at = time("2026-11-20T05:00:00Z");
        let full_expires = time("2026-12-20T00:00:00Z");
        let full = Some(full_expires);
        let days = |plan, kind, retention| {
            let until = expires_at(plan, kind, retention, at, full);
            (until.duration_since(at).as_hours() as f64) / 24.0
        };
        assert_eq!(days(Plan::Serverless, BackupType::Full, 30), 30.0);
        assert_eq!(days(Plan::Dedicated, BackupType::Full, 365), 365.0);
        assert_eq!(days(Plan::Dedicated, BackupType::Incremental, 30), 7.0);
        assert_eq!(days(Plan::Dedicated, BackupType::Incremental, 2), 2.0);
        for before in [2, 30, 365] {
            assert_eq!(days(Plan::Basic, BackupType::Full, before), 30.0);
        }
        assert_eq!(expires_at(Plan::Advanced, BackupType::Incremental, 30, at, full), full_expires);
    }

    #[test]
    fn prunes_are_daily_and_hourly_where_something_waits() {
        let cluster = ClusterId::new();
        let slot = |urgent, last: Option<&str>, now: &str| {
            let slot = prune_slot(cluster, urgent, last.map(time), time(now));
            slot.map(|slot| slot.rsplit('/').next().unwrap_or_default().to_owned())
        };
        let at = |text: &str| Some(text.to_owned());
        assert_eq!(slot(false, None, "2026-11-20T05:10:00Z"), at("2026-11-20T00:00:00Z"));
        assert_eq!(slot(false, Some("2026-11-20T05:10:00Z"), "2026-11-20T23:59:00Z"), None);
        assert_eq!(
            slot(false, Some("2026-11-20T05:10:00Z"), "2026-11-21T00:00:00Z"),
            at("2026-11-21T00:00:00Z")
        );
        assert_eq!(slot(true, Some("2026-11-20T05:10:00Z"), "2026-11-20T05:59:00Z"), None);
        assert_eq!(
            slot(true, Some("2026-11-20T05:10:00Z"), "2026-11-20T06:00:00Z"),
            at("2026-11-20T06:00:00Z")
        );
        // The clock was set back.
        assert!(slot(true, Some("2027-11-20T05:10:00Z"), "2026-11-20T06:00:00Z").is_some());
    }

    #[test]
    fn drills_follow_each_other_by_days() {
        let mut world = World::new(Plan::Dedicated, 60, "2026-11-20T00:00:00Z");
        let now = time("2026-11-20T00:00:00Z");
        world.schedule.settings.drill_every_days = 7;
        assert!(!drill_is_due(&world.schedule, now), "there is nothing to try");
        world.tick(now);
        assert!(drill_is_due(&world.schedule, now));
        world.schedule.last_drill = Some(now);
        assert!(!drill_is_due(&world.schedule, now + hours(7 * 24 - 1)));
        assert!(drill_is_due(&world.schedule, now + hours(7 * 24)));
        world.schedule.settings.drill_every_days = 0;
        assert!(!drill_is_due(&world.schedule, now + hours(1000)));
    }

    /// The same tests, where the clock on the wall is another one and just about to change.
    #[test]
    fn time_zones_and_daylight_saving_change_nothing() {
        if std::env::var_os("STRONGROOM_TEST_INNER").is_some() {
            return;
        }
        for zone in ["America/New_York", "Pacific/Apia", "Australia/Lord_Howe", ":/etc/nothing"] {
            let output = std::process::Command::new(std::env::current_exe().unwrap())
                .arg("cadence::")
                .env("TZ", zone)
                .env("STRONGROOM_TEST_INNER", "1")
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{zone}: {text}");
            assert!(!text.contains("running 0 tests"), "{zone}: {text}");
        }
        // Across the night of the change, in the middle of Europe's.
        let mut world = World::new(Plan::Dedicated, 60, "2026-10-24T00:00:00Z");
        world.run("2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z", minutes(1));
        assert_eq!((world.fulls().len(), world.taken.len()), (3, 72));
    }

    proptest! {
        /// However the clock steps, forth and back: every slot that was seen became a backup, none
        /// became two, and a dedicated cluster has no incremental on a day without a full.
        #[test]
        fn clocks_may_step(
            plan in prop::sample::select(vec![Plan::Serverless, Plan::Dedicated, Plan::Basic]),
            frequency in prop::sample::select(FREQUENCIES),
            steps in prop::collection::vec(
                prop_oneof![8 => 1..90i64, 1 => -3000..3000i64, 1 => -50_000..50_000i64],
                1..120,
            ),
        ) {
            let mut world = World::new(plan, frequency, "2026-11-20T00:00:00Z");
            world.schedule.settings.updated_at = time("2020-01-01T00:00:00Z");
            let mut now = time("2026-11-20T10:13:00Z");
            let length = super::frequency(plan, &world.schedule.settings);
            let mut seen = BTreeSet::new();
            for step in steps {
                now += minutes(step);
                world.tick(now);
                prop_assert!(!world.tick(now), "what is done is not due");
                seen.insert(slot_at(now, length));
            }
            let made: BTreeSet<Timestamp> =
                world.slots.iter().map(|slot| Slot::parse(slot).unwrap().at).collect();
            prop_assert_eq!(&made, &seen);
            prop_assert_eq!(world.taken.len(), seen.len());
            if plan == Plan::Dedicated {
                let newest = world.taken.iter().map(|(at, _)| *at).max().unwrap();
                let of = |kind| world.taken.iter().any(|(at, other)| {
                    *other == kind && day(*at) == day(newest)
                });
                prop_assert!(of(BackupType::Full) || !of(BackupType::Incremental));
            } else {
                prop_assert!(world.taken.iter().all(|(_, kind)| *kind == BackupType::Full));
            }
        }

        #[test]
        fn slots_are_multiples_since_the_beginning_of_the_day(
            second in 0..4_000_000_000i64,
            frequency in prop::sample::select(FREQUENCIES),
        ) {
            let now = Timestamp::from_second(second).unwrap();
            let at = slot_at(now, minutes(frequency));
            prop_assert!(at <= now && now.duration_since(at) < minutes(frequency));
            let time = at.to_zoned(TimeZone::UTC).time();
            let minute = i64::from(time.hour()) * 60 + i64::from(time.minute());
            prop_assert_eq!((minute % frequency, time.second()), (0, 0));
        }
    }

    fn day(time: Timestamp) -> jiff::civil::Date {
        time.to_zoned(TimeZone::UTC).date()
    }
}
