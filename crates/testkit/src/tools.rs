//! Running the `strongroom` program as a user would, but with none of the developer's own environment.
//!
//! A `PGHOST` or `AWS_PROFILE` left over in somebody's shell must not decide what a test proves, so whatever
//! the program reads from the environment is removed first. No run may last for ever either: a test of a
//! store that never answers is to fail, not to hang.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Cluster;

/// One run of the program, to be put together and started.
#[derive(Debug)]
pub struct Strongroom {
    command: Command,
    stdin: Option<String>,
    timeout: Duration,
}

impl Strongroom {
    /// A run of the program at this path, usually `env!("CARGO_BIN_EXE_strongroom")`, in a clean environment
    /// and without input.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let mut command = Command::new(program.into());
        for (name, _) in std::env::vars_os() {
            let read_by_us = ["PG", "AWS_", "STRONGROOM_", "FAILPOINTS", "RUST_LOG"];
            if read_by_us.iter().any(|start| name.to_string_lossy().starts_with(start)) {
                command.env_remove(name);
            }
        }
        // No pass file or other settings from a home, and nothing that depends on the terminal.
        command.env("HOME", "/nonexistent").env("NO_COLOR", "1").env("COLUMNS", "120");
        Self { command, stdin: None, timeout: Duration::from_secs(180) }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Lets the program find the PostgreSQL programs of this cluster's version, such as a `pg_dump` that is new
    /// enough, besides those that are packaged.
    pub fn programs_of(self, cluster: &Cluster) -> Self {
        self.env("STRONGROOM_PG_BINDIR", cluster.bin_dir())
    }

    /// Arms failpoints, as the `fail` crate reads them: `name=action;name=action`.
    pub fn failpoints(self, failpoints: &str) -> Self {
        self.env("FAILPOINTS", failpoints)
    }

    /// Runs in this directory.
    pub fn current_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.command.current_dir(dir.into());
        self
    }

    /// Gives this text as the standard input.
    pub fn stdin(mut self, text: &str) -> Self {
        self.stdin = Some(text.to_owned());
        self
    }

    /// Allows the run so long before it is killed and the test fails; three minutes by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs to the end.
    #[track_caller]
    pub fn run(self) -> Output {
        self.spawn().wait()
    }

    /// Runs to the end, which must be a success.
    #[track_caller]
    pub fn expect_ok(self) -> Output {
        self.expect_code(0)
    }

    /// Runs to the end, which must be a failure with this exit code.
    #[track_caller]
    pub fn expect_fail(self, code: i32) -> Output {
        assert_ne!(code, 0, "exit code 0 is no failure");
        self.expect_code(code)
    }

    #[track_caller]
    fn expect_code(self, code: i32) -> Output {
        let command = format!("{:?}", self.command);
        let output = self.run();
        assert!(
            output.code == Some(code),
            "expected exit code {code} of {command}, got {:?}\n--- stdout\n{}\n--- stderr\n{}",
            output.code,
            output.stdout,
            output.stderr
        );
        output
    }

    /// Starts the program and does not wait for it.
    #[track_caller]
    pub fn spawn(mut self) -> Running {
        let input = if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = self
            .command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} cannot be run: {error}", self.command));
        if let (Some(mut stdin), Some(text)) = (child.stdin.take(), self.stdin) {
            // A program that ends without reading its input is no error of the test.
            thread::spawn(move || stdin.write_all(text.as_bytes()));
        }
        Running {
            stdout: collect(child.stdout.take().unwrap()),
            stderr: collect(child.stderr.take().unwrap()),
            started: Instant::now(),
            timeout: self.timeout,
            child,
        }
    }
}

/// A run that has been started. Dropped without being waited for, it is killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Collected,
    stderr: Collected,
    started: Instant,
    timeout: Duration,
}

impl Running {
    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the program has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What the program has written to the standard error output so far.
    pub fn stderr_so_far(&self) -> String {
        self.stderr.so_far()
    }

    /// Kills the program with SIGKILL, which it cannot answer, and returns what it had written.
    #[track_caller]
    pub fn kill(mut self) -> Output {
        self.child.kill().unwrap();
        self.wait()
    }

    /// Interrupts the program with SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    /// Sends the program a signal by name, such as `TERM`.
    pub fn signal(&self, signal: &str) {
        // The shell's own `kill`, as the program of that name is not on every machine.
        let command = format!("kill -{signal} {}", self.id());
        let status = Command::new("sh").args(["-c", &command]).status().unwrap();
        assert!(status.success(), "{command}: {status}");
    }

    /// Waits for the end of the program.
    ///
    /// # Panics
    /// When it takes longer than the run's timeout; the program is then killed.
    #[track_caller]
    pub fn wait(mut self) -> Output {
        let mut timed_out = false;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.started.elapsed() > self.timeout && !timed_out {
                timed_out = true;
                self.child.kill().unwrap();
            }
            thread::sleep(Duration::from_millis(5));
        };
        let output = Output {
            code: status.code(),
            duration: self.started.elapsed(),
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
        };
        assert!(!timed_out, "no end within {:?}: {output:#?}", self.timeout);
        output
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a run has left.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code; none when a signal ended the program.
    pub code: Option<i32>,
    /// The standard output.
    pub stdout: String,
    /// The standard error output.
    pub stderr: String,
    /// How long the run took.
    pub duration: Duration,
}

impl Output {
    /// The standard output as JSON.
    ///
    /// # Panics
    /// With the output when it is something else.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// What has been read of a pipe, and the thread that reads on.
#[derive(Debug)]
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

/// Reads a pipe beside the run, so that the program never waits for room in it.
fn collect(mut pipe: impl Read + Send + 'static) -> Collected {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let read = Arc::clone(&bytes);
    let reader = thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            read.lock().unwrap().extend_from_slice(&buffer[..length]);
        }
    });
    Collected { bytes, reader }
}

impl Collected {
    /// What the program has written. A program that was killed may leave a child with the pipe still open, so the
    /// pipe's end is awaited for a short time only.
    fn text(&self) -> String {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.reader.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        self.so_far()
    }

    /// What has been read by now.
    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }
}
