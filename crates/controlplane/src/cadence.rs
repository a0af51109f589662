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

use std::collections::BTreeMap;

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

/// Which backups a simulation must find: what the rules say of a cluster that was attached at `from`
/// with nothing but these settings ever, at the time `now`. By data-from, with the type.
pub fn expected(
    plan: Plan,
    frequency: SignedDuration,
    retention_days: i64,
    from: Timestamp,
    now: Timestamp,
) -> BTreeMap<Timestamp, BackupType> {
    let day = |time: Timestamp| time.to_zoned(TimeZone::UTC).date();
    let mut expected = BTreeMap::new();
    let mut last_day = None;
    let mut full_expires = None;
    let mut at = from;
    while at <= now {
        let full = plan.is_serverless() || last_day != Some(day(at));
        let kind = if full { BackupType::Full } else { BackupType::Incremental };
        let expires = expires_at(plan, kind, retention_days, at, full_expires);
        if full {
            (last_day, full_expires) = (Some(day(at)), Some(expires));
        }
        if expires > now {
            expected.insert(at, kind);
        }
        at = slot_at(at, frequency) + frequency;
    }
    expected
}
