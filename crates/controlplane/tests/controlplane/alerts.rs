//! Alerts reach a webhook and people's mailboxes, at least once and never for ever.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use strongroom_catalog::clusters::Plan;
use strongroom_catalog::jobs::{JobFilter, JobKind, JobState, NewJob};
use strongroom_catalog::restores::RestoreKind;
use strongroom_catalog::{Address, FakeClock, JobId, Page, Secret};
use strongroom_controlplane::alerts::{Channels, Email, Webhook};
use strongroom_controlplane::jobs::Worker;
use strongroom_controlplane::{App, Config};
use strongroom_dataplane::CancellationToken;
use strongroom_testkit::Cluster;

use crate::restoring::{Service, block_on, everybody, request};
use crate::support;

/// What came in, in order.
type Inbox = Arc<Mutex<Vec<(Vec<String>, String)>>>;

/// A server that takes POSTs, and answers with these statuses, the last one again and again.
fn webhook(statuses: &'static [u16]) -> (String, Inbox) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?token=hush", listener.local_addr().unwrap());
    let inbox = Inbox::default();
    let taken = inbox.clone();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                match line.trim() {
                    "" => break,
                    line => head.push(line.to_owned()),
                }
            }
            let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.unwrap().parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            taken.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
            let status = statuses[number.min(statuses.len() - 1)];
            let answer =
                format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, inbox)
}

/// A mail server that takes everything.
fn mail_server() -> (String, Inbox) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let inbox = Inbox::default();
    let taken = inbox.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            take_mail(stream.unwrap(), &taken);
        }
    });
    (url, inbox)
}

fn take_mail(mut stream: TcpStream, inbox: &Inbox) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    stream.write_all(b"220 sink\r\n").unwrap();
    let mut envelope = Vec::new();
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap_or(0) > 0 {
        let command = line.trim().to_owned();
        line.clear();
        let answer: &[u8] = match command.split(' ').next().unwrap().to_uppercase().as_str() {
            "EHLO" => b"250-sink\r\n250 8BITMIME\r\n",
            "QUIT" => return,
            "DATA" => {
                stream.write_all(b"354 go on\r\n").unwrap();
                let mut text = String::new();
                while reader.read_line(&mut line).unwrap() > 0 && line != ".\r\n" {
                    text.push_str(&line);
                    line.clear();
                }
                line.clear();
                inbox.lock().unwrap().push((std::mem::take(&mut envelope), text));
                b"250 taken\r\n"
            }
            _ => {
                envelope.push(command);
                b"250 ok\r\n"
            }
        };
        stream.write_all(answer).unwrap();
    }
}

fn channels(hook: &str, mail: &str) -> Channels {
    let secret = Some(Secret::new("shared secret"));
    let from = "Strongroom <strongroom@example.org>";
    Channels {
        webhook: Some(Webhook { url: Secret::new(hook), secret }),
        email: Some(
            Email::new(Secret::new(mail), from, "ann@example.org, bob@example.org").unwrap(),
        ),
    }
}

