"""Worker processes and turns: what the measurements of ``bench.py`` are made of.

Every (peer, model) is a process of its own. The processes of one model are alive at the same time
and take turns, A B C C B A A B C ..., so that a slow drift or a noisy neighbour hits all alike. A
process that is not on its turn is stopped (SIGSTOP), so that a thread pool that goes on spinning
after its run takes no time from the next peer.
"""

from __future__ import annotations

import json
import os
import select
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import peers as peer_table

WORKER = Path(__file__).resolve().parent / "worker.py"
START_SECONDS = 300


@dataclass
class Setup:
    """Where things are and how to run them.

    root: environments and models. python: replaces the environments' interpreters. cpus: pin the
    workers ("" : do not). settle: pause before each turn, in ms.
    """

    root: Path
    models: Path
    threads: int = 1
    cpus: str = ""
    settle: float = 10.0
    python: str = ""

    def interpreter(self, peer: peer_table.Peer) -> str:
        """Return the Python that runs a peer."""
        return self.python or str(self.root / peer.venv / "bin" / "python")


@dataclass
class Model:
    """A model of the folder: its name, picture size and multiply-accumulates."""

    name: str
    size: int
    macs: int = 0


class Worker:
    """A process with one model open in one runtime, and the times it has reported so far."""

    def __init__(self, setup: Setup, peer: peer_table.Peer, model: Model, dump: str = "") -> None:
        files = peer.find_files(setup.models, model.name)
        if files is None:
            raise FileNotFoundError(f"no model file ({', '.join(peer.files)})")
        self.peer = peer
        self.file_bytes = sum(path.stat().st_size for path in files)
        self.wall: list[float] = []
        self.cpu: list[float] = []
        environment = dict(os.environ, OMP_NUM_THREADS=str(setup.threads))
        environment.update(OPENBLAS_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="2")
        if peer.path:
            environment["PYTHONPATH"] = peer.path
        command = [setup.interpreter(peer), str(WORKER), peer.runtime, peer.setting]
        command += [str(files[0]) if files else ""]
        command += [str(setup.models / f"{model.name}.input.f32"), str(model.size)]
        command += [str(setup.threads), setup.cpus, dump]
        self._log = (setup.root / "logs").joinpath(f"{model.name}.{peer.name}.log")
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with open(self._log, "w", encoding="utf-8") as log:
            self._start = time.monotonic()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
            )
        self.first: dict[str, Any] = {}
        self.peak_mb = 0.0

    def wait(self) -> None:
        """Wait for the first result."""
        self.first = self._read()
        self.first["cold_ms"] = (self.first.pop("at") - self._start) * 1e3
        self.peak_mb = self.first["rss_mb"]

    def _read(self) -> dict[str, Any]:
        output = self._process.stdout
        assert output is not None
        ready, _, _ = select.select([output], [], [], START_SECONDS)
        line = output.readline() if ready else b""
        if not line:
            self._process.kill()
            self._process.wait()
            text = self._log.read_text(encoding="utf-8", errors="replace").strip()
            raise RuntimeError(f"ended: {(text.splitlines() or ['no word'])[-1]}")
        record: dict[str, Any] = json.loads(line)
        return record

    def stop(self) -> None:
        """Let the process sleep until its next turn."""
        self._process.send_signal(signal.SIGSTOP)

    def turn(self, warm: int, count: int) -> None:
        """Run ``count`` timed inferences after ``warm`` untimed ones."""
        self._process.send_signal(signal.SIGCONT)
        pipe = self._process.stdin
        assert pipe is not None
        pipe.write(f"{warm} {count}\n".encode())
        pipe.flush()
        record = self._read()
        self.wall += record["wall"]
        self.cpu += record["cpu"]
        self.peak_mb = record["rss_mb"]
        self.stop()

    def close(self) -> None:
        """End the process."""
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def summary(self) -> dict[str, Any]:
        """Return the statistics of all turns; times in ms."""
        ordered = sorted(self.wall)
        return {
            "runs": len(ordered),
            "min_ms": ordered[0],
            "p50_ms": statistics.median(ordered),
            "p95_ms": ordered[int(len(ordered) * 0.95)],
            "cpu_min_ms": min(self.cpu),
            "cpu_p50_ms": statistics.median(self.cpu),
            "load_ms": self.first["load_ms"],
            "finite": self.first["finite"],
            "peak_mb": self.peak_mb,
            "file_bytes": self.file_bytes,
        }


@dataclass
class Latency:
    """The measurement of one model: peer name -> statistics, or {"error": why}."""

    model: Model
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)


def latency(
    setup: Setup, chosen: list[peer_table.Peer], model: Model, rounds: int, runs: int
) -> Latency:
    """Time every peer on one model: ``rounds`` turns of ``runs`` inferences each."""
    result = Latency(model)
    workers: list[Worker] = []
    failed: dict[str, dict[str, Any]] = {}
    try:
        for peer in chosen:
            try:
                workers.append(Worker(setup, peer, model))
            except OSError as error:
                print(f"SKIPPED: {model.name} in {peer.name}: {error}", file=sys.stderr)
        for worker in workers:
            try:
                worker.wait()
                worker.stop()
            except RuntimeError as error:
                failed[worker.peer.name] = {"error": str(error)}
                print(f"SKIPPED: {model.name} in {worker.peer.name}: {error}", file=sys.stderr)
        warm = 2 if setup.threads > 1 else 1
        for turn in range(rounds):
            for worker in workers if turn % 2 == 0 else workers[::-1]:
                if worker.peer.name in failed:
                    continue
                time.sleep(setup.settle / 1e3)
                try:
                    worker.turn(warm, runs)
                except (OSError, RuntimeError) as error:
                    failed[worker.peer.name] = {"error": str(error)}
    finally:
        for worker in workers:
            worker.close()
    done = {worker.peer.name: worker for worker in workers}
    for name in (peer.name for peer in chosen):
        if name in failed or name in done:
            result.rows[name] = failed[name] if name in failed else done[name].summary()
    return result


def cold(
    setup: Setup, chosen: list[peer_table.Peer], model: Model, repeats: int
) -> dict[str, dict[str, Any]]:
    """Start every peer ``repeats`` times, in turns; process start to first result.

    The first start of each only warms the page cache. Returns medians and minima by peer.
    """
    starts: dict[str, list[dict[str, Any]]] = {}
    result: dict[str, dict[str, Any]] = {}
    for repeat in range(repeats + 1):
        for peer in chosen:
            if peer.name in result:
                continue
            try:
                worker = Worker(setup, peer, model)
                worker.wait()
                worker.close()
            except (OSError, RuntimeError) as error:
                result[peer.name] = {"error": str(error)}
                continue
            if repeat:
                starts.setdefault(peer.name, []).append(worker.first)
    for name, records in starts.items():
        keys = ("cold_ms", "numpy_ms", "import_ms", "load_ms", "first_ms", "rss_mb")
        middle = {key: statistics.median(record[key] for record in records) for key in keys}
        least = {f"{key}_min": min(record[key] for record in records) for key in keys}
        result[name] = {**middle, **least, "repeats": len(records)}
    return {peer.name: result[peer.name] for peer in chosen if peer.name in result}
