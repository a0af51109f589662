//! Telling people what they would not look for: a backup that failed or is missing, a restore or a
//! drill that failed.
//!
//! What is to be told becomes a job of kind `alert` in the transaction that makes it true, so that no
//! crash swallows it. That job becomes one more for each channel, and those deliver. Slots keep all of
//! it from being told twice by mistake: `alert/<job>` for a job that failed, `alert/<job>/webhook` for
//! the webhook's part. Delivery is at least once: a receiver that took a message and did not say so
//! gets it again, with the same `id`. What a replica has no channel for is tried again, too: another
//! replica may have it.
//!
//! A webhook gets a `POST` with a JSON body. Where it has a secret, the header
//! `x-strongroom-signature` is `sha256=` and the HMAC-SHA-256, in hexadecimal digits, of the value of
//! `x-strongroom-timestamp` (seconds since 1970), a dot, and the body.

use std::fmt;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use serde::Serialize;
use serde_json::json;
use sha2::Sha256;
use strongroom_catalog::Secret;
use strongroom_catalog::jobs::{Job, JobKind, NewJob};

use crate::{Error, Kind, Result};

/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where alerts go. Nowhere, if nothing is set.
#[derive(Clone, Debug, Default)]
pub struct Channels {
    /// A service that takes messages by HTTP.
    pub webhook: Option<Webhook>,
    /// People that take e-mail.
    pub email: Option<Email>,
}

/// A service that takes messages by HTTP.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its URL, which may have a token in it.
    pub url: Secret,
    /// What messages are signed with.
    pub secret: Option<Secret>,
}

/// People that take e-mail.
#[derive(Clone, Debug)]
pub struct Email {
    /// The mail server, `smtps://user:password@host:465` or `smtp://host:25`.
    pub server: Secret,
    /// Who sends.
    pub from: Mailbox,
    /// Who gets it.
    pub to: Vec<Mailbox>,
}

/// A way to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Webhook,
    Email,
}

impl Channel {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "webhook" => Some(Channel::Webhook),
            "email" => Some(Channel::Email),
            _ => None,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Channel::Webhook => "webhook",
            Channel::Email => "email",
        })
    }
}

impl Email {
    /// A mail server, who sends, and the addresses that get it, separated by commas.
    pub fn new(server: Secret, from: &str, to: &str) -> Result<Self> {
        let mailbox = |text: &str| {
            text.trim().parse::<Mailbox>().map_err(|error| {
                Error::invalid(format!("'{}' is not an e-mail address: {error}", text.trim()))
            })
        };
        let to: Vec<Mailbox> = to
            .split(',')
            .filter(|text| !text.trim().is_empty())
            .map(mailbox)
            .collect::<Result<_>>()?;
        if to.is_empty() {
            return Err(Error::invalid("no e-mail address is given that alerts go to"));
        }
        let email = Email { server, from: mailbox(from)?, to };
        email.transport()?;
        Ok(email)
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>> {
        // The error would quote the URL.
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(self.server.expose());
        let builder = builder.map_err(|_| {
            Error::invalid("the URL of the mail server can not be read")
                .hint("smtps://user:password@host:465, or smtp://host:25")
        })?;
        Ok(builder.timeout(Some(PATIENCE)).build())
    }
}

impl Channels {
    /// Those that are set.
    pub(crate) fn all(&self) -> Vec<Channel> {
        let webhook = self.webhook.as_ref().map(|_| Channel::Webhook);
        let email = self.email.as_ref().map(|_| Channel::Email);
        webhook.into_iter().chain(email).collect()
    }

    pub(crate) async fn deliver(&self, channel: Channel, alert: &Alert) -> Result<()> {
        // While the configuration of several replicas is changed, others have it, or have it still.
        let missing = || {
            Error::new(Kind::Unavailable, format!("this replica has no {channel} for alerts"))
                .hint("give all replicas the same channels")
        };
        match channel {
            Channel::Webhook => self.webhook.as_ref().ok_or_else(missing)?.deliver(alert).await,
            Channel::Email => self.email.as_ref().ok_or_else(missing)?.deliver(alert).await,
        }
    }
}

/// What is told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Alert {
    /// The same for every delivery of the same message.
    pub(crate) id: String,
    /// `backup_failed`, `backup_missed`, `restore_failed`, `drill_failed`, `job_failed`.
    pub(crate) event: String,
    /// When it happened.
    pub(crate) at: Timestamp,
    /// In a sentence.
    pub(crate) text: String,
    pub(crate) organization: Option<String>,
    pub(crate) cluster: Option<AlertCluster>,
    pub(crate) job: Option<AlertJob>,
    /// Of a backup that is missing: when the last one was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_backup_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct AlertCluster {
    pub(crate) id: String,
    pub(crate) name: String,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct AlertJob {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) attempts: i64,
    pub(crate) error_code: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) error_hint: Option<String>,
}

