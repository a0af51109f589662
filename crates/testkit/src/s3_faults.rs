//! What an S3 server of the tests has been told to do wrong, and what it has been asked for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use hyper::{Method, StatusCode};
use tokio::sync::watch;

/// A way for the S3 server to misbehave: what it answers, to which requests, and how often.
///
/// `Fault::status(503).next(3)` fails the next three requests; `Fault::stall().after(10).on("PUT")` leaves
/// every PUT but the first ten without an answer.
#[derive(Debug, Clone)]
pub struct Fault {
    answer: Answer,
    skip: u64,
    times: Option<u64>,
    method: Option<String>,
    key_part: Option<String>,
    no_key: bool,
}

/// What a faulty request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// An error of this status, with S3's XML body; nothing has been done.
    Status(StatusCode),
    /// No answer until the server is healed; then the request is served.
    Stall,
    /// No answer until the server is healed. The request is served then, whoever still waits for it.
    Late,
    /// The answer's headers and half of its body, then the end of the connection.
    CutBody,
}

impl Fault {
    /// Answers with this status, such as 503 or 500, without doing anything.
    pub fn status(status: u16) -> Self {
        Self::new(Answer::Status(StatusCode::from_u16(status).expect("an HTTP status")))
    }

    /// Does not answer. A client that still waits when the server is healed is served.
    pub fn stall() -> Self {
        Self::new(Answer::Stall)
    }

    /// Serves the request when the server is healed, although nobody may wait for it any more: as a
    /// request does that was given up while it was on its way.
    pub fn late() -> Self {
        Self::new(Answer::Late)
    }

    /// Answers well, but ends the connection half way through the body.
    pub fn cut_body() -> Self {
        Self::new(Answer::CutBody)
    }

    fn new(answer: Answer) -> Self {
        Self { answer, skip: 0, times: None, method: None, key_part: None, no_key: false }
    }

    /// Lets so many matching requests pass first.
    pub fn after(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// Ends after so many requests; without it the fault lasts until the server is healed.
    pub fn next(mut self, requests: u64) -> Self {
        self.times = Some(requests);
        self
    }

    /// Concerns requests with this method only.
    pub fn on(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Concerns requests whose key contains this text only.
    pub fn key(mut self, part: &str) -> Self {
        self.key_part = Some(part.to_owned());
        self
    }

    /// Concerns requests without a key only. With POST these are the deletions.
    pub fn no_key(mut self) -> Self {
        self.no_key = true;
        self
    }

    /// Whether this request is hit; counts it when it matches.
    fn hits(&mut self, method: &Method, key: &str) -> bool {
        let matches = self.method.as_ref().is_none_or(|wanted| method == wanted.as_str())
            && self.key_part.as_ref().is_none_or(|part| key.contains(part))
            && (key.is_empty() || !self.no_key);
        if !matches {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        match &mut self.times {
            Some(0) => false,
            Some(times) => {
                *times -= 1;
                true
            }
            None => true,
        }
    }
}

/// One request that the S3 server has answered.
#[derive(Debug, Clone)]
pub struct Served {
    /// The HTTP method.
    pub method: String,
    /// The object's key; empty for a listing and others that concern the whole bucket.
    pub key: String,
    /// The query string, which tells a part upload from a plain one.
    pub query: String,
    /// The status of the answer.
    pub status: u16,
    /// The bytes of the answer's body that have been sent.
    pub bytes: u64,
}

/// The bytes of one answer that have been sent so far.
pub(crate) type SentBytes = Arc<AtomicU64>;

/// The faults to come and the requests gone by, shared by the server's owner and its connections.
#[derive(Debug)]
pub(crate) struct Record {
    faults: Mutex<Vec<Fault>>,
    served: Mutex<Vec<(Served, SentBytes)>>,
    healed: watch::Sender<u64>,
}

impl Record {
    pub(crate) fn new() -> Self {
        Self { faults: Mutex::default(), served: Mutex::default(), healed: watch::Sender::new(0) }
    }

    pub(crate) fn inject(&self, fault: Fault) {
        self.faults.lock().unwrap().push(fault);
    }

    pub(crate) fn heal(&self) {
        self.faults.lock().unwrap().clear();
        self.healed.send_modify(|times| *times += 1);
    }

    /// The answer of the first fault that hits this request.
    pub(crate) fn fault_for(&self, method: &Method, key: &str) -> Option<Answer> {
        let mut faults = self.faults.lock().unwrap();
        faults.iter_mut().find_map(|fault| fault.hits(method, key).then_some(fault.answer))
    }

    /// What to wait on to be woken by the next healing.
    pub(crate) fn until_healed(&self) -> watch::Receiver<u64> {
        self.healed.subscribe()
    }

    /// Notes a request whose answer is about to be sent; what is sent of it is to be counted in the result.
    pub(crate) fn add(&self, served: Served) -> SentBytes {
        let sent = SentBytes::default();
        self.served.lock().unwrap().push((served, Arc::clone(&sent)));
        sent
    }

    pub(crate) fn served(&self) -> Vec<Served> {
        let entries = self.served.lock().unwrap();
        let with_bytes = entries
            .iter()
            .map(|(served, sent)| Served { bytes: sent.load(Ordering::Relaxed), ..served.clone() });
        with_bytes.collect()
    }

    pub(crate) fn forget(&self) {
        self.served.lock().unwrap().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_skips_hits_and_ends() {
        let mut fault = Fault::status(503).after(1).next(2).on("PUT").key("pack");
        let hits: Vec<bool> = [
            ("PUT", "a/pack-1"),
            ("GET", "a/pack-1"),
            ("PUT", "a/manifest"),
            ("PUT", "a/pack-2"),
            ("PUT", "a/pack-3"),
            ("PUT", "a/pack-4"),
        ]
        .map(|(method, key)| fault.hits(&method.parse().unwrap(), key))
        .to_vec();
        assert_eq!(hits, [false, false, false, true, true, false]);
    }
}
