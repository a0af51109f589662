//! `strongroom serve`: the service, in one process.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use strongroom_catalog::{Address, Catalog, KeySource, Secret, SystemClock};
use strongroom_controlplane::alerts::{Channels, Email, Webhook};
use strongroom_controlplane::{App, Config, Scheduler, generated_password, jobs::Worker};
use strongroom_dataplane::{CancellationToken, Error, Kind, Result};
use tokio::net::TcpListener;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::args::duration;
use crate::signals::on_signals;

/// Holds the password of the administrator that the first start makes.
const ADMIN_PASSWORD: &str = "STRONGROOM_ADMIN_PASSWORD";
/// The file in the data directory with that password, where it was made up.
const ADMIN_PASSWORD_FILE: &str = "admin-password";
/// How long requests under way may take to end when the service is stopped.
const FAREWELL: Duration = Duration::from_secs(10);

/// Where the service keeps what it knows.
#[derive(Debug, Args)]
pub(crate) struct CatalogArgs {
    /// The folder of the service's own files; made if it does not exist
    #[arg(long, value_name = "DIR", env = "STRONGROOM_DATA_DIR")]
    pub(crate) data_dir: PathBuf,

    /// The catalog: postgresql://... where several replicas share it [default: a file in DIR]
    #[arg(long, value_name = "ADDRESS", env = "STRONGROOM_CATALOG", hide_env_values = true)]
    catalog: Option<String>,

    /// The key that secrets in the catalog are sealed with [default: master.key in DIR]
    #[arg(long, value_name = "FILE", env = "STRONGROOM_MASTER_KEY_FILE")]
    master_key_file: Option<PathBuf>,
}

impl CatalogArgs {
    /// Opens the catalog; makes the folder, the catalog and the key where there are none.
    pub(crate) async fn open(&self, clock: Arc<dyn strongroom_catalog::Clock>) -> Result<Catalog> {
        let folder = &self.data_dir;
        make_private(folder).map_err(|error| {
            Error::new(Kind::Failed, format!("the data directory {}: {error}", folder.display()))
                .hint("name a folder that this user may write to, by --data-dir")
        })?;
        let default = folder.join("catalog.db").display().to_string();
        let address: Address =
            self.catalog.as_deref().unwrap_or(&default).parse().map_err(catalog_error)?;
        let key = KeySource::File(self.key_file());
        Catalog::open(&address, key, clock).await.map_err(catalog_error)
    }

    /// The file with the master key.
    pub(crate) fn key_file(&self) -> PathBuf {
        let default = || self.data_dir.join("master.key");
        self.master_key_file.clone().unwrap_or_else(default)
    }
}

/// Makes a folder that nobody else may read.
fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The catalog's error, as the command line tells it.
pub(crate) fn catalog_error(error: strongroom_catalog::CatalogError) -> Error {
    let kind = if error.may_pass() { Kind::Unreachable } else { Kind::Failed };
    let told = Error::new(kind, error.to_string());
    match error.hint() {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

/// The control plane's error, as the command line tells it.
pub(crate) fn service_error(error: strongroom_controlplane::Error) -> Error {
    let kind = if error.may_pass() { Kind::Unreachable } else { Kind::Failed };
    let told = Error::new(kind, error.message());
    match error.hint_text() {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// Lines for people.
    Text,
    /// An object per line.
    Json,
}

/// Serve the console and the API, and take backups as scheduled
#[derive(Debug, Args)]
#[command(after_help = "\
An empty folder is enough to start. Logs go to the standard error output; STRONGROOM_LOG sets what
is logged, such as info or strongroom_controlplane=debug.

Examples:
  strongroom serve --data-dir /var/lib/strongroom
  strongroom serve --data-dir /var/lib/strongroom --listen 0.0.0.0:8080 \\
      --catalog postgresql://strongroom@db/strongroom --master-key-file /etc/strongroom/master.key")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    catalog: CatalogArgs,

    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Jobs at the same time; there is one more worker, for restores and alerts only
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(0..=256))]
    job_workers: u16,

    /// After how long a job of a replica that says nothing is taken over by another
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    lease: Duration,

    /// How long the objects of an expired or interrupted backup stay
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    grace: Duration,

    /// The address of the Org Administrator that is made where there is no user yet. The password is
    /// taken from STRONGROOM_ADMIN_PASSWORD, or made up and written to admin-password in DIR
    #[arg(long, value_name = "E-MAIL", default_value = "admin@localhost")]
    admin_email: String,

    /// Requests per second that each user and service account may make; 0: as many as they like
    #[arg(long, value_name = "N", default_value = "10")]
    requests_per_second: u32,

    /// Requests come through a proxy: believe the last address in its X-Forwarded-For
    #[arg(long)]
    behind_proxy: bool,

    #[command(flatten)]
    alerts: AlertArgs,

    /// The form of the log
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
}

