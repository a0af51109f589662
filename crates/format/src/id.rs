//! How a backup is named: by its read point, in UTC, to the hundredth of a second.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::FormatError;

/// The name of a backup, such as `2026/11/22-130000.00`. Ids sort as their read points do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupId(Timestamp);

impl BackupId {
    /// The id of a backup whose read point was taken at `time`.
    pub fn at(time: Timestamp) -> Self {
        let hundredth = 10_000_000;
        let nanos = time.as_nanosecond().div_euclid(hundredth) * hundredth;
        BackupId(Timestamp::from_nanosecond(nanos).unwrap_or(time))
    }

    /// The next id, for when this one is taken.
    pub fn next(self) -> Self {
        BackupId(self.0 + 10.milliseconds())
    }

    /// The moment that the id names.
    pub fn time(self) -> Timestamp {
        self.0
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.0.to_zoned(TimeZone::UTC);
        let hundredths = time.subsec_nanosecond() / 10_000_000;
        write!(f, "{}.{hundredths:02}", time.strftime("%Y/%m/%d-%H%M%S"))
    }
}

impl FromStr for BackupId {
    type Err = FormatError;

    /// Takes the id with or without a leading or trailing slash, as listings of peers print it.
    fn from_str(text: &str) -> Result<Self, FormatError> {
        let bad = || FormatError::BadId(text.to_owned());
        let trimmed = text.trim_matches('/');
        let (second, hundredths) = trimmed.rsplit_once('.').ok_or_else(bad)?;
        if hundredths.len() != 2 || second.len() != "2026/11/22-130000".len() {
            return Err(bad());
        }
        let hundredths: i64 = hundredths.parse().map_err(|_| bad())?;
        let time = DateTime::strptime("%Y/%m/%d-%H%M%S", second)
            .and_then(|time| time.to_zoned(TimeZone::UTC))
            .map_err(|_| bad())?;
        let id = BackupId(time.timestamp() + (hundredths * 10).milliseconds());
        // `parse` of numbers accepts signs and spaces, which an id does not have.
        if id.to_string() == trimmed { Ok(id) } else { Err(bad()) }
    }
}

impl TryFrom<String> for BackupId {
    type Error = FormatError;

    fn try_from(text: String) -> Result<Self, FormatError> {
        text.parse()
    }
}

impl From<BackupId> for String {
    fn from(id: BackupId) -> String {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_own_text() {
        for text in ["2026/11/22-130000.00", "1999/12/31-235959.99", "2024/02/29-000000.07"] {
            assert_eq!(text.parse::<BackupId>().unwrap().to_string(), text);
        }
        let slashed: BackupId = "/2026/11/22-130000.00/".parse().unwrap();
        assert_eq!(slashed.to_string(), "2026/11/22-130000.00");
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "latest",
            "2026/11/22",
            "2026/13/22-130000.00",
            "2026/11/22-130000.0",
            "2026/11/22-130000.+1",
            "../../etc/passwd.00",
            "2026/11/22-1300é0.00",
        ] {
            assert!(text.parse::<BackupId>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_id_is_cut_to_hundredths_and_next_is_later() {
        let time: Timestamp = "2026-11-22T13:00:00.129Z".parse().unwrap();
        let id = BackupId::at(time);
        assert_eq!(id.to_string(), "2026/11/22-130000.12");
        assert_eq!(id.next().to_string(), "2026/11/22-130000.13");
        assert!(id < id.next());
    }
}
