//! Taking a backup: plan, copy, commit.
//!
//! ```text
//! resolve targets -> claim an id -> per database: read point, copy, definitions -> commit
//!                                                  (read_point)  (copy)            (commit)
//! ```
//!
//! Crash cases. Nothing that a backup writes is ever overwritten by another one: ids are claimed
//! with put-if-absent, packs have random names. Until the manifest is written there is no backup:
//! whatever else lies in its folder is remains, which an orderly failure removes and a later prune
//! sweeps. Once it is written, everything that it names is durable.
//!
//! Beside a prune. An incremental relies on packs of earlier backups, and a prune may take a backup
//! that is slow for one that died. Claim and manifest are what both meet at: [`crate::prune`] says
//! how.

mod changes;
mod commit;
mod copy;
mod floor;
mod large_objects;
pub(crate) mod parent;
mod read_point;
mod share;

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use strongroom_format::claim::Claim;
use strongroom_format::contents::{Contents, Database, Extension, LargeObject, Sequence};
use strongroom_format::key::{DataKey, EncryptionInfo, Secret};
use strongroom_format::layout::{Folder, ObjectKey};
use strongroom_format::manifest::{Found, Managed, Manifest, Omission, Source, Targets};
use strongroom_format::{BackupId, FORMAT_VERSION};
use tokio_util::sync::CancellationToken;

pub use self::changes::Detector;
use self::changes::finder::Question;
use self::parent::{Base, Parent};
use self::read_point::ReadPoint;
use crate::error::bail;
use crate::names::TableName;
use crate::postgres::catalog::{self, DatabaseRow};
use crate::postgres::connect::Client;
use crate::postgres::dump::PgDump;
use crate::postgres::history::History;
use crate::postgres::server::Server;
use crate::progress::Progress;
use crate::prune;
use crate::store::{Packs, Store};
use crate::{Error, Kind, Result, failpoint};

/// The oldest server that is read.
const OLDEST_SERVER: u32 = 130000;
/// How long read points are taken anew when definitions change under them.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many of them are told of.
const TOLD_ATTEMPTS: u32 = 3;

/// What to back up, from where, into what.
#[derive(Clone, Debug)]
pub struct BackupOptions {
    /// The cluster.
    pub from: Server,
    /// These databases only.
    pub databases: Vec<String>,
    /// These tables only.
    pub tables: Vec<TableName>,
    /// Connections that copy rows.
    pub workers: usize,
    /// Encrypts the backup.
    pub secret: Option<Secret>,
    /// The zstd level.
    pub level: i32,
    /// The longest that a database's read point may be held.
    pub read_point_limit: Duration,
    /// Build on the newest backup of the same cluster and targets, if there is one.
    pub incremental: bool,
    /// Find changes in this way; `None`: in the best that the server allows.
    pub detector: Option<Detector>,
    /// What the service notes on a backup that it takes.
    pub managed: Option<ManagedOptions>,
    /// What time it is, for tests and simulations; else the clock of this machine is asked.
    pub now: Option<Timestamp>,
    /// Asked right before the backup becomes complete, whether it still may.
    pub gate: Gate,
}

type Passing = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// What a backup asks right before its manifest is written. The service looks there whether the job
/// is still its own: whoever takes a job over finds the claim of a backup that has passed its gate,
/// and either discards it or finds it complete.
#[derive(Clone, Default)]
pub struct Gate(Option<Arc<dyn Fn() -> Passing + Send + Sync>>);

impl Gate {
    /// Lets everything pass.
    pub fn open() -> Self {
        Gate(None)
    }

    /// Calls `ask`. Its error is the backup's error, and what the backup wrote is removed.
    pub fn new<F>(ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Gate(Some(Arc::new(move || Box::pin(ask()))))
    }

    async fn pass(&self) -> Result<()> {
        match &self.0 {
            Some(ask) => ask().await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "a gate" } else { "no gate" })
    }
}

