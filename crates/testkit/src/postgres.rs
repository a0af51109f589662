//! A throwaway PostgreSQL cluster: made by `initdb`, reachable by TCP and by socket, gone when dropped.
//!
//! Speed matters more than its data's life, so it never waits for the disk. What it holds is compared by the
//! sibling module `postgres_contents`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::abandoned;
use crate::postgres_install::{self, Install};

const SUPERUSER: &str = "postgres";
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running PostgreSQL cluster with the superuser `postgres`, UTF-8 and locale `C`.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) install: Install,
    password: Option<String>,
    port: u16,
    server: Mutex<Option<Child>>,
    // Last, so that the server is stopped before its directory goes.
    dir: TempDir,
}

/// What can be chosen about a [`Cluster`] before it starts.
#[derive(Debug, Clone)]
pub struct ClusterBuilder {
    install: Option<Install>,
    password: Option<String>,
    settings: Vec<String>,
    initdb_args: Vec<String>,
}

impl ClusterBuilder {
    /// Asks every connection for a password (SCRAM); this is the superuser's. The default is to trust.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Adds a line to `postgresql.conf`, such as `work_mem = '1MB'`.
    pub fn setting(mut self, line: &str) -> Self {
        self.settings.push(line.to_owned());
        self
    }

    /// Adds an argument to `initdb`; a later `--encoding=` or `--locale=` wins over ours.
    pub fn initdb_arg(mut self, arg: &str) -> Self {
        self.initdb_args.push(arg.to_owned());
        self
    }

    /// Makes it with this major version.
    ///
    /// # Panics
    /// When that is not installed: `./dev setup-postgres 17` installs it.
    pub fn version(mut self, major: u32) -> Self {
        self.install = Some(Install::of_version(major));
        self
    }

    /// Uses the programs of another directory than the one found by default.
    pub fn bin_dir(mut self, bin_dir: impl Into<PathBuf>) -> Self {
        self.install = Some(Install::at(bin_dir.into()));
        self
    }

    /// Makes the cluster and returns when it answers.
    pub fn start(self) -> Cluster {
        let install = self.install.clone().unwrap_or_else(Install::find);
        let dir = abandoned::new_server_dir(&install);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        if let Some((uid, gid)) = postgres_install::server_user() {
            chown(dir.path(), Some(uid), Some(gid)).unwrap();
        }
        self.initdb(&install, dir.path());
        self.configure(dir.path());

        let mut cluster =
            Cluster { install, password: self.password, port: 0, server: Mutex::new(None), dir };
        cluster.start_on_a_free_port();
        cluster
    }

    fn initdb(&self, install: &Install, dir: &Path) {
        let mut initdb = install.server("initdb");
        initdb.args(["--no-sync", "--encoding=UTF8", "--locale=C"]);
        initdb.args(["--username", SUPERUSER, "--pgdata"]).arg(abandoned::data_dir(dir));
        match &self.password {
            None => initdb.arg("--auth=trust"),
            Some(password) => {
                let file = dir.join("superuser-password");
                fs::write(&file, format!("{password}\n")).unwrap();
                initdb.arg("--auth=scram-sha-256").arg("--pwfile").arg(file)
            }
        };
        run(initdb.args(&self.initdb_args), None).unwrap_or_else(|error| panic!("initdb: {error}"));
    }

    fn configure(&self, dir: &Path) {
        let mut lines = format!(
            "listen_addresses = '127.0.0.1'\n\
             unix_socket_directories = '{}'\n\
             max_connections = 150\n\
             fsync = off\n\
             synchronous_commit = off\n\
             full_page_writes = off\n\
             timezone = 'UTC'\n\
             log_timezone = 'UTC'\n",
            dir.display()
        );
        for line in &self.settings {
            writeln!(lines, "{line}").unwrap();
        }
        let mut file = File::options()
            .append(true)
            .open(abandoned::data_dir(dir).join("postgresql.conf"))
            .unwrap();
        file.write_all(lines.as_bytes()).unwrap();
    }
}