impl Webhook {
    async fn deliver(&self, alert: &Alert) -> Result<()> {
        let failed = |message: String| Error::new(Kind::Unavailable, message);
        let body = serde_json::to_vec(alert)
            .map_err(|error| Error::new(Kind::Internal, error.to_string()))?;
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| failed(error.without_url().to_string()))?;
        let timestamp = alert.at.as_second().to_string();
        let mut request = client
            .post(self.url.expose())
            .header("content-type", "application/json")
            .header("user-agent", "strongroom")
            .header("x-strongroom-event", &alert.event)
            .header("x-strongroom-delivery", &alert.id)
            .header("x-strongroom-timestamp", &timestamp);
        if let Some(secret) = &self.secret {
            let signature = signature(secret, &timestamp, &body)?;
            request = request.header("x-strongroom-signature", format!("sha256={signature}"));
        }
        let answered = request.body(body).send().await.map_err(|error| {
            // The URL may hold a token.
            failed(format!("the webhook does not answer: {}", error.without_url()))
        })?;
        let status = answered.status();
        if status.is_success() {
            return Ok(());
        }
        Err(failed(format!("the webhook answered {}", status.as_u16())))
    }
}

/// The signature of a message, in hexadecimal digits.
fn signature(secret: &Secret, timestamp: &str, body: &[u8]) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .map_err(|error| Error::new(Kind::Internal, error.to_string()))?;
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    Ok(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Email {
    async fn deliver(&self, alert: &Alert) -> Result<()> {
        let failed = |message: String| Error::new(Kind::Unavailable, message);
        let about = alert.cluster.as_ref().map_or("", |cluster| cluster.name.as_str());
        let what = alert.event.replace('_', " ");
        let mut text = format!("{}\n\n", alert.text);
        let mut line = |name: &str, value: &str| text.push_str(&format!("{name}: {value}\n"));
        line("event", &alert.event);
        line("at", &alert.at.to_string());
        if let Some(cluster) = &alert.cluster {
            line("cluster", &format!("{} ({})", cluster.name, cluster.id));
        }
        if let Some(job) = &alert.job {
            line("job", &format!("{} ({}), begun {} times", job.id, job.kind, job.attempts));
            line("error", job.error_code.as_deref().unwrap_or_default());
            line("message", job.error_message.as_deref().unwrap_or_default());
            if let Some(hint) = &job.error_hint {
                line("hint", hint);
            }
        }
        if let Some(last) = &alert.last_backup_at {
            line("last backup", &last.to_string());
        }
        line("id", &alert.id);
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(format!("[strongroom] {what} {about}").trim_end().to_owned());
        for to in &self.to {
            message = message.to(to.clone());
        }
        let message =
            message
                .header(lettre::message::header::ContentType::TEXT_PLAIN)
                .body(text)
                .map_err(|error| Error::new(Kind::Internal, format!("the e-mail: {error}")))?;
        let sent = self.transport()?.send(message).await;
        sent.map_err(|error| failed(format!("the mail server does not take the e-mail: {error}")))?;
        Ok(())
    }
}

/// The job that tells of a job that failed for good.
pub(crate) fn job_failed(job: &Job) -> NewJob {
    NewJob {
        cluster: job.cluster,
        slot: Some(format!("alert/{}", job.id)),
        payload: json!({ "event": "job_failed", "job_id": job.id }),
        requested_by: Some("worker".to_owned()),
        ..NewJob::new(JobKind::Alert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_can_be_checked_by_others() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac hush
        let signed = signature(&Secret::new("hush"), "1700000000", b"{\"a\":1}").unwrap();
        assert_eq!(signed, "7cfd1df542c33ab7251748ffdc6e7fed278c63b83d4ece95a4534b0ad465571b");
    }

    #[test]
    fn what_is_no_channel_is_refused() {
        let server = || Secret::new("smtp://localhost:25");
        assert!(Email::new(server(), "strongroom@localhost", "ann@x.org, bob@x.org").is_ok());
        for (from, to) in [("nobody", "ann@x.org"), ("a@b.c", " , "), ("a@b.c", "ann")] {
            assert_eq!(Email::new(server(), from, to).unwrap_err().kind(), Kind::Invalid);
        }
        let error = Email::new(Secret::new("http://u:secret@x"), "a@b.c", "a@b.c").unwrap_err();
        assert!(!error.full_text().contains("secret"));
    }
}
