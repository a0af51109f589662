"""Measures Strongroom beside its peers on one throwaway PostgreSQL cluster.

Full backup:       strongroom, pg_dump -Fd -j2 (default compression), the same with -Z0, and pgBackRest (zst level 1,
                   2 processes).
Database restore:  strongroom and pg_restore -j2, each into a new database; rows, indexes and constraints are then
                   compared with the source.
Table restore:     strongroom alone; what counts is that it reads the table's own bytes only.

All of it happens in one run on one machine. In each round every tool runs once, and the order turns by one place from
round to round, so that no tool always follows the same neighbour. A figure is the median of the rounds. The operating
system's cache is not dropped: all inputs are read once before a phase, so every tool reads from memory. Before each
timed run the server checkpoints and the file systems are flushed, so no run pays for what an earlier one wrote.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import pwd
import re
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, ClassVar

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

MIB = 1 << 20
WORKERS = "2"
DATABASE = "bench"
RESTORED = "bench_r"
MEMORY_LIMIT_MIB = 200
PHASES = ("backup", "restore", "table")

CALM_SHARE = 0.10
"""A machine is calm if less than this share of its cores is busy while we do nothing."""
NOISY_SHARE = 0.15
"""A run was disturbed if others used more than this share of the cores meanwhile."""
CALM_ATTEMPTS = 4

STRONGROOM = "strongroom"
PG_DUMP = "pg_dump -Fd -j2"
PG_DUMP_PLAIN = "pg_dump -Fd -j2 -Z0"
PGBACKREST = "pgBackRest full"
PG_RESTORE = "pg_restore -j2"


class BenchError(Exception):
    """The benchmark cannot go on; the message says why."""


def say(message: str) -> None:
    """Prints one line of progress."""
    print(f"bench: {message}", file=sys.stderr, flush=True)


# --- measuring a process ---------------------------------------------------------------------------------------------


@dataclass
class Run:
    """What one timed run of one tool cost."""

    wall_s: float
    cpu_s: float
    """User and system time of the tool and of the processes it started (wait4)."""
    server_cpu_s: float
    """User and system time of the PostgreSQL server meanwhile."""
    others_share: float
    """Share of the machine's cores that was busy with neither: a noisy run shows here."""
    rss_process_mib: float
    """Peak memory of the largest single process."""
    rss_tree_mib: float
    """Peak sum of the resident memory of the tool's process tree, sampled. Shared pages count once per process."""
    output_mib: float | None = None

    def peak_mib(self) -> float:
        """The larger of the exact peak of one process and the sampled peak of the tree."""
        return max(self.rss_process_mib, self.rss_tree_mib)


def proc_children(pid: int) -> list[int]:
    """The direct children of all threads of a process."""
    children: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as listing:
                children += map(int, listing.read().split())
    return children


def proc_cpu_ticks(pid: int, with_reaped: bool) -> int:
    """User and system time of a process in clock ticks; with those of its reaped children if wanted."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    times = stat.rpartition(")")[2].split()[11:15]
    return sum(map(int, times if with_reaped else times[:2]))


def proc_status_kib(pid: int, key: str) -> int:
    """A memory figure of a process, 0 once it is gone."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith(key):
                return int(line.split()[1])
    return 0


def machine_busy_s() -> float:
    """CPU time that the whole machine has spent on anything so far."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def wait_until_calm(patience_s: float) -> None:
    """Waits until the machine has been calm for a second, or for as long as we have patience."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        before = machine_busy_s()
        time.sleep(1)
        if (machine_busy_s() - before) / cores() < CALM_SHARE:
            return


class MemorySampler(threading.Thread):
    """Samples the memory of a process tree until stopped."""

    INTERVAL_S = 0.03

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._stopped = threading.Event()
        self.process_kib = 0
        self.tree_kib = 0

    def run(self) -> None:
        while not self._stopped.is_set():
            tree = [self._pid]
            for pid in tree:  # Grows while we walk it.
                tree += proc_children(pid)
            self.tree_kib = max(self.tree_kib, sum(proc_status_kib(pid, "VmRSS:") for pid in tree))
            self.process_kib = max([self.process_kib] + [proc_status_kib(pid, "VmHWM:") for pid in tree])
            self._stopped.wait(self.INTERVAL_S)

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def end_group(process: subprocess.Popen[Any]) -> None:
    """Ends a tool and all that it started: they share a process group of their own."""
    for signal_number, patience_s in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired, ChildProcessError):
            process.wait(patience_s)
            return