/// What the service notes on a backup that it takes. The engine decides its type, so both have
/// their time.
#[derive(Clone, Debug)]
pub struct ManagedOptions {
    /// The cluster, by its id in the service.
    pub cluster_id: String,
    /// The cluster, by its name.
    pub cluster_name: String,
    /// The plan that it is on.
    pub plan: String,
    /// The job that takes the backup.
    pub job_id: String,
    /// Until when a full backup is to be kept.
    pub full_expires_at: Option<Timestamp>,
    /// Until when an incremental backup is to be kept. `None`: no incrementals are going to be built
    /// on this backup, so it need not note what they would compare with.
    pub incremental_expires_at: Option<Timestamp>,
}

impl ManagedOptions {
    fn incrementals_follow(&self) -> bool {
        self.incremental_expires_at.is_some()
    }

    fn note(&self, incremental: bool) -> Managed {
        Managed {
            cluster_id: self.cluster_id.clone(),
            cluster_name: self.cluster_name.clone(),
            plan: self.plan.clone(),
            job_id: self.job_id.clone(),
            expires_at: match incremental {
                true => self.incremental_expires_at,
                false => self.full_expires_at,
            },
        }
    }
}

/// What time it is: by this machine, or by who knows better.
#[derive(Clone, Copy)]
struct Clock {
    begun: Instant,
    at: Option<Timestamp>,
}

impl Clock {
    fn now(&self) -> Timestamp {
        match self.at {
            Some(at) => at.saturating_add(self.begun.elapsed()).unwrap_or(at),
            None => Timestamp::now(),
        }
    }
}