impl Cluster {
    /// A cluster with the default choices.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A cluster to be made with other choices.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder {
            install: None,
            password: None,
            settings: Vec::new(),
            initdb_args: Vec::new(),
        }
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of the Unix socket.
    pub fn socket_dir(&self) -> &Path {
        self.dir.path()
    }

    /// The cluster's data directory, for tests that look at or damage its files.
    pub fn data_dir(&self) -> PathBuf {
        abandoned::data_dir(self.dir.path())
    }

    /// The major version of PostgreSQL.
    pub fn version(&self) -> u32 {
        self.install.major()
    }

    /// The directory of the PostgreSQL programs that this cluster was made with.
    pub fn bin_dir(&self) -> &Path {
        self.install.bin_dir()
    }

    /// A URL over TCP, as the superuser.
    pub fn url(&self, database: &str) -> String {
        self.url_at(self.port, database)
    }

    /// As [`Cluster::url`], through another port: that of a [`crate::Proxy`] in front of this cluster.
    pub fn url_at(&self, port: u16, database: &str) -> String {
        self.url_as(SUPERUSER, self.password.as_deref(), port, database)
    }

    /// A URL over TCP as another user.
    pub fn user_url(&self, user: &str, password: Option<&str>, database: &str) -> String {
        self.url_as(user, password, self.port, database)
    }

    fn url_as(&self, user: &str, password: Option<&str>, port: u16, database: &str) -> String {
        let password = password.map(|password| format!(":{}", percent_encode(password)));
        format!(
            "postgresql://{}{}@127.0.0.1:{port}/{}",
            percent_encode(user),
            password.unwrap_or_default(),
            percent_encode(database)
        )
    }

    /// A URL over the Unix socket, as the superuser; with a password cluster, `PGPASSWORD` must hold it.
    pub fn socket_url(&self, database: &str) -> String {
        format!(
            "postgresql:///{}?host={}&port={}&user={SUPERUSER}",
            percent_encode(database),
            percent_encode(self.dir.path().to_str().expect("a temporary path in UTF-8")),
            self.port
        )
    }

    /// Runs SQL as the superuser and returns what it printed: unaligned, fields separated by `|`.
    ///
    /// # Panics
    /// With the server's message when a statement fails.
    #[track_caller]
    pub fn psql(&self, database: &str, sql: &str) -> String {
        match self.try_psql(database, sql) {
            Ok(printed) => printed,
            Err(error) => panic!("psql in {database}: {error}"),
        }
    }

    /// Runs SQL as the superuser and returns what it printed, or what `psql` said about its failure.
    pub fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let printed = run(&mut self.psql_command(database), Some(sql))?;
        Ok(printed.strip_suffix('\n').unwrap_or(&printed).to_owned())
    }

    /// Runs a file of SQL, `psql` commands included.
    ///
    /// # Panics
    /// With the server's message when a statement fails.
    #[track_caller]
    pub fn run_file(&self, database: &str, path: impl AsRef<Path>) -> String {
        let path = path.as_ref();
        let mut psql = self.psql_command(database);
        run(psql.arg("-f").arg(path), None)
            .unwrap_or_else(|error| panic!("psql in {database}, {}: {error}", path.display()))
    }

    fn psql_command(&self, database: &str) -> Command {
        let mut psql = self.client("psql", database);
        psql.args(["-qAtX", "-v", "ON_ERROR_STOP=1"]);
        psql
    }

    /// One of PostgreSQL's client programs, ready to connect to this cluster as the superuser. The database is
    /// given in the environment, so any arguments may follow.
    pub fn client(&self, program: &str, database: &str) -> Command {
        let mut command = self.install.client(program);
        command
            .env("PGHOST", self.dir.path())
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", SUPERUSER)
            .env("PGDATABASE", database)
            .env("PGCLIENTENCODING", "UTF8");
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password);
        }
        command
    }

    /// Creates an empty database from `template0`.
    pub fn create_database(&self, name: &str) {
        let name = name.replace('"', "\"\"");
        self.psql(SUPERUSER, &format!("CREATE DATABASE \"{name}\" TEMPLATE template0"));
    }

    /// The names of all databases but the templates, sorted.
    pub fn databases(&self) -> Vec<String> {
        let names = "SELECT coalesce(json_agg(datname ORDER BY datname COLLATE \"C\"), '[]')
                     FROM pg_database WHERE NOT datistemplate";
        serde_json::from_str(&self.psql("template1", names)).expect("a JSON array of names")
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        fs::read(self.log_path())
            .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// Stops the server at once, as a crash would. The data stays until the cluster is dropped.
    pub fn stop(&self) {
        let server = self.server.lock().unwrap().take();
        if let Some(mut server) = server {
            self.install.stop(&self.data_dir());
            // Only what pg_ctl could not stop is still there to be killed.
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Starts the server again after [`Cluster::stop`], or stops and starts it, on the same port.
    ///
    /// # Panics
    /// When the port has been taken meanwhile, or the server does not start.
    pub fn restart(&self) {
        self.stop();
        if let Err(log) = self.start_server(self.port) {
            panic!("PostgreSQL did not start again: {log}");
        }
    }

    fn start_on_a_free_port(&mut self) {
        const ATTEMPTS: usize = 20;
        for attempt in 1..=ATTEMPTS {
            self.port = free_port();
            match self.start_server(self.port) {
                Ok(()) => return,
                // Between our asking for a free port and the server's use of it, another process may be faster.
                Err(log) if log.contains("Address already in use") && attempt < ATTEMPTS => {}
                Err(log) => panic!("PostgreSQL did not start: {log}"),
            }
        }
    }

    /// Starts the server and waits until it answers, or returns its log when it gave up.
    fn start_server(&self, port: u16) -> Result<(), String> {
        let log = File::create(self.log_path()).unwrap();
        let mut server = self
            .install
            .server("postgres")
            .arg("-D")
            .arg(self.data_dir())
            .arg("-p")
            .arg(port.to_string())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("postgres cannot be run: {error}"));

        let started = Instant::now();
        loop {
            if server.try_wait().unwrap().is_some() {
                return Err(self.log());
            }
            // Asked through the socket in our own directory, so that no other server can answer for ours.
            let mut ready = self.client("pg_isready", SUPERUSER);
            if ready.args(["--quiet", "-p"]).arg(port.to_string()).status().unwrap().success() {
                *self.server.lock().unwrap() = Some(server);
                return Ok(());
            }
            if started.elapsed() > START_TIMEOUT {
                let _ = server.kill();
                let _ = server.wait();
                return Err(format!("no answer within {START_TIMEOUT:?}; {}", self.log()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free TCP port");
    listener.local_addr().unwrap().port()
}

/// Runs a program to its end: its output, or its error output when it fails.
pub(crate) fn run(command: &mut Command, stdin: Option<&str>) -> Result<String, String> {
    if stdin.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| {
            format!("{} cannot be run: {error}", command.get_program().display())
        })?;

    let input = child.stdin.take();
    let output = std::thread::scope(|scope| {
        if let (Some(mut input), Some(text)) = (input, stdin) {
            // Written beside the reading, else both sides could wait for each other on full pipes. A program
            // that stops early closes its end; its exit code then says why.
            scope.spawn(move || {
                let _ = input.write_all(text.as_bytes());
            });
        }
        child.wait_with_output()
    })
    .map_err(|error| error.to_string())?;

    if output.status.success() {
        String::from_utf8(output.stdout).map_err(|error| format!("output is not UTF-8: {error}"))
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Encodes all but the characters that are safe everywhere in a URL.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => write!(encoded, "%{byte:02X}").unwrap(),
        }
    }
    encoded
}
