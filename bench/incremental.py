"""What an incremental backup costs, as a share of a full one of the same run.

One table of ten million rows (about 1.2 GB), two workers, medians of three. For each detector: a full backup; an
incremental of nothing; one of 1 % of the rows, side by side; one of 1 % of the rows at random places. What every backup
costs however small the database is (starting, the schema dump, waiting for the server's summarizer) is measured on a
database with one row, and told apart. Then: restoring the 24th incremental of a chain beside a full of the same state; and
pgBackRest's incremental of the same changes.

`wal-summary` needs PostgreSQL 17: ./dev setup-postgres 17 installs it beside the machine's own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import bench
from bench import MIB, WORKERS, BenchError, Command, call, measure, print_table, remove, say

LIMITS = {
    # detector: (nothing changed, 1 % side by side), as shares of the full
    "page-lsn": (0.12, 0.15),
    "wal-summary": (0.02, 0.06),
    "version-digest": (0.6, 0.6),
}
RESTORE_LIMIT = 1.1
CHAIN = 24
SETTINGS = {
    # A quarter of a machine of 8 GB, as the manual advises: the table fits.
    "shared_buffers": "2GB",
    "summarize_wal": "on",
}


def folder_of_postgres(version: int) -> Path:
    """Where a major version's programs are: a package's place, or that of ./dev setup-postgres."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    places = [
        Path(f"/usr/lib/postgresql/{version}/bin"),
        Path(f"/var/cache/strongroom/postgres/{version}/bin"),
        cache / f"strongroom/postgres/{version}/bin",
    ]
    for place in places:
        if (place / "initdb").exists():
            return place
    raise BenchError(f"PostgreSQL {version} was not found: ./dev setup-postgres {version}")