def identity(user: str | None) -> dict[str, Any]:
    """Popen's arguments to run as another user."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def call(
    command: Sequence[str | Path],
    env: Mapping[str, str],
    user: str | None = None,
    stdin: str = "",
) -> str:
    """Runs a command that is not timed; returns its output, or fails with what it said."""
    process = subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env=dict(env),
        start_new_session=True,
        **identity(user),
    )
    try:
        output: str
        errors: str
        output, errors = process.communicate(stdin)
    except BaseException:
        end_group(process)
        raise
    if process.returncode != 0:
        raise BenchError(f"{Path(command[0]).name} failed with {process.returncode}:\n{(errors or output).strip()}")
    return output


@dataclass
class Command:
    """One tool's work, ready to be timed."""

    words: Sequence[str | Path]
    user: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)


def measure(command: Command, server_pid: int, scratch: Path) -> tuple[Run, str]:
    """Times a command as a whole process; returns its costs and its output."""
    own_peak_kib = proc_status_kib(os.getpid(), "VmHWM:")
    tick = 1 / os.sysconf("SC_CLK_TCK")

    def server_cpu_s() -> float:
        ticks = proc_cpu_ticks(server_pid, with_reaped=True)
        return tick * (ticks + sum(proc_cpu_ticks(pid, with_reaped=False) for pid in proc_children(server_pid)))

    with open(scratch / "stdout", "w+") as stdout, open(scratch / "stderr", "w+") as stderr:
        server_before, busy_before = server_cpu_s(), machine_busy_s()
        start = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command.words],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd="/",
            env=dict(command.env),
            start_new_session=True,
            **identity(command.user),
        )
        sampler = MemorySampler(process.pid)
        sampler.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            end_group(process)
            raise
        finally:
            wall_s = time.monotonic() - start
            sampler.stop()
        process.returncode = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        time.sleep(0.2)  # The server's backends end a little later.
        server_s, busy_s, elapsed_s = (
            server_cpu_s() - server_before,
            machine_busy_s() - busy_before,
            time.monotonic() - start,
        )
        stdout.seek(0)
        stderr.seek(0)
        output, errors = stdout.read(), stderr.read()

    if process.returncode != 0:
        raise BenchError(
            f"{Path(command.words[0]).name} failed with {process.returncode}:\n{(errors or output).strip()[-2000:]}"
        )
    cpu_s = usage.ru_utime + usage.ru_stime
    # A child starts with its parent's peak on its account, so a figure below our own says nothing.
    process_kib = usage.ru_maxrss if usage.ru_maxrss > own_peak_kib else sampler.process_kib
    run = Run(
        wall_s=wall_s,
        cpu_s=cpu_s,
        server_cpu_s=server_s,
        others_share=max(0.0, busy_s - cpu_s - server_s) / (elapsed_s * cores()),
        rss_process_mib=process_kib / 1024,
        rss_tree_mib=sampler.tree_kib / 1024,
    )
    return run, output


# --- files -----------------------------------------------------------------------------------------------------------


def files_in(path: Path) -> Iterator[Path]:
    """All regular files under a path."""
    for directory, _, names in os.walk(path):
        for name in names:
            file = Path(directory, name)
            if file.is_file() and not file.is_symlink():
                yield file


def size_mib(path: Path) -> float:
    """The bytes of all files under a path, in MiB."""
    return sum(file.stat().st_size for file in files_in(path)) / MIB


def warm(path: Path) -> None:
    """Reads everything under a path once, so that it is in the operating system's cache."""
    for file in files_in(path):
        with contextlib.suppress(OSError), open(file, "rb", buffering=0) as source:
            while source.read(8 * MIB):
                pass


def remove(path: Path) -> None:
    """Removes a directory if it is there."""
    shutil.rmtree(path, ignore_errors=True)


# --- the server ------------------------------------------------------------------------------------------------------


def postgres_bin() -> Path:
    """The directory of the newest PostgreSQL server installed; PGBIN overrides."""
    if os.environ.get("PGBIN"):
        return Path(os.environ["PGBIN"])
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    found.sort(key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0))
    in_path = shutil.which("initdb")
    if found:
        return found[-1]
    if in_path:
        return Path(in_path).resolve().parent
    raise BenchError("found no PostgreSQL server; install it (apt-get install postgresql) or set PGBIN")