/// Takes a backup. On an error or a cancel, what it wrote is removed.
pub async fn run(
    options: &BackupOptions,
    store: &Store,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Manifest> {
    let clock = Clock { begun: Instant::now(), at: options.now };
    let cluster = SourceCluster::open(options).await?;
    loop {
        let mut full_because = None;
        let mut parent = None;
        if options.incremental {
            let secret = options.secret.as_ref();
            let (source, targets) = (&cluster.source, &cluster.targets);
            let present = floor::present(&cluster.client).await?;
            match parent::find(store, source, targets, present, clock.now(), secret).await? {
                Ok(found) => parent = Some(found),
                Err(reason) => {
                    progress.note(format!("a full backup is taken: {reason}"));
                    full_because = Some(reason);
                }
            }
        }
        failpoint::pass("backup.before-claim")?;
        let folder = claim(store, parent.as_ref(), options, clock.now()).await?;
        let in_doubt = AtomicBool::new(false);
        let taken = async {
            failpoint::pass("backup.after-claim")?;
            // A prune may have come between choice and claim; after the claim, none does.
            if let Some(parent) = &parent
                && !parent.is_there(store).await?
            {
                progress.note(format!("backup {} was just pruned", parent.backup.manifest.id));
                return Ok(None);
            }
            let taking = Taking {
                folder,
                parent,
                full_because,
                clock,
                options,
                store,
                progress,
                cancel,
                in_doubt: &in_doubt,
            };
            taking.take(&cluster).await.map(Some)
        };
        match taken.await {
            Ok(Some(manifest)) => {
                // The backup is there, and its claim harms nobody.
                if let Err(error) = release(folder, store).await {
                    let id = manifest.id;
                    progress
                        .note(format!("the claim of backup {id} could not be removed: {error}"));
                }
                return Ok(manifest);
            }
            Ok(None) => remove_remains(folder, store, false).await?,
            Err(error) => {
                progress.step("removing what the failed backup wrote");
                let in_doubt = in_doubt.load(Ordering::Relaxed);
                if let Err(second) = remove_remains(folder, store, in_doubt).await {
                    progress.note(format!("some of it could not be removed: {second}"));
                }
                return Err(error);
            }
        }
    }
}

/// The cluster to read, with the targets resolved to what it has.
struct SourceCluster {
    client: Client,
    pg_dump: PgDump,
    source: Source,
    targets: Targets,
    databases: Vec<DatabaseRow>,
    omissions: Vec<Omission>,
}

impl SourceCluster {
    async fn open(options: &BackupOptions) -> Result<Self> {
        if options.workers == 0 {
            bail!(Usage, "--workers is 0; at least one connection is needed");
        }
        if !options.databases.is_empty() && !options.tables.is_empty() {
            bail!(Usage, "name databases or tables, not both: a backup holds one kind of target");
        }
        let server = &options.from;
        let client = Client::connect(server, &server.database, "strongroom backup").await?;
        let version_num = catalog::version_num(&client).await?;
        if version_num < OLDEST_SERVER {
            return Err(Error::new(
                Kind::Unsupported,
                format!("server {server} is PostgreSQL {}", version_num / 10000),
            )
            .hint("PostgreSQL 13 and later can be backed up"));
        }
        let pg_dump = PgDump::find(version_num).await?;
        let source = source(&client, version_num).await?;
        let all = catalog::databases(&client).await?;
        let (targets, wanted) = targets(options);
        let mut omissions = Vec::new();
        let mut databases = Vec::new();
        match wanted {
            None => {
                for database in all {
                    if database.accepts_connections {
                        databases.push(database);
                    } else {
                        omissions.push(Omission {
                            object: format!("database \"{}\"", database.name),
                            reason: "it does not accept connections".to_owned(),
                        });
                    }
                }
            }
            Some(names) => {
                for name in names {
                    let Some(found) = all.iter().find(|database| database.name == name) else {
                        let there: Vec<&str> = all.iter().map(|d| d.name.as_str()).collect();
                        return Err(Error::new(
                            Kind::NotFound,
                            format!("database \"{name}\" does not exist on {server}"),
                        )
                        .hint(format!("there are: {}", there.join(", "))));
                    };
                    databases.push(found.clone());
                }
            }
        }
        Ok(SourceCluster { client, pg_dump, source, targets, databases, omissions })
    }
}

/// The targets to record, and the databases they lie in (all: `None`).
fn targets(options: &BackupOptions) -> (Targets, Option<Vec<String>>) {
    let unique = |mut names: Vec<String>| {
        names.sort();
        names.dedup();
        names
    };
    if !options.databases.is_empty() {
        let names = unique(options.databases.clone());
        return (Targets::Databases(names.clone()), Some(names));
    }
    if !options.tables.is_empty() {
        let names = unique(options.tables.iter().map(TableName::to_string).collect());
        let databases = options.tables.iter().map(|name| name.database.clone()).collect();
        return (Targets::Tables(names), Some(unique(databases)));
    }
    (Targets::Cluster, None)
}

pub(crate) async fn source(client: &Client, version_num: u32) -> Result<Source> {
    let version = client.scalar("SHOW server_version").await?.unwrap_or_default();
    // Where it is not known, every backup is a full one.
    let History { system_identifier, timeline } = History::of(client).await?;
    Ok(Source {
        engine: "postgres".to_owned(),
        version: version.split(' ').next().unwrap_or_default().to_owned(),
        version_num,
        system_identifier,
        timeline,
    })
}

/// Claims the id of this moment, or the next one that is free.
async fn claim(
    store: &Store,
    parent: Option<&Parent>,
    options: &BackupOptions,
    now: Timestamp,
) -> Result<Folder> {
    let job_id = options.managed.as_ref().map(|managed| managed.job_id.clone());
    let note = Claim { started_at: now, job_id }.encode();
    let mut id = BackupId::at(now);
    for _ in 0..1000 {
        let full = Folder::of_full(id);
        let folder = parent.map_or(full, |parent| parent.child(id));
        // An id names one backup, of whatever type.
        let mut taken = false;
        for object in
            [ObjectKey::Manifest(folder), ObjectKey::Manifest(full), ObjectKey::Started(full)]
        {
            taken = taken || store.length(&object.path()).await?.is_some();
        }
        if !taken && store.create(&ObjectKey::Started(folder), note.clone()).await? {
            return Ok(folder);
        }
        id = id.next();
    }
    bail!(Busy, "no free backup id was found in {}: too many backups begin at once", store.shown())
}

/// A backup under way.
struct Taking<'a> {
    folder: Folder,
    /// The backup that it builds on.
    parent: Option<Parent>,
    full_because: Option<String>,
    clock: Clock,
    options: &'a BackupOptions,
    store: &'a Store,
    progress: &'a Progress,
    cancel: &'a CancellationToken,
    /// Set when the manifest was sent, and what became of it is not known.
    in_doubt: &'a AtomicBool,
}

