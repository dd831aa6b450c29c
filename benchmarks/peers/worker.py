"""One model in one runtime, in a process of its own.

    worker.py RUNTIME SETTING FILE INPUT SIZE THREADS CPUS DUMP

INPUT holds a raw float32 picture [1, 3, SIZE, SIZE]; CPUS is a comma-separated list or "".
Writes one JSON line after the first result (DUMP, when not "", then holds the outputs as .npz) and
one for every line "WARM COUNT" on stdin. Times are in ms; ``at`` is the system's monotonic clock.
"""

from __future__ import annotations

import importlib
import os
import sys
import time

START = time.monotonic()


def peak_memory() -> float:
    """Return the highest resident size so far, in MB."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    """Load, run once, then serve timings until stdin ends."""
    runtime, setting, path, picture, size, threads, cpus, dump = sys.argv[1:]
    answers = os.dup(1)
    os.dup2(2, 1)  # runtimes print to stdout; the answers must stay clean
    if cpus:
        os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
    import numpy as np

    numpy_done = time.monotonic()
    import runners

    if runtime in runners.MODULES:
        importlib.import_module(runners.MODULES[runtime])
    imported = time.monotonic()
    x = None
    if runtime != "numpy":
        x = np.fromfile(picture, np.float32).reshape(1, 3, int(size), int(size))
    run = runners.open_runner(runtime, setting, path, int(threads))(x)
    loaded = time.monotonic()
    outputs = run()
    done = time.monotonic()
    memory = peak_memory()

    import json

    def say(**record: object) -> None:
        os.write(answers, (json.dumps(record) + "\n").encode())

    if dump:
        np.savez(dump, *[np.asarray(y, np.float32) for y in outputs])
    finite = all(bool(np.isfinite(np.asarray(y, np.float32)).all()) for y in outputs)
    say(
        at=done,
        numpy_ms=(numpy_done - START) * 1e3,
        import_ms=(imported - numpy_done) * 1e3,
        load_ms=(loaded - imported) * 1e3,
        first_ms=(done - loaded) * 1e3,
        rss_mb=memory,
        finite=finite,
    )
    for line in sys.stdin:
        warm, count = (int(word) for word in line.split())
        for _ in range(warm):
            run()
        wall, cpu = [], []
        for _ in range(count):
            busy, start = time.process_time(), time.perf_counter()
            run()
            wall.append((time.perf_counter() - start) * 1e3)
            cpu.append((time.process_time() - busy) * 1e3)
        say(wall=wall, cpu=cpu, rss_mb=peak_memory())


if __name__ == "__main__":
    main()