class Cluster:
    """A throwaway PostgreSQL cluster in a directory of its own."""

    SETTINGS: ClassVar[dict[str, str]] = {
        "shared_buffers": "512MB",
        "max_wal_size": "4GB",
        "wal_level": "replica",
        "fsync": "on",
        # A checkpoint by the clock, or autovacuum, would hit one tool and spare the next.
        "checkpoint_timeout": "1h",
        "autovacuum": "off",
        # The log of a benchmark that ran well is of no use.
        "log_checkpoints": "off",
    }

    def __init__(self, directory: Path) -> None:
        self.bin = postgres_bin()
        self.directory = directory
        self.data = directory / "data"
        self.sockets = directory / "sockets"
        self.port = 0
        self.pid = 0
        self.user = self._server_user()
        # Nobody else on the machine may use this server: a password for TCP, a closed directory for the socket.
        self._password = secrets.token_hex(16)
        self.bare_env = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        self.env = {**self.bare_env, "PGPASSWORD": self._password}

    @staticmethod
    def _server_user() -> str | None:
        """Who runs the server: PostgreSQL refuses root."""
        if os.geteuid() != 0:
            return None
        try:
            return pwd.getpwnam("postgres").pw_name
        except KeyError:
            return "nobody"

    def own(self, path: Path) -> Path:
        """Makes a directory that belongs to the server's user."""
        path.mkdir(mode=0o700, parents=True)
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(path, entry.pw_uid, entry.pw_gid)
        return path

    def start(self) -> None:
        """Creates the cluster and starts its server on a free port."""
        self.own(self.directory)
        self.own(self.sockets)
        password_file = self.directory / "password"
        password_file.touch(0o600)
        password_file.write_text(self._password + "\n")
        if self.user:
            os.chown(password_file, pwd.getpwnam(self.user).pw_uid, -1)
        self._as_server(
            *("initdb", "-D", self.data, "-U", "postgres", "--encoding=UTF8", "--locale=C.UTF-8"),
            *("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password_file}"),
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(f"port = {self.port}\nlisten_addresses = '127.0.0.1'\n")
            conf.write(f"unix_socket_directories = '{self.sockets}'\n")
            conf.writelines(f"{key} = '{value}'\n" for key, value in self.SETTINGS.items())
        self._as_server("pg_ctl", "-D", self.data, "-l", self.directory / "log", "-w", "-s", "start")
        self.pid = int((self.data / "postmaster.pid").read_text().split()[0])

    def stop(self) -> None:
        """Stops the server; its data are of no more use."""
        if (self.data / "postmaster.pid").exists():
            self._as_server("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "-s", "stop")

    def _as_server(self, program: str, *arguments: str | Path) -> None:
        # pg_ctl's server keeps our pipes open if it gets them, so it gets none.
        command = [str(self.bin / program), *map(str, arguments)]
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=self.bare_env,
                **identity(self.user),
            )
            output.seek(0)
            if done.returncode != 0:
                raise BenchError(f"{program} failed:\n{output.read().strip()}")

    def url(self, database: str) -> str:
        """The URL every tool gets; the password is in the environment."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def sql(self, database: str, script: str, **variables: object) -> str:
        """Runs SQL with psql; returns its rows, one line each, columns parted by |."""
        settings = [f"-v{name}={value}" for name, value in variables.items()]
        options = ["-XqAt", "-v", "ON_ERROR_STOP=1", *settings, "-d", self.url(database)]
        return call([self.bin / "psql", *options], self.env, stdin=script).strip()

    def settle(self) -> None:
        """Lets no later run pay for what was written before."""
        self.sql("postgres", "CHECKPOINT")
        os.sync()

    def contents(self, database: str, table: str = "%") -> str:
        """Rows and content hash of the tables with this name pattern, whatever the order of the rows."""
        return self.sql(
            database,
            """
            SELECT format('SELECT %L, count(*), sum(hashtextextended(t::text, 0)) FROM %s AS t', relname, oid::regclass)
            FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname LIKE :'pattern'
            ORDER BY relname \\gexec
            """,
            pattern=table,
        )

    def definitions(self, database: str) -> str:
        """Indexes and constraints: a restore that leaves them out would be quick and wrong."""
        return self.sql(
            database,
            """
            SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1;
            SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace ORDER BY 1;
            """,
        )


def load(cluster: Cluster, scale: int, rows: int) -> dict[str, Any]:
    """Loads the benchmark's database; returns what it holds."""
    say(f"loading pgbench scale {scale} and {rows:,} orders")
    cluster.sql("postgres", f"CREATE DATABASE {DATABASE}")
    call([cluster.bin / "pgbench", "-i", "-q", "-s", str(scale), cluster.url(DATABASE)], cluster.env)
    cluster.sql(DATABASE, (HERE / "orders.sql").read_text(), rows=rows)
    cluster.sql(DATABASE, "VACUUM ANALYZE")
    cluster.settle()
    sizes = cluster.sql(
        DATABASE,
        """
        SELECT pg_database_size(current_database()), sum(pg_table_size(oid)), sum(pg_indexes_size(oid)),
               pg_table_size('orders'), pg_indexes_size('orders')
        FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
        """,
    ).split("|")
    keys = ("database_bytes", "tables_bytes", "indexes_bytes", "orders_bytes", "orders_indexes_bytes")
    return {"pgbench_scale": scale, "orders_rows": rows, **dict(zip(keys, map(int, sizes)))}


# --- the phases ------------------------------------------------------------------------------------------------------


@dataclass
class Contender:
    """A tool in a phase: how to set up a run, what to time, and what to do after the clock has stopped."""

    name: str
    shown: str
    """The command without this machine's paths, for the report."""
    prepare: Callable[[], Command]
    after: Callable[[Run, str], None] = lambda run, output: None
    runs: list[Run] = field(default_factory=list)
    disturbed: list[Run] = field(default_factory=list)
    """Runs that were repeated, with --calm, because others kept the machine busy."""

    def median(self, figure: Callable[[Run], float | None]) -> float | None:
        """The median of a figure over the runs that have it."""
        values = [value for value in map(figure, self.runs) if value is not None]
        return statistics.median(values) if values else None


def last_object(output: str) -> dict[str, Any]:
    """The JSON object a tool printed: all of its output, or the last line that is one."""
    for text in [output, *reversed(output.strip().splitlines())]:
        with contextlib.suppress(ValueError):
            value = json.loads(text)
            if isinstance(value, dict):
                return value
    raise BenchError(f"expected a JSON object, got: {output.strip()[:300] or '(nothing)'}")


class Bench:
    """The phases over one cluster."""

    def __init__(self, cluster: Cluster, work: Path, binary: Path | None, runs: int, calm_s: float) -> None:
        self.cluster = cluster
        self.work = work
        self.binary = binary
        self.runs = runs
        self.calm_s = calm_s
        self.phases: dict[str, list[Contender]] = {}
        self.table_figures: dict[str, Any] = {}
        self.collection = work / "strongroom"
        self.dump = work / "dump"
        self.dump_plain = work / "dump-plain"
        self.pgbackrest = work / "pgbackrest"

    # Commands of the tools.

    def _strongroom(self, *arguments: str) -> Command:
        assert self.binary
        return Command([self.binary, *arguments], env=self.cluster.env)

    def _backup_by_strongroom(self) -> Command:
        remove(self.collection)
        return self._strongroom(
            *("backup", "--from", self.cluster.url("postgres"), "--into", self.collection.as_uri()),
            *("--database", DATABASE, "--workers", WORKERS, "--json"),
        )

    def _backup_by_pg_dump(self, target: Path, *options: str) -> Command:
        remove(target)
        program = self.cluster.bin / "pg_dump"
        return Command(
            [program, "-Fd", "-j", WORKERS, *options, "-f", target, self.cluster.url(DATABASE)], env=self.cluster.env
        )

    def _backup_by_pgbackrest(self) -> Command:
        remove(self.pgbackrest)
        self.cluster.own(self.pgbackrest)
        options = [
            "--no-config",
            "--stanza=bench",
            f"--pg1-path={self.cluster.data}",
            f"--pg1-port={self.cluster.port}",
            f"--pg1-socket-path={self.cluster.sockets}",
            "--pg1-user=postgres",
            f"--repo1-path={self.pgbackrest / 'repo'}",
            f"--lock-path={self.pgbackrest / 'lock'}",
            "--log-level-file=off",
            "--log-level-console=warn",
        ]
        call(["pgbackrest", *options, "stanza-create"], self.cluster.bare_env, self.cluster.user)
        # No archive is kept and the checkpoint is immediate: the clock shows copying, not waiting.
        backup = [
            "--type=full",
            "--start-fast",
            "--no-archive-check",
            "--repo1-retention-full=1",
            f"--process-max={WORKERS}",
        ]
        compression = ["--compress-type=zst", "--compress-level=1"]
        words = ["pgbackrest", *options, *backup, *compression, "backup"]
        return Command(words, user=self.cluster.user, env=self.cluster.bare_env)

    def _drop_restored(self) -> None:
        self.cluster.sql("postgres", f"DROP DATABASE IF EXISTS {RESTORED}")

    def _restore_by_strongroom(self) -> Command:
        self._drop_restored()
        return self._strongroom(
            *("restore", "database", DATABASE, "--from", "latest", "--in", self.collection.as_uri()),
            *("--to", self.cluster.url("postgres"), "--restore-to", RESTORED, "--workers", WORKERS, "--json"),
        )

    def _restore_by_pg_restore(self) -> Command:
        self._drop_restored()
        self.cluster.sql("postgres", f"CREATE DATABASE {RESTORED} TEMPLATE template0")
        program = self.cluster.bin / "pg_restore"
        return Command([program, "-j", WORKERS, "-d", self.cluster.url(RESTORED), self.dump], env=self.cluster.env)

    def _restore_table(self) -> Command:
        self.cluster.sql(DATABASE, "DROP TABLE IF EXISTS orders_copy")
        return self._strongroom(
            *("restore", "table", f"{DATABASE}.public.orders", "--from", "latest", "--in", self.collection.as_uri()),
            *("--to", self.cluster.url("postgres"), "--new-table-name", "orders_copy", "--workers", WORKERS, "--json"),
        )

    # Phases.

    def _rounds(self, phase: str, contenders: list[Contender]) -> None:
        """Runs every tool once in each round."""
        self.phases[phase] = contenders
        for turn in range(self.runs):
            first = turn % len(contenders)
            for contender in contenders[first:] + contenders[:first]:
                run = self._run(contender)
                noise = f" (others kept {run.others_share:.0%} of the cores busy)" if run.others_share > 0.1 else ""
                say(f"{phase} {turn + 1}/{self.runs}: {contender.name}: {run.wall_s:.2f} s{noise}")

    def _run(self, contender: Contender) -> Run:
        """Times one tool once; again, with --calm, if others disturbed it. The last attempt counts as it is."""
        for attempt in range(CALM_ATTEMPTS if self.calm_s else 1):
            if attempt > 0:
                contender.disturbed.append(contender.runs.pop())
                say(f"{contender.name}: {contender.disturbed[-1].wall_s:.2f} s, disturbed by others: once more")
            command = contender.prepare()
            self.cluster.settle()
            wait_until_calm(self.calm_s)
            run, output = measure(command, self.cluster.pid, self.work)
            contender.runs.append(run)
            contender.after(run, output)
            if run.others_share <= NOISY_SHARE:
                break
        return contender.runs[-1]

    def backup(self) -> None:
        """Full backup: ours, pg_dump with and without compression, pgBackRest."""

        def keep_size(path: Path) -> Callable[[Run, str], None]:
            def after(run: Run, _output: str) -> None:
                run.output_mib = size_mib(path)

            return after

        contenders = []
        if self.binary:
            shown = (
                "strongroom backup --from URL --into file://COLLECTION"
                f" --database {DATABASE} --workers {WORKERS} --json"
            )
            contenders.append(Contender(STRONGROOM, shown, self._backup_by_strongroom, keep_size(self.collection)))
        contenders += [
            Contender(
                PG_DUMP, "pg_dump -Fd -j 2 -f DIR URL", lambda: self._backup_by_pg_dump(self.dump), keep_size(self.dump)
            ),
            Contender(
                PG_DUMP_PLAIN,
                "pg_dump -Fd -j 2 -Z0 -f DIR URL",
                lambda: self._backup_by_pg_dump(self.dump_plain, "-Z0"),
                keep_size(self.dump_plain),
            ),
        ]
        if shutil.which("pgbackrest"):
            shown = (
                "pgbackrest --type=full --start-fast --no-archive-check --process-max=2"
                " --compress-type=zst --compress-level=1 backup"
            )
            contenders.append(
                Contender(PGBACKREST, shown, self._backup_by_pgbackrest, keep_size(self.pgbackrest / "repo"))
            )
        else:
            say("pgbackrest is not installed: left out")
        warm(self.cluster.data)
        self._rounds("backup", contenders)
        remove(self.dump_plain)
        remove(self.pgbackrest)

    def _have_backups(self, dump: bool) -> None:
        """Makes what a restore phase reads, untimed, where the backup phase was left out; then reads it once."""
        wanted: list[tuple[Path, Callable[[], Command]]] = []
        if self.binary:
            wanted.append((self.collection, self._backup_by_strongroom))
        if dump:
            wanted.append((self.dump, lambda: self._backup_by_pg_dump(self.dump)))
        for path, prepare in wanted:
            if not path.exists():
                command = prepare()
                call(command.words, command.env, command.user)
            warm(path)

    def restore(self) -> None:
        """Database restore: ours beside pg_restore."""
        self._have_backups(dump=True)
        source = self.cluster.contents(DATABASE), self.cluster.definitions(DATABASE)

        def check(_run: Run, _output: str) -> None:
            if (self.cluster.contents(RESTORED), self.cluster.definitions(RESTORED)) != source:
                raise BenchError(f"{RESTORED} is not equal to {DATABASE}: this restore is wrong, its time says nothing")

        contenders = []
        if self.binary:
            shown = (
                f"strongroom restore database {DATABASE} --from latest --in file://COLLECTION --to URL"
                f" --restore-to {RESTORED} --workers {WORKERS} --json"
            )
            contenders.append(Contender(STRONGROOM, shown, self._restore_by_strongroom, check))
        shown = f"pg_restore -j 2 -d URL DIR (into an empty database, made before; dump of `{PG_DUMP}`)"
        contenders.append(Contender(PG_RESTORE, shown, self._restore_by_pg_restore, check))
        self._rounds("restore", contenders)
        self._drop_restored()

    def table(self) -> None:
        """Table restore: how many bytes it reads of a backup that holds more."""
        if not self.binary:
            return
        self._have_backups(dump=False)
        words = self._strongroom("show", "latest", "--in", self.collection.as_uri(), "--json").words
        shown_backup = last_object(call(words, self.cluster.env))
        stored = [
            table.get("stored_bytes")
            for database in shown_backup.get("databases", [])
            for table in database.get("tables", [])
            if (database.get("name"), table.get("schema"), table.get("name")) == (DATABASE, "public", "orders")
        ]
        read: list[int | None] = []
        source = self.cluster.contents(DATABASE, "orders").partition("|")[2]

        def after(_run: Run, output: str) -> None:
            read.append(last_object(output).get("bytes_read"))
            if self.cluster.contents(DATABASE, "orders_copy").partition("|")[2] != source:
                raise BenchError("orders_copy is not equal to orders: this restore is wrong, its time says nothing")

        shown = (
            f"strongroom restore table {DATABASE}.public.orders --from latest --in file://COLLECTION --to URL"
            f" --new-table-name orders_copy --workers {WORKERS} --json"
        )
        self._rounds("table", [Contender(STRONGROOM, shown, self._restore_table, after)])
        self.cluster.sql(DATABASE, "DROP TABLE IF EXISTS orders_copy")
        self.table_figures = {
            "bytes_read": read,
            "table_stored_bytes": stored[0] if stored else None,
            "backup_stored_bytes": shown_backup.get("stored_bytes"),
        }

    # Verdicts.

    def verdicts(self) -> list[dict[str, Any]]:
        """The targets, each with the figure reached; only those that were measured."""
        found: list[dict[str, Any]] = []

        def add(what: str, value: float | None, limit: float, unit: str, below: bool = False) -> None:
            if value is not None:
                passed = value < limit if below else value <= limit
                sign = "below" if below else "at most"
                found.append(
                    {"what": what, "value": round(value, 3), "limit": limit, "sign": sign, "unit": unit, "pass": passed}
                )

        def ratio(phase: str, peer: str, limit: float, below: bool = False) -> None:
            by_name = {contender.name: contender for contender in self.phases.get(phase, [])}
            if STRONGROOM in by_name and peer in by_name:
                ours, theirs = (by_name[name].median(lambda run: run.wall_s) for name in (STRONGROOM, peer))
                assert ours and theirs
                add(f"{phase}: time / {peer}", ours / theirs, limit, "x", below)

        ratio("backup", PG_DUMP, 0.30)
        ratio("backup", PG_DUMP_PLAIN, 0.75)
        ratio("backup", PGBACKREST, 1.0, below=True)
        ratio("restore", PG_RESTORE, 0.60)
        figures = self.table_figures
        if figures.get("table_stored_bytes") and all(figures["bytes_read"]):
            # The small rest is what says where the table's segments are.
            add(
                "table: bytes read / table's stored bytes",
                max(figures["bytes_read"]) / figures["table_stored_bytes"],
                1.05,
                "x",
            )
        for phase, contenders in self.phases.items():
            for contender in contenders:
                if contender.name == STRONGROOM:
                    add(
                        f"{phase}: peak memory", max(run.peak_mib() for run in contender.runs), MEMORY_LIMIT_MIB, " MiB"
                    )
        return found


# --- provenance ------------------------------------------------------------------------------------------------------


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0))