impl Taking<'_> {
    async fn take(&self, cluster: &SourceCluster) -> Result<Manifest> {
        let Taking { folder, options, store, cancel, .. } = *self;
        let (key, key_id) = self.key().await?;
        let parent_packs =
            self.parent.as_ref().map(|parent| parent.backup.contents.packs.as_slice());
        let packs = Packs::after(parent_packs.unwrap_or_default());
        let mut workers = copy::Worker::crew(options, store, folder, &packs, key.as_ref())?;
        let read = self.read(cluster, &mut workers, key.as_ref()).await;
        if read.is_err() {
            for worker in &mut workers {
                worker.abort().await;
            }
        }
        let mut databases = read?;
        if cancel.is_cancelled() {
            return Err(stopped());
        }
        let roles = match cluster.targets {
            Targets::Cluster => catalog::roles(&cluster.client).await?,
            _ => Vec::new(),
        };
        let mut omissions = cluster.omissions.clone();
        if roles.iter().any(|role| role.password_unknown) {
            omissions.push(Omission {
                object: "the passwords of roles".to_owned(),
                reason: format!("role \"{}\" may not read pg_authid", options.from.user),
            });
        }
        let mut detectors: Vec<&str> =
            databases.iter().filter_map(|read| read.detector).map(Detector::name).collect();
        let lists = copy::take_lists(&mut databases);
        let databases = databases.into_iter().map(|read| read.database).collect();
        let contents = Contents { version: FORMAT_VERSION, databases, roles, packs: packs.list() };
        detectors.sort_unstable();
        detectors.dedup();
        let commit = commit::Commit {
            folder,
            parent: self.parent.as_ref().map(|parent| parent.backup.manifest.id),
            detector: Some(detectors.join(", ")).filter(|names| !names.is_empty()),
            full_because: self.full_because.clone(),
            store,
            key: key.as_ref(),
            key_id,
            targets: cluster.targets.clone(),
            source: cluster.source.clone(),
            omissions,
            managed: options.managed.as_ref().map(|it| it.note(self.parent.is_some())),
            clock: self.clock,
            gate: &options.gate,
            in_doubt: self.in_doubt,
        };
        commit.write(contents, lists).await
    }

    /// Reads all databases, one after the other, and finishes the packs.
    async fn read(
        &self,
        cluster: &SourceCluster,
        workers: &mut Vec<copy::Worker>,
        key: Option<&DataKey>,
    ) -> Result<Vec<copy::ReadDatabase>> {
        let Taking { folder, options, store, progress, cancel, .. } = *self;
        let parent_packs = self.parent.as_ref().map_or(0, |it| it.backup.contents.packs.len());
        let mut databases = Vec::new();
        for (number, row) in cluster.databases.iter().enumerate() {
            progress.step(format!("reading database {}", row.name));
            let base = match &self.parent {
                Some(parent) => parent.base(&row.name, row.oid).await?,
                None => None,
            };
            let job = DatabaseJob {
                folder,
                number,
                row,
                cluster,
                base: base.as_ref(),
                parent_packs: parent_packs as u32,
                options,
                in_chain: options.incremental
                    || options.managed.as_ref().is_some_and(ManagedOptions::incrementals_follow),
                clock: self.clock,
                store,
                key,
                progress,
                cancel,
            };
            let limit = options.read_point_limit;
            let read = tokio::time::timeout(limit, job.read(workers)).await;
            let read = read.map_err(|_| {
                let name = &row.name;
                Error::new(
                    Kind::Failed,
                    format!("database \"{name}\" was not read within {} s", limit.as_secs()),
                )
                .hint("a read point held too long harms the source; raise --read-point-limit")
            })??;
            databases.push(read);
        }
        for worker in workers {
            worker.finish().await?;
        }
        Ok(databases)
    }

    /// The key of the chain, or a new one; its envelope is stored.
    async fn key(&self) -> Result<(Option<DataKey>, Option<String>)> {
        let object = ObjectKey::EncryptionInfo(self.folder);
        if let Some(parent) = &self.parent {
            let Some(key) = parent.key() else {
                return Ok((None, None));
            };
            // The same envelope as it stands there: what opened it opens this one.
            let theirs = ObjectKey::EncryptionInfo(parent.backup.manifest.folder()).path();
            self.store.put(&object, self.store.get(&theirs).await?.to_vec()).await?;
            return Ok((Some(key.clone()), parent.backup.manifest.key_id.clone()));
        }
        let Some(secret) = &self.options.secret else {
            return Ok((None, None));
        };
        let key = DataKey::generate();
        let info = EncryptionInfo::seal(&key, secret)
            .map_err(|error| Error::stored(object.path(), error))?;
        self.store.put(&object, info.encode()).await?;
        Ok((Some(key), Some(info.key_id)))
    }
}