#[test]
fn a_failed_restore_is_told_to_a_webhook_and_by_mail() {
    let ((hook, posted), (mail, mailed)) = (webhook(&[200]), mail_server());
    block_on(async {
        let service = Service::start_with(|config| config.alerts = channels(&hook, &mail)).await;
        let (source, target) = service.attach_both(Plan::Dedicated).await;
        service.back_up(&source).await;
        let whole = request(RestoreKind::Cluster, source.id);
        let restore = service.app.create_restore(&everybody(), target.id, whole).await.unwrap();
        service.damage(source.id);
        while service.work().await {}

        let posted = posted.lock().unwrap().clone();
        let [(head, body)] = posted.as_slice() else { panic!("{posted:#?}") };
        let told: Value = serde_json::from_str(body).unwrap();
        assert_eq!(told["event"], "restore_failed");
        assert_eq!(told["id"], format!("alert/{}", restore.job.id));
        assert_eq!(told["cluster"]["name"], "target");
        assert_eq!(told["job"]["error_code"], "damaged");
        let header = |name: &str| {
            head.iter().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap().to_owned()
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(b"shared secret").unwrap();
        mac.update(format!("{}.{body}", header("x-strongroom-timestamp")).as_bytes());
        let digits: String =
            mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(header("x-strongroom-signature"), format!("sha256={digits}"));

        let mailed = mailed.lock().unwrap().clone();
        let [(envelope, text)] = mailed.as_slice() else { panic!("{mailed:#?}") };
        for address in ["ann@example.org", "bob@example.org"] {
            let to = format!("RCPT TO:<{address}>");
            assert!(envelope.iter().any(|line| line.starts_with(&to)), "{envelope:?}");
        }
        assert!(text.contains("Subject: [strongroom] restore failed target"), "{text}");
        assert!(text.contains("A restore of cluster target has failed"), "{text}");

        // No job says where it went, or how.
        let jobs = service.app.catalog().jobs(&JobFilter::default(), &Page::first(100)).await;
        let shown = format!("{:?}", jobs.unwrap().items);
        for secret in ["hush", "shared secret", "127.0.0.1"] {
            assert!(!shown.contains(secret), "{secret}");
        }
    });
}

#[test]
fn a_webhook_that_fails_is_tried_again_and_told_nothing_twice_by_mistake() {
    let (hook, posted) = webhook(&[500, 200]);
    block_on(async {
        let service = Service::start_with(|config| {
            config.alerts.webhook = Some(Webhook { url: Secret::new(&hook), secret: None });
        })
        .await;
        let source =
            service.attach("source", service.source.url("postgres"), Plan::Dedicated).await;
        let slot = format!("{}/missed/2026-11-22T13:00:00Z", source.id);
        let missed = NewJob {
            slot: Some(slot.clone()),
            payload: json!({ "event": "backup_missed", "last_backup_at": "2026-11-22T12:00:00Z" }),
            ..NewJob::of(JobKind::Alert, source.id)
        };
        let app = &service.app;
        for _ in 0..2 {
            let mut write = app.catalog().begin().await.unwrap();
            write.enqueue(&missed).await.unwrap();
            write.commit().await.unwrap();
        }
        while service.work().await {}
        let part = app.catalog().job_of_slot(&format!("{slot}/webhook")).await.unwrap().unwrap();
        assert_eq!(part.state, JobState::Pending, "{part:#?}");
        assert_eq!(part.error.as_ref().unwrap().message, "the webhook answered 500");
        assert!(part.not_before > app.now(), "it waits before it is tried again");
        assert_eq!(posted.lock().unwrap().len(), 1);
        let told: Value = serde_json::from_str(&posted.lock().unwrap()[0].1).unwrap();
        assert_eq!(told["event"], "backup_missed");
        assert_eq!(
            told["text"],
            "A backup of cluster source is missing: the last one was taken at 2026-11-22T12:00:00Z."
        );
    });
}

/// Replicas over one catalog in PostgreSQL, some of which have channels.
struct Replicas {
    address: Address,
    clock: Arc<FakeClock>,
    folder: tempfile::TempDir,
    _server: Cluster,
}

impl Replicas {
    fn new() -> Self {
        let server = Cluster::start();
        server.create_database("catalog");
        let address = Address::Postgres(Secret::new(server.url("catalog")));
        let (clock, folder) =
            (support::clock("2026-11-22T13:00:00Z"), tempfile::tempdir().unwrap());
        Replicas { address, clock, folder, _server: server }
    }

    async fn replica(&self, channels: Channels) -> App {
        let catalog = support::open(&self.address, self.folder.path(), self.clock.clone()).await;
        let mut config = Config::new(self.folder.path());
        config.alerts = channels;
        App::start(catalog, config).await.unwrap()
    }

    async fn alert(&self, app: &App) -> JobId {
        let payload = json!({ "event": "backup_missed" });
        let slot = Some("missed".to_owned());
        let mut write = app.catalog().begin().await.unwrap();
        let new = NewJob { payload, slot, ..NewJob::new(JobKind::Alert) };
        let made = write.enqueue(&new).await.unwrap();
        write.commit().await.unwrap();
        made.job.id
    }

    /// Lets a replica run what is due in half an hour; whether there was something.
    async fn work(&self, app: &App) -> bool {
        self.clock.advance(jiff::SignedDuration::from_mins(30));
        Worker::new(app.clone(), 0).run_one(&CancellationToken::new()).await.unwrap()
    }
}

#[test]
fn a_replica_without_the_channel_leaves_the_alert_to_others() {
    let (hook, posted) = webhook(&[200]);
    block_on(async {
        let replicas = Replicas::new();
        let webhook = Some(Webhook { url: Secret::new(&hook), secret: None });
        let with = replicas.replica(Channels { webhook, email: None }).await;
        let without = replicas.replica(Channels::default()).await;
        let id = replicas.alert(&with).await;
        let state = async |id| with.catalog().job(id).await.unwrap().state;

        // Neither finding out whom to tell nor telling is done by one that can not.
        assert!(replicas.work(&without).await);
        assert_eq!(state(id).await, JobState::Pending);
        assert!(replicas.work(&with).await);
        assert_eq!(state(id).await, JobState::Succeeded);
        let part = with.catalog().job_of_slot("missed/webhook").await.unwrap().unwrap();
        assert!(replicas.work(&without).await);
        let tried = with.catalog().job(part.id).await.unwrap();
        assert_eq!(tried.state, JobState::Pending, "{tried:#?}");
        let message = tried.error.unwrap().message;
        assert!(message.starts_with("this replica has no webhook for alerts"), "{message}");
        assert_eq!(posted.lock().unwrap().len(), 0);
        assert!(replicas.work(&with).await);
        assert_eq!(state(part.id).await, JobState::Succeeded);
        assert_eq!(posted.lock().unwrap().len(), 1);
    });
}

#[test]
fn where_nobody_is_told_alerts_end() {
    block_on(async {
        let replicas = Replicas::new();
        let only = replicas.replica(Channels::default()).await;
        let id = replicas.alert(&only).await;
        for _ in 0..12 {
            assert!(replicas.work(&only).await);
        }
        let ended = only.catalog().job(id).await.unwrap();
        assert_eq!(ended.state, JobState::Succeeded, "{ended:#?}");
        assert_eq!(ended.result, Some(json!({ "channels": 0 })));
        assert!(!replicas.work(&only).await);
    });
}
