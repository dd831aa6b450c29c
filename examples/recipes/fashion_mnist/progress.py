"""Lines about how far a stage is and how long it will take."""

from __future__ import annotations

import sys
import time

EVERY_SECONDS = 30.0
EVERY_SECONDS_ON_TERMINAL = 0.5


def minutes(seconds: float) -> str:
    """As m:ss."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Progress:
    """Counts the steps of one stage: one line on a terminal, in a log a line now and then."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._terminal = sys.stdout.isatty()
        self._total = self._first = self._done = 0
        self._begun = self._shown = time.time()
        self._text = ""

    def start(self, total: int, done: int = 0) -> None:
        """Says how many steps there are, of which some may be done already."""
        self._total, self._first, self._done = total, done, done
        self._begun = self._shown = time.time()

    def step(self, text: str = "") -> None:
        """One more step is done."""
        self._done += 1
        self._text = text
        every = EVERY_SECONDS_ON_TERMINAL if self._terminal else EVERY_SECONDS
        if time.time() - self._shown >= every:
            self.line(end="\r" if self._terminal else "\n")

    def line(self, end: str = "\n") -> None:
        """Prints where the stage stands."""
        self._shown = time.time()
        spent = self._shown - self._begun
        left = spent / max(1, self._done - self._first) * (self._total - self._done)
        print(
            f"{self._name}  {100 * self._done // max(1, self._total):3d}%  {self._text}  "
            f"{minutes(spent)} gone, {minutes(left)} left",
            end=end,
            flush=True,
        )

    def say(self, text: str) -> None:
        """Prints one line of its own."""
        print(f"{self._name}  {text}", flush=True)