/// Everything that reading one database needs.
struct DatabaseJob<'a> {
    folder: Folder,
    number: usize,
    row: &'a DatabaseRow,
    cluster: &'a SourceCluster,
    /// What the parent holds of it.
    base: Option<&'a Base>,
    /// The number of packs that are not this backup's own.
    parent_packs: u32,
    /// Whether incrementals are going to be built on this backup.
    in_chain: bool,
    clock: Clock,
    options: &'a BackupOptions,
    store: &'a Store,
    key: Option<&'a DataKey>,
    progress: &'a Progress,
    cancel: &'a CancellationToken,
}

impl DatabaseJob<'_> {
    /// Reads the database, with a new read point whenever somebody changes definitions before
    /// they are locked.
    async fn read(&self, workers: &mut Vec<copy::Worker>) -> Result<copy::ReadDatabase> {
        let begun = Instant::now();
        let mut attempt = 1;
        let mut suspects = HashSet::new();
        loop {
            let tried = self.try_read(workers, &mut suspects).await;
            match tried {
                Err(error) if error.kind() == Kind::Busy && begun.elapsed() < PATIENCE => {
                    if attempt <= TOLD_ATTEMPTS {
                        self.progress.note(format!("{error}; taking a new read point"));
                    }
                    tokio::time::sleep(Duration::from_millis(100 * u64::from(attempt.min(5))))
                        .await;
                    attempt += 1;
                }
                Err(error) => {
                    return Err(error.context(format!("database \"{}\"", self.row.name)));
                }
                Ok(read) => return Ok(read),
            }
        }
    }

    async fn try_read(
        &self,
        workers: &mut Vec<copy::Worker>,
        suspects: &mut HashSet<u32>,
    ) -> Result<copy::ReadDatabase> {
        // A lock may be waited for long, and a server may not answer at all.
        let mut point = tokio::select! {
            taken = ReadPoint::take(self, workers.len(), suspects) => taken?,
            () = self.cancel.cancelled() => return Err(stopped()),
        };
        failpoint::pass("backup.after-read-point")?;
        let seen = format!("{}\t{}", self.row.name, point.snapshot);
        failpoint::show("backup.show-read-point", &seen).await;
        // Rows and definitions are read side by side; when one fails, the other need not go on.
        let stop = self.cancel.child_token();
        let defined = CancellationToken::new();
        let snapshot = point.snapshot.clone();
        let definitions = async {
            let written = tokio::select! {
                written = commit::write_schema(self, &snapshot) => written,
                () = stop.cancelled() => Err(stopped()),
            };
            match written {
                Ok(_) => defined.cancel(),
                Err(_) => stop.cancel(),
            }
            written
        };
        let rows = async {
            let latecomers = point.latecomers();
            let prepared = tokio::select! {
                prepared = self.prepare(&mut point, suspects, &defined) => prepared,
                () = stop.cancelled() => Err(stopped()),
            };
            let read = async {
                let (plan, rest) = prepared?;
                // It stops by itself, and gives the workers back.
                let copied = copy::copy(plan, latecomers, workers, self, stop.clone());
                Ok((copied.await?, rest))
            };
            let read = read.await;
            if read.is_err() {
                stop.cancel();
            }
            read
        };
        let watch = read_point::watch_waiters(self, &stop);
        let both = tokio::select! {
            both = async { tokio::join!(definitions, rows) } => both,
            never = watch => match never {},
        };
        let (schema, read) = match both {
            (Ok(schema), Ok(read)) => (schema, read),
            // One was stopped because of the other, and says less than that other one.
            (Err(error), Err(other)) if error.kind() == Kind::Cancelled => return Err(other),
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        let (copied, rest) = read;
        let Rest { sequences, extensions, filled_views, large_objects, detector } = rest;
        drop(copied.locks);
        floor::make_durable(&point.present, point.stored.lsn.as_deref()).await?;
        point.names_held(&copied.tables).await?;
        let database = Database {
            name: self.row.name.clone(),
            oid: self.row.oid,
            owner: self.row.owner.clone(),
            encoding: self.row.encoding.clone(),
            collation: self.row.collation.clone(),
            read_point: point.stored,
            schema,
            number: self.number,
            extensions,
            tables: copied.tables,
            sequences,
            filled_views,
            large_objects,
            large_object_data: copied.large_object_data,
        };
        Ok(copy::ReadDatabase { database, lists: copied.lists, detector })
    }

    /// Reads everything but definitions and rows, and waits until rows may be read.
    async fn prepare(
        &self,
        point: &mut ReadPoint,
        suspects: &mut HashSet<u32>,
        defined: &CancellationToken,
    ) -> Result<(copy::Plan, Rest)> {
        let tables = point.tables(self, suspects).await?;
        let sequences = catalog::sequences(&point.client, &point.present).await;
        let sequences = sequences.map_err(|error| match error.kind() {
            Kind::NotFound => {
                Error::new(Kind::Busy, "a sequence was dropped before it could be read")
            }
            _ => error,
        })?;
        let extensions = catalog::extensions(&point.client).await?;
        let filled_views = catalog::filled_views(&point.client).await?;
        let large_objects = match self.cluster.targets {
            Targets::Tables(_) => Vec::new(),
            _ => catalog::large_objects(&point.client).await?,
        };
        let oids: Vec<u32> = large_objects.iter().map(|object| object.oid).collect();
        let version_num = self.cluster.source.version_num;
        let parent = self.base.map(|base| &base.large_objects);
        let objects = large_objects::batches(&point.client, version_num, &oids, parent).await?;
        let question = Question {
            present: &point.present,
            means: &point.means,
            wanted: self.options.detector,
            base: self.base,
            in_chain: self.in_chain,
            timeline: self.cluster.source.timeline,
            now: &point.stored,
            tables: &tables.tables,
        };
        let (finder, detector, note) = question.answer().await?;
        if let Some(note) = note {
            self.progress.note(format!("database \"{}\": {note}", self.row.name));
        }
        // Reading in rounds lets locks go on the way; the definitions must be known by then.
        if tables.crew.iter().any(|(_, share)| !share.unlocked.is_empty()) {
            defined.cancelled().await;
        }
        let plan = copy::Plan { read: tables, finder, objects, parent_packs: self.parent_packs };
        Ok((plan, Rest { sequences, extensions, filled_views, large_objects, detector }))
    }
}