class Incremental:
    """One detector, on a cluster of its own."""

    def __init__(self, detector: str, work: Path, binary: Path, options: argparse.Namespace) -> None:
        self.detector, self.work, self.binary, self.options = detector, work, binary, options
        self.cluster = bench.Cluster(work / "server")
        self.cluster.bin = (
            folder_of_postgres(17) if detector == "wal-summary" else bench.postgres_bin()
        )
        settings = {key: value for key, value in SETTINGS.items() if key != "summarize_wal" or detector == "wal-summary"}
        self.cluster.SETTINGS = {**bench.Cluster.SETTINGS, **settings}  # type: ignore[misc]
        self.figures: dict[str, Any] = {"detector": detector}
        self.changes = 0

    def prepare(self) -> None:
        """Starts the server and makes the two databases."""
        cluster = self.cluster
        cluster.start()
        for name, rows in (("big", self.options.rows), ("tiny", 1)):
            cluster.sql("postgres", f"CREATE DATABASE {name}")
            cluster.sql(name, "CREATE EXTENSION pageinspect")
            cluster.sql(
                name,
                f"""CREATE TABLE t AS SELECT n::bigint AS id, n % 1000 AS changes, now() AS at,
                                          md5(n::text) || md5((n + 1)::text) AS filler
                    FROM generate_series(1, {rows}) AS n;
                    ALTER TABLE t ADD PRIMARY KEY (id);
                    VACUUM (FREEZE, ANALYZE) t;""",
            )
        self.figures["postgres"] = cluster.sql("postgres", "SHOW server_version")
        self.figures["table_bytes"] = int(cluster.sql("big", "SELECT pg_relation_size('t')"))
        cluster.settle()

    def collection(self, name: str) -> Path:
        return self.work / f"collection-{name}"

    def backup(self, name: str, incremental: bool = True) -> dict[str, Any]:
        """One backup of a database; its seconds and what it printed."""
        self.cluster.settle()
        words = [self.binary, "backup", "--from", self.cluster.url("postgres"), "--database", name]
        words += ["--into", self.collection(name).as_uri(), "--workers", WORKERS, "--detector", self.detector, "--json"]
        if incremental:
            words.append("--incremental")
        env = {**self.cluster.env, "STRONGROOM_PG_BINDIR": str(self.cluster.bin)}
        run, output = measure(Command(words, env=env), self.cluster.pid, self.work)
        printed = json.loads(output)
        return {**printed, "wall_s": run.wall_s, "others": run.others_share, "rss_mib": run.rss_process_mib}

    def change(self, at_random: bool) -> None:
        """Changes one row in a hundred, others than the last time."""
        rows, self.changes = self.options.rows, self.changes + 1
        share, first = rows // 100, rows // 10 * (self.changes % 10)
        where = f"id % 100 = {self.changes % 100}" if at_random else f"id > {first} AND id <= {first + share}"
        self.cluster.sql("big", f"UPDATE t SET changes = changes + 1 WHERE {where}")

    def run(self) -> None:
        """All measurements of this detector."""
        runs = range(self.options.runs)
        say(f"{self.detector}: loading {self.options.rows:,} rows")
        self.prepare()
        self.backup("tiny")
        say(f"{self.detector}: backing up")
        self.note("fixed", [self.backup("tiny") for _ in runs])
        fulls = []
        for _ in runs:
            remove(self.collection("big"))
            fulls.append(self.backup("big", incremental=False))
        self.note("full", fulls)
        self.note("nothing", [self.backup("big") for _ in runs])
        for kind, at_random in (("side by side", False), ("at random", True)):
            taken = []
            for _ in runs:
                self.change(at_random)
                taken.append(self.backup("big"))
            self.note(kind, taken)

    def note(self, what: str, taken: list[dict[str, Any]]) -> None:
        expected = "full" if what == "full" else "incremental"
        for backup in taken:
            if backup["type"] != expected:
                raise BenchError(f"{self.detector}, {what}: a {backup['type']} backup was taken: {backup['full_because']}")
        self.figures[what] = {
            "seconds": statistics.median(backup["wall_s"] for backup in taken),
            "stored_bytes": statistics.median(backup["stored_bytes"] for backup in taken),
            "others": max(backup["others"] for backup in taken),
            "runs": [round(backup["wall_s"], 3) for backup in taken],
        }

    def ratio(self, what: str) -> float:
        """Its share of the full, both without what every backup costs."""
        fixed = self.figures["fixed"]["seconds"]
        return max(0.0, self.figures[what]["seconds"] - fixed) / (self.figures["full"]["seconds"] - fixed)

    def chain(self) -> None:
        """Restoring the last of a long chain, beside a full of the same state."""
        say(f"{self.detector}: a chain of {CHAIN}")
        taken = [self.backup("big")]
        while len(taken) < CHAIN:
            self.change(at_random=len(taken) % 4 == 0)
            taken.append(self.backup("big"))
        chain = self.restores(taken[-1]["id"], "from the chain")
        full = self.backup("big", incremental=False)
        self.restores(full["id"], "from a full")
        self.figures["restore ratio"] = self.figures["from the chain"] / self.figures["from a full"]
        if chain != self.cluster.contents("big"):
            raise BenchError("the restored chain differs from its source")

    def restores(self, backup: str, what: str) -> str:
        """Restores several times; returns what is there then."""
        seconds = []
        for _ in range(self.options.runs):
            self.cluster.sql("postgres", "DROP DATABASE IF EXISTS copy")
            self.cluster.settle()
            words = [self.binary, "restore", "database", "big", "--restore-to", "copy", "--from", backup]
            words += ["--in", self.collection("big").as_uri(), "--to", self.cluster.url("postgres")]
            run, _ = measure(Command([*words, "--workers", WORKERS, "--json"], env=self.cluster.env), self.cluster.pid, self.work)
            seconds.append(run.wall_s)
        self.figures[what] = statistics.median(seconds)
        return self.cluster.contents("copy")

    def pgbackrest(self) -> None:
        """pgBackRest's incrementals of the same changes to the same cluster."""
        if not shutil.which("pgbackrest"):
            say("pgbackrest is not installed: left out")
            return
        say("pgBackRest: backing up")
        place = self.work / "pgbackrest"
        self.cluster.own(place)
        options = ["--no-config", "--stanza=bench", f"--pg1-path={self.cluster.data}", f"--pg1-port={self.cluster.port}"]
        options += [f"--pg1-socket-path={self.cluster.sockets}", "--pg1-user=postgres", f"--repo1-path={place / 'repo'}"]
        options += [f"--lock-path={place / 'lock'}", "--log-level-file=off", "--log-level-console=warn"]
        call(["pgbackrest", *options, "stanza-create"], self.cluster.bare_env, self.cluster.user)

        def take(kind: str) -> float:
            self.cluster.settle()
            words = ["pgbackrest", *options, f"--type={kind}", "--start-fast", "--no-archive-check", "--process-max=2"]
            words += ["--compress-type=zst", "--compress-level=1", "--repo1-bundle", "backup"]
            run, _ = measure(Command(words, self.cluster.user, self.cluster.bare_env), self.cluster.pid, self.work)
            return run.wall_s

        def size() -> int:
            return sum(path.stat().st_size for path in bench.files_in(place / "repo"))

        figures: dict[str, Any] = {"full": {"seconds": take("full")}}
        for what, at_random in (("nothing", None), ("side by side", False), ("at random", True)):
            runs, before = [], size()
            for _ in range(self.options.runs):
                if at_random is not None:
                    self.change(at_random)
                runs.append(take("incr"))
            stored = (size() - before) / self.options.runs
            figures[what] = {"seconds": statistics.median(runs), "stored_bytes": stored}
        self.figures["pgbackrest"] = figures