def first_match(path: str, pattern: str) -> str | None:
    """The first group of a pattern in a file."""
    with contextlib.suppress(OSError):
        match = re.search(pattern, Path(path).read_text(), re.MULTILINE)
        if match:
            return match.group(1).strip()
    return None


def version_of(*command: str | Path) -> str | None:
    """What a command prints about its version, None where it cannot say."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        output = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout
        return output.strip().splitlines()[0] if output.strip() else None
    return None


def file_system(path: Path) -> str | None:
    """The type of the file system under a path."""
    with contextlib.suppress(OSError):
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
        under = [(len(point), kind) for point, kind in mounts if path.is_relative_to(point)]
        return max(under)[1] if under else None
    return None


def provenance(cluster: Cluster, work: Path, binary: Path | None) -> dict[str, Any]:
    """Where the figures come from."""
    memory_kib = first_match("/proc/meminfo", r"^MemTotal:\s+(\d+)")
    changed = version_of("git", "-C", ROOT, "status", "--porcelain")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "git_commit": version_of("git", "-C", ROOT, "rev-parse", "--verify", "-q", "HEAD"),
        "git_dirty": changed is not None,
        "cpu": first_match("/proc/cpuinfo", r"^model name\s*:\s*(.+)$") or platform.machine(),
        "cores": cores(),
        "memory_gib": round(int(memory_kib) / MIB, 1) if memory_kib else None,
        "kernel": f"{platform.system()} {platform.release()}",
        "os": first_match("/etc/os-release", r'^PRETTY_NAME="?([^"\n]+)'),
        "file_system": file_system(work),
        "postgresql": version_of(cluster.bin / "postgres", "--version"),
        "postgresql_settings": Cluster.SETTINGS,
        "tools": {
            "strongroom": version_of(binary, "--version") if binary else None,
            "pg_dump": version_of(cluster.bin / "pg_dump", "--version"),
            "pg_restore": version_of(cluster.bin / "pg_restore", "--version"),
            "pgbackrest": version_of("pgbackrest", "version"),
            "python": platform.python_version(),
        },
        "load_average_at_start": os.getloadavg()[0],
    }


# --- the report ------------------------------------------------------------------------------------------------------

TITLES = {"backup": "Full backup", "restore": "Database restore", "table": "Table restore (orders)"}
FIGURES: list[tuple[str, Callable[[Run], float | None], str]] = [
    ("wall s", lambda run: run.wall_s, ".2f"),
    ("CPU s", lambda run: run.cpu_s, ".2f"),
    ("server CPU s", lambda run: run.server_cpu_s, ".2f"),
    ("peak MiB", lambda run: run.rss_process_mib, ".0f"),
    ("tree MiB", lambda run: run.rss_tree_mib, ".0f"),
    ("output MiB", lambda run: run.output_mib, ".0f"),
]


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints columns of equal width, the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, *rows]:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  " + "  ".join(cells).rstrip())


def print_report(bench: Bench, data: Mapping[str, Any]) -> None:
    """Prints the medians and the verdicts for people."""
    print(
        f"\npgbench scale {data['pgbench_scale']} and {data['orders_rows']:,} orders:"
        f" tables {data['tables_bytes'] / MIB:,.0f} MiB, indexes {data['indexes_bytes'] / MIB:,.0f} MiB;"
        f" {WORKERS} workers; medians of {bench.runs}"
    )
    for phase, contenders in bench.phases.items():
        rows = []
        for contender in contenders:
            medians = [(contender.median(figure), form) for _, figure, form in FIGURES]
            walls = [run.wall_s for run in contender.runs]
            row = [contender.name, *("" if value is None else format(value, form) for value, form in medians)]
            row += [f"{min(walls):.2f}-{max(walls):.2f}", f"{max(run.others_share for run in contender.runs):.0%}"]
            rows.append(row)
        print()
        print_table([TITLES[phase], *(name for name, _, _ in FIGURES), "wall range", "others"], rows)
    if bench.table_figures:
        figures = bench.table_figures
        sizes = (
            max(value or 0 for value in figures["bytes_read"]),
            figures["table_stored_bytes"],
            figures["backup_stored_bytes"],
        )
        texts = ["unknown" if not size else f"{size / MIB:,.1f} MiB" for size in sizes]
        print(f"\n  orders alone: read {texts[0]}; its stored bytes {texts[1]}; the whole backup {texts[2]}")

    verdicts = bench.verdicts()
    if verdicts:
        rows = [
            [
                verdict["what"],
                f"{verdict['value']:.2f}{verdict['unit']}",
                f"{verdict['sign']} {verdict['limit']:g}{verdict['unit']}",
                "✓ pass" if verdict["pass"] else "✗ MISS",
            ]
            for verdict in verdicts
        ]
        print()
        print_table(["Target", "reached", "wanted", ""], rows)
    print(
        "\n  peak: the largest process; tree: the sampled sum over the tool's processes, shared pages once for each.\n"
        "  CPU includes the processes a tool starts. All tools read from the operating system's cache.\n"
        "  others: the largest share of the cores that something else used in a run; much above 5% means noise.\n"
        "  pgBackRest copies the whole cluster with its indexes; the others copy the rows of one database.\n"
        "  A second or two of its time does not depend on the size: it waits for full seconds, and there are\n"
        "  1,000 small system files."
    )


def as_json(
    bench: Bench, data: Mapping[str, Any], origin: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """The results for machines: medians, verdicts and every single run."""

    def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}

    def figures(contender: Contender) -> dict[str, Any]:
        keys = list(vars(contender.runs[0]))
        medians = {key: contender.median(lambda run, key=key: getattr(run, key)) for key in keys}  # type: ignore[misc]
        runs = [rounded(vars(run)) for run in contender.runs]
        disturbed = [rounded(vars(run)) for run in contender.disturbed]
        return {"command": contender.shown, "median": rounded(medians), "runs": runs, "disturbed_runs": disturbed}

    return {
        "format": 1,
        "provenance": dict(origin),
        "options": dict(options),
        "data": dict(data),
        "phases": {
            phase: {contender.name: figures(contender) for contender in contenders}
            for phase, contenders in bench.phases.items()
        },
        "table_restore": bench.table_figures or None,
        "targets": bench.verdicts(),
    }


# --- the command -----------------------------------------------------------------------------------------------------


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Reads the command line."""

    def positive(text: str) -> int:
        value = int(text)
        if value < 1:
            raise argparse.ArgumentTypeError("must be at least 1")
        return value

    parser = argparse.ArgumentParser(
        prog="bench/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=positive, help="pgbench scale (50)")
    parser.add_argument("--orders-rows", type=positive, help="rows of the orders table (1,500,000)")
    parser.add_argument("--runs", type=positive, help="rounds; a figure is their median (3)")
    parser.add_argument("--quick", action="store_true", help="a smoke check: scale 5, 150,000 orders, 1 round")
    parser.add_argument("--only", action="append", choices=PHASES, help="this phase only; may be given again")
    parser.add_argument("--peers-only", action="store_true", help="leave strongroom out")
    parser.add_argument(
        "--bin", type=Path, metavar="PATH", help="strongroom (STRONGROOM_BIN, else target/release/strongroom)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="PATH", default=HERE / "results" / "latest.json", help="where the JSON goes"
    )
    parser.add_argument(
        "--calm",
        type=float,
        default=0,
        metavar="SECONDS",
        help="on a shared machine: wait so long for calm before a run, and repeat a run that others disturbed (off)",
    )
    parser.add_argument("--keep", action="store_true", help="keep the cluster, up, and all files at the end")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a target is missed")
    options = parser.parse_args(arguments)
    options.scale = options.scale or (5 if options.quick else 50)
    options.orders_rows = options.orders_rows or (150_000 if options.quick else 1_500_000)
    options.runs = options.runs or (1 if options.quick else 3)
    options.only = options.only or list(PHASES)
    if options.peers_only and options.only == ["table"]:
        parser.error("no peer restores one table out of a whole backup: --only table needs strongroom")
    return options


def find_binary(options: argparse.Namespace) -> Path | None:
    """The strongroom to measure; None if it is left out."""
    if options.peers_only:
        return None
    binary = Path(
        options.bin or os.environ.get("STRONGROOM_BIN") or ROOT / "target" / "release" / "strongroom"
    ).resolve()
    if not os.access(binary, os.X_OK):
        raise BenchError(f"found no {binary}; build it with: cargo build --release (or use --peers-only)")
    return binary


def check_room(work: Path, scale: int, rows: int) -> None:
    """Fails early where the disk is too small: source, restored copy, dumps and WAL."""
    needed = 4 * (scale * 16 * MIB + rows * 450) + 5 * 1024 * MIB
    free = shutil.disk_usage(work).free
    if free < needed:
        raise BenchError(f"needs about {needed / MIB:,.0f} MiB in {work}, {free / MIB:,.0f} MiB are free; set TMPDIR")


def interrupt(signal_number: int, _frame: object) -> None:
    """A signal to stop becomes an exception, so that everything is cleaned up on the way out."""
    signal.signal(signal_number, signal.SIG_IGN)  # A second one must not break the cleaning.
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark; returns the exit code."""
    options = parse(arguments)
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, interrupt)

    work: Path | None = None
    cluster: Cluster | None = None
    try:
        binary = find_binary(options)
        work = Path(tempfile.mkdtemp(prefix="strongroom-bench.")).resolve()
        work.chmod(0o711)  # The server's user must pass through.
        check_room(work, options.scale, options.orders_rows)
        cluster = Cluster(work / "server")
        origin = provenance(cluster, work, binary)
        cluster.start()
        data = load(cluster, options.scale, options.orders_rows)
        bench = Bench(cluster, work, binary, options.runs, options.calm)
        for phase in PHASES:
            if phase in options.only:
                getattr(bench, phase)()
        print_report(bench, data)
        kept_options = {"runs": options.runs, "only": options.only, "workers": int(WORKERS), "calm_s": options.calm}
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(
            json.dumps(as_json(bench, data, origin, kept_options), indent=2, ensure_ascii=False) + "\n"
        )
        say(f"results are in {options.output}")
        missed = not all(verdict["pass"] for verdict in bench.verdicts())
        return 1 if options.strict and missed else 0
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except BenchError as error:
        say(str(error))
        return 1
    finally:
        if work and options.keep:
            say(f"kept {work}" + (f", server on port {cluster.port}" if cluster else ""))
        elif work:
            if cluster:
                with contextlib.suppress(BenchError):
                    cluster.stop()
            remove(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