/// Whom to tell of failures.
#[derive(Debug, Args)]
struct AlertArgs {
    /// Failures, and backups that are missing, are sent here as JSON
    #[arg(long, value_name = "URL", env = "STRONGROOM_ALERT_WEBHOOK", hide_env_values = true)]
    alert_webhook: Option<String>,

    /// What those messages are signed with
    #[arg(
        long,
        value_name = "SECRET",
        env = "STRONGROOM_ALERT_WEBHOOK_SECRET",
        hide_env_values = true,
        requires = "alert_webhook"
    )]
    alert_webhook_secret: Option<String>,

    /// They are mailed to these addresses, separated by commas
    #[arg(
        long,
        value_name = "ADDRESSES",
        env = "STRONGROOM_ALERT_EMAIL_TO",
        requires = "smtp_url"
    )]
    alert_email_to: Option<String>,

    /// Who those mails are from
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "STRONGROOM_ALERT_EMAIL_FROM",
        default_value = "Strongroom <strongroom@localhost>"
    )]
    alert_email_from: String,

    /// The mail server: smtps://user:password@host:465, or smtp://host:25
    #[arg(long, value_name = "URL", env = "STRONGROOM_SMTP_URL", hide_env_values = true)]
    smtp_url: Option<String>,
}

impl AlertArgs {
    fn channels(self) -> Result<Channels> {
        let secret = self.alert_webhook_secret.map(Secret::new);
        let webhook = self.alert_webhook.map(|url| Webhook { url: Secret::new(url), secret });
        let email = match (self.smtp_url, self.alert_email_to) {
            (Some(server), Some(to)) => {
                let made = Email::new(Secret::new(server), &self.alert_email_from, &to);
                let usage = |error: strongroom_controlplane::Error| {
                    Error::new(Kind::Usage, error.full_text())
                };
                Some(made.map_err(usage)?)
            }
            _ => None,
        };
        Ok(Channels { webhook, email })
    }
}