/// Everything of a database but its definitions and rows.
struct Rest {
    sequences: Vec<Sequence>,
    extensions: Vec<Extension>,
    filled_views: Vec<u32>,
    large_objects: Vec<LargeObject>,
    detector: Option<Detector>,
}

fn stopped() -> Error {
    Error::new(Kind::Cancelled, "the backup was stopped")
}

/// Removes the claim of a backup that is complete.
async fn release(folder: Folder, store: &Store) -> Result<()> {
    failpoint::pass("backup.before-release")?;
    store.delete(&ObjectKey::Started(folder).path()).await
}

/// Removes the objects of a backup that has no manifest. `in_doubt`: one was sent, and may arrive yet.
async fn remove_remains(folder: Folder, store: &Store, in_doubt: bool) -> Result<()> {
    let (claim, manifest) = (ObjectKey::Started(folder).path(), ObjectKey::Manifest(folder).path());
    if in_doubt {
        // A request that was given up is not a request that is gone. With something in its place the
        // manifest can not come after what it names was deleted. If that can not be put there, all of
        // it stays: whatever comes of it is complete, or found by a prune.
        prune::bury_the_dead(store, folder).await?;
    }
    if let Some(found) = store.find(&manifest).await?
        && !matches!(Manifest::find(&found, folder), Ok(Found::Pruned(_)))
    {
        // It was committed after all: only the claim is left over.
        return store.delete(&claim).await;
    }
    // The claim goes last: without it, what is left would look like a backup that lost its manifest.
    // A tombstone belongs to the prune that put it there.
    for path in store.objects_in(&folder.to_string()).await? {
        if path != claim && path != manifest {
            store.delete(&path).await?;
        }
    }
    store.delete(&claim).await
}
