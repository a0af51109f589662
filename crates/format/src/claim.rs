//! The claim: the object that a backup puts first, so that nobody else takes its id.
//!
//! It is a line of JSON, which no restore needs and nobody has to be able to read: what is not
//! understood counts as the claim of somebody unknown.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What `STARTED` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// When the id was claimed.
    pub started_at: Timestamp,
    /// The job of the service that the backup belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
}

impl Claim {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Reads the stored form. None: it was written by somebody else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_of_every_version_are_read() {
        let started_at = "2026-11-22T13:00:00.07Z".parse().unwrap();
        // As they were written before jobs were named.
        let bare = Claim::decode(b"{\"started_at\": \"2026-11-22T13:00:00.07Z\"}\n").unwrap();
        assert_eq!(bare, Claim { started_at, job_id: None });
        let named = Claim { started_at, job_id: Some("0192f0c1".to_owned()) };
        assert_eq!(Claim::decode(&named.encode()), Some(named.clone()));
        assert_eq!(
            named.encode(),
            b"{\"started_at\":\"2026-11-22T13:00:00.07Z\",\"job_id\":\"0192f0c1\"}\n"
        );
        for other in [&b""[..], b"{}", b"\xff", b"[1]"] {
            assert_eq!(Claim::decode(other), None);
        }
    }
}
