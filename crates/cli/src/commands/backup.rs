//! `strongroom backup`: takes a full or an incremental backup.

use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use strongroom_dataplane::Result;
use strongroom_dataplane::backup::{self, BackupOptions, Detector, Gate};
use strongroom_dataplane::names::TableName;
use strongroom_dataplane::store::Store;
use strongroom_format::BackupId;
use strongroom_format::manifest::{Manifest, Omission, Targets};

use crate::args::{KeyArgs, WorkerArgs, duration, server};
use crate::output::{self, facts};
use crate::progress::Reporter;
use crate::signals::cancelled_by_signals;

/// Back up a cluster, some of its databases, or some tables, into a collection
#[derive(Debug, Args)]
#[command(after_help = "\
The server is only read: nothing is installed or changed there. Each database is read at one
consistent moment, its read point. Without --database and --table the whole cluster is backed up,
with its roles. The collection's folder is created if it does not exist.

An incremental backup stores what changed since the newest backup of the same cluster and the
same targets, and holds everything all the same: it is restored like a full one, in one step.
Where there is no backup that it can build on, a full one is taken, and the reason told.

Examples:
  strongroom backup --from postgresql://postgres@db:5432 --into file:///var/backups/shop
  strongroom backup --from postgresql://postgres@db:5432 --database shop --database billing \\
      --into 's3://backups/shop?AWS_REGION=eu-central-1' --key-file /etc/strongroom.key
  strongroom backup --incremental --from postgresql://postgres@db:5432 \\
      --into file:///var/backups/shop
  PGHOST=db PGUSER=postgres strongroom backup --table shop.public.orders \\
      --into file:///var/backups/shop")]
pub(crate) struct BackupArgs {
    /// The server: postgresql://user@host:5432/database; what that leaves open, such as the
    /// password, comes from PGHOST, PGUSER, PGPASSWORD and so on, or from a pass file
    #[arg(long, value_name = "URL")]
    from: Option<String>,

    /// The collection to put it into: file:///absolute/folder or s3://bucket/folder?AWS_REGION=...
    #[arg(long, value_name = "COLLECTION", env = "STRONGROOM_COLLECTION", hide_env_values = true)]
    into: String,

    /// Only this database; may be repeated
    #[arg(long = "database", value_name = "D")]
    databases: Vec<String>,

    /// Only this table, as database.schema.table; may be repeated
    #[arg(long = "table", value_name = "D.S.T", conflicts_with = "databases")]
    tables: Vec<String>,

    /// Store only what changed since the newest backup of the same cluster and targets
    #[arg(long)]
    incremental: bool,

    /// How changes are found: wal-summary, page-lsn or version-digest; the best that the server
    /// allows is the default. Without --incremental: prepare for incrementals that use it
    #[arg(long, value_name = "DETECTOR")]
    detector: Option<String>,

    #[command(flatten)]
    workers: WorkerArgs,

    #[command(flatten)]
    key: KeyArgs,

    /// How hard to compress: the zstd level, 1 to 19
    #[arg(long, value_name = "LEVEL", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=19))]
    level: i32,

    /// How long reading one database may take, as 90m or 12h: a read point that is held for long
    /// keeps the server from cleaning up
    #[arg(long, value_name = "DURATION", default_value = "12h", value_parser = duration)]
    read_point_limit: Duration,
}

/// What is told of a finished backup.
#[derive(Serialize)]
struct Taken {
    id: BackupId,
    #[serde(rename = "type")]
    kind: &'static str,
    parent: Option<BackupId>,
    detector: Option<String>,
    full_because: Option<String>,
    level: &'static str,
    targets: Targets,
    data_from: Timestamp,
    finished_at: Timestamp,
    rows: u64,
    size_bytes: u64,
    stored_bytes: u64,
    databases: Vec<String>,
    encrypted: bool,
    omissions: Vec<Omission>,
    notes: Vec<String>,
    seconds: f64,
    collection: String,
}

impl BackupArgs {
    pub(crate) async fn run(self, json: bool) -> Result<String> {
        let started = Instant::now();
        let options = BackupOptions {
            from: server(self.from.as_deref())?,
            databases: self.databases,
            tables: self
                .tables
                .iter()
                .map(|name| name.parse())
                .collect::<Result<Vec<TableName>>>()?,
            workers: self.workers.count(),
            secret: self.key.secret()?,
            level: self.level,
            read_point_limit: self.read_point_limit,
            incremental: self.incremental,
            detector: self.detector.as_deref().map(str::parse::<Detector>).transpose()?,
            managed: None,
            now: None,
            gate: Gate::open(),
        };
        let store = Store::open(&self.into, true)?;
        let reporter = Reporter::new(json);
        let cancel = cancelled_by_signals(&reporter);
        let manifest = backup::run(&options, &store, &reporter.progress(), &cancel).await;
        let notes = reporter.finish();
        let taken = Taken::new(manifest?, notes, started, &store);
        Ok(if json { output::json(&taken) } else { taken.text() })
    }
}

impl Taken {
    fn new(manifest: Manifest, notes: Vec<String>, started: Instant, store: &Store) -> Self {
        Taken {
            id: manifest.id,
            kind: manifest.kind.name(),
            parent: manifest.parent,
            detector: manifest.detector,
            full_because: manifest.full_because,
            level: manifest.targets.level(),
            targets: manifest.targets,
            data_from: manifest.data_from,
            finished_at: manifest.finished_at,
            rows: manifest.rows,
            size_bytes: manifest.size_bytes,
            stored_bytes: manifest.stored_bytes,
            databases: manifest.databases.into_iter().map(|database| database.name).collect(),
            encrypted: manifest.key_id.is_some(),
            omissions: manifest.omissions,
            notes,
            seconds: output::seconds_since(started),
            collection: store.shown().to_owned(),
        }
    }

    fn text(&self) -> String {
        let mut stored = output::size(self.stored_bytes);
        if let Some(ratio) = output::ratio(self.size_bytes, self.stored_bytes) {
            stored.push_str(&format!(" ({ratio})"));
        }
        if self.encrypted {
            stored.push_str(", encrypted");
        }
        let mut text = facts(&[
            ("backup", self.id.to_string()),
            ("type", self.kind.to_owned()),
            ("builds on", self.parent.map(|parent| parent.to_string()).unwrap_or_default()),
            ("changes by", self.detector.clone().unwrap_or_default()),
            ("holds", super::show::holds(&self.targets, &self.databases)),
            ("rows", output::count(self.rows)),
            ("size", output::size(self.size_bytes)),
            ("stored", stored),
            (
                "took",
                format!(
                    "{} ({})",
                    output::seconds(self.seconds),
                    output::rate(self.size_bytes, self.seconds)
                ),
            ),
            ("collection", self.collection.clone()),
        ]);
        for omission in &self.omissions {
            text.push_str(&super::show::omitted(omission));
        }
        text
    }
}