impl ServeArgs {
    pub(crate) async fn run(self) -> Result<String> {
        log_to_stderr(self.log_format);
        let catalog = self.catalog.open(Arc::new(SystemClock)).await?;
        let mut config = Config::new(&self.catalog.data_dir);
        config.workers = self.job_workers.into();
        config.lease = self.lease.try_into().unwrap_or(config.lease);
        config.grace = self.grace;
        config.requests_per_second = NonZeroU32::new(self.requests_per_second);
        config.behind_proxy = self.behind_proxy;
        config.alerts = self.alerts.channels()?;
        let app = App::start(catalog.clone(), config).await.map_err(service_error)?;
        first_administrator(&app, &self.admin_email).await?;

        let failed = |error: std::io::Error| {
            Error::new(Kind::Failed, format!("can not listen on {}: {error}", self.listen))
                .hint("choose another address with --listen")
        };
        let listener = TcpListener::bind(self.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let end = CancellationToken::new();
        on_signals(
            end.clone(),
            || info!("stopping: jobs undo what they can, and are given back"),
            || warn!("stopped at once; jobs are taken over when their leases are over"),
        )
        .map_err(|error| Error::new(Kind::Failed, format!("signals can not be caught: {error}")))?;
        let mut jobs = tokio::task::JoinSet::new();
        for number in 0..app.config().workers {
            let (worker, end) = (Worker::new(app.clone(), number), end.clone());
            jobs.spawn(async move { worker.run(&end).await });
        }
        if app.config().workers > 0 {
            let (worker, end) = (Worker::in_reserve(app.clone()), end.clone());
            jobs.spawn(async move { worker.run(&end).await });
        }
        let (scheduler, ending) = (Scheduler::new(app.clone()), end.clone());
        jobs.spawn(async move { scheduler.run(&ending).await });
        info!(address = %address, "listening on http://{address}");

        let router = strongroom_api::router(app);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let served = answer_requests(listener, service, &end).await;
        end.cancel();
        while jobs.join_next().await.is_some() {}
        catalog.close().await;
        served.map_err(failed)?;
        info!("stopped");
        Ok(String::new())
    }
}

/// Makes somebody who can sign in, where there is nobody. A password that is made up goes into a file
/// that nobody else may read, and before it is used: logs are copied, and kept by others.
async fn first_administrator(app: &App, email: &str) -> Result<()> {
    let file = app.config().data_dir.join(ADMIN_PASSWORD_FILE);
    if app.has_users().await.map_err(service_error)? {
        if file.exists() {
            let file = file.display();
            warn!(%file, "the first administrator's first password still lies here: remove the file");
        }
        return Ok(());
    }
    let given = std::env::var(ADMIN_PASSWORD).ok().filter(|password| !password.is_empty());
    let made_up = given.is_none();
    let password = match given {
        Some(password) => Secret::new(password),
        None => password_in(&file).map_err(|error| {
            Error::new(Kind::Failed, format!("the password file {}: {error}", file.display()))
                .hint(format!("mend or remove it, or give a password by {ADMIN_PASSWORD}"))
        })?,
    };
    let made = app.ensure_administrator(email, password.clone()).await.map_err(service_error)?;
    match made {
        Some(user) if made_up => warn!(
            email = user.email,
            file = %file.display(),
            "made the first administrator, with the password in this file: sign in, change it, and \
             remove the file"
        ),
        Some(user) => info!(email = user.email, "made the first administrator"),
        // Another replica was first: with the same password, if it has the same folder.
        None if made_up => {
            let opens = app.catalog().check_password(email, password).await;
            if opens.map_err(catalog_error)?.is_none() {
                std::fs::remove_file(&file).map_err(|error| {
                    Error::new(Kind::Failed, format!("removing {}: {error}", file.display()))
                })?;
            }
        }
        None => {}
    }
    Ok(())
}

/// The password in `file`. Where there is no file, one is made with a new password: as a whole or not at
/// all, and of those who make it at once all get the same.
fn password_in(file: &Path) -> std::io::Result<Secret> {
    let folder = file.parent().unwrap_or(Path::new("."));
    // Readable for its owner only, as all files of this kind.
    let mut made = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(made, "{}", generated_password().expose())?;
    made.as_file().sync_all()?;
    match made.persist_noclobber(file) {
        Ok(_) => {}
        Err(refused) if refused.error.kind() == ErrorKind::AlreadyExists => {}
        Err(refused) => return Err(refused.error),
    }
    let password = Secret::new(std::fs::read_to_string(file)?.trim().to_owned());
    match password.expose() {
        "" => Err(std::io::Error::new(ErrorKind::InvalidData, "it is empty")),
        _ => Ok(password),
    }
}

/// Serves until `end` is rung, and then for as long as requests under way take, but not for ever: a
/// browser that follows a job's events would never hang up.
async fn answer_requests(
    listener: TcpListener,
    service: axum::extract::connect_info::IntoMakeServiceWithConnectInfo<axum::Router, SocketAddr>,
    end: &CancellationToken,
) -> std::io::Result<()> {
    let graceful = end.clone();
    let serving = axum::serve(listener, service)
        .with_graceful_shutdown(async move { graceful.cancelled().await })
        .into_future();
    tokio::select! {
        served = serving => served,
        () = async { end.cancelled().await; tokio::time::sleep(FAREWELL).await } => Ok(()),
    }
}

fn log_to_stderr(format: LogFormat) {
    let filter =
        EnvFilter::try_from_env("STRONGROOM_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => {
            log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init()
        }
        LogFormat::Json => log.json().init(),
    }
}