def report(all_figures: list[Incremental]) -> bool:
    """Prints the results for people; whether all limits were kept."""
    good = True
    rows, verdicts = [], []
    for one in all_figures:
        figures = one.figures
        for what in ("full", "nothing", "side by side", "at random"):
            taken = figures[what]
            ratio = "" if what == "full" else f"{one.ratio(what):.3f}x"
            size = f"{taken['stored_bytes'] / MIB:,.2f}"
            rows.append([f"{one.detector}: {what}", f"{taken['seconds']:.2f}", f"{figures['fixed']['seconds']:.2f}", ratio, size])
        for what, limit in zip(("nothing", "side by side"), LIMITS[one.detector]):
            kept = one.ratio(what) <= limit
            good = good and kept
            verdicts.append([f"{one.detector}: {what}", f"{one.ratio(what):.3f}x", f"≤ {limit:g}x", "✓ pass" if kept else "✗ MISS"])
        if "restore ratio" in figures:
            kept = figures["restore ratio"] <= RESTORE_LIMIT
            good = good and kept
            what = f"restore of incremental {CHAIN}"
            verdicts.append([what, f"{figures['restore ratio']:.2f}x", f"≤ {RESTORE_LIMIT:g}x", "✓ pass" if kept else "✗ MISS"])
        for what, taken in figures.get("pgbackrest", {}).items():
            size = f"{taken['stored_bytes'] / MIB:,.2f}" if "stored_bytes" in taken else ""
            rows.append([f"pgBackRest: {what}", f"{taken['seconds']:.2f}", "", "", size])
    print()
    print_table(["Incremental backups", "seconds", "fixed", "of the full", "stored MiB"], rows)
    print()
    print_table(["Target", "reached", "wanted", ""], verdicts)
    return good


def main(arguments: list[str]) -> int:
    """Runs the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="bench/run --incremental", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the table (10,000,000)")
    parser.add_argument("--runs", type=int, default=3, help="rounds; a figure is their median (3)")
    parser.add_argument("--detector", action="append", choices=list(LIMITS), help="this one only; may be given again")
    parser.add_argument("--no-chain", action="store_true", help="leave out the chain and pgBackRest")
    parser.add_argument("--bin", type=Path, help="strongroom (STRONGROOM_BIN, else target/release/strongroom)")
    parser.add_argument("--output", type=Path, default=bench.HERE / "results" / "incremental.json")
    options = parser.parse_args(arguments)
    options.peers_only = False
    done: list[Incremental] = []
    try:
        binary = bench.find_binary(options)
        assert binary
        for detector in options.detector or list(LIMITS):
            work = Path(tempfile.mkdtemp(prefix="strongroom-bench.")).resolve()
            work.chmod(0o711)  # The server's user must pass through.
            one = Incremental(detector, work, binary, options)
            try:
                one.run()
                if detector == "page-lsn" and not options.no_chain:
                    one.chain()
                    one.pgbackrest()
            finally:
                one.cluster.stop()
                remove(work)
            done.append(one)
        report(done)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        figures = [one.figures for one in done]
        options.output.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
        say(f"results are in {options.output}")
        return 0
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except BenchError as error:
        say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
