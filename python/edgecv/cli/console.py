"""What the commands print: tables and progress, by rich where it is installed, else plain text."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any, List, Optional, Sequence, Tuple

Cells = Sequence[Any]


def add_commands(commands: Any, modules: str, entries: Sequence[Tuple[str, str]], run: str) -> None:
    """Adds a subparser for each (name, what it does). The module called ``modules`` and the name
    has add_arguments(parser) and run(args) -> int, which becomes the default of ``run``.
    """
    for name, summary in entries:
        module = importlib.import_module(modules + name.replace("-", "_"))
        sub = commands.add_parser(
            name,
            help=summary,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(sub)
        sub.set_defaults(**{run: module.run})


def _rich_console() -> Optional[Any]:
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(highlight=False)


def table(
    title: str, header: Sequence[str], rows: Sequence[Cells], right: Sequence[int] = ()
) -> None:
    """Prints a table; columns whose index is in ``right`` are right-aligned."""
    console = _rich_console() if sys.stdout.isatty() else None
    if console is None:
        _plain_table(title, header, rows, right)
        if sys.stdout.isatty():
            print("(for drawn tables: pip install 'edgecv[image]')", file=sys.stderr)
        return
    from rich.markup import escape
    from rich.table import Table

    drawn = Table(title=title, title_justify="left")
    for i, name in enumerate(header):
        drawn.add_column(name, justify="right" if i in right else "left")
    for row in rows:
        drawn.add_row(*(escape(str(cell)) for cell in row))
    console.print(drawn)


def _plain_table(
    title: str, header: Sequence[str], rows: Sequence[Cells], right: Sequence[int]
) -> None:
    texts: List[List[str]] = [list(header)] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in texts) for i in range(len(header))]
    if title:
        print(title)
    for row in texts:
        cells = (
            c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths))
        )
        print("  ".join(cells).rstrip())


class Progress:
    """A progress line on stderr: ``with Progress() as step: step("calibrate", 3, 64)``. Silent when
    not a terminal.
    """

    def __init__(self) -> None:
        self._bar: Optional[Any] = None
        self._task: Optional[Any] = None
        self._what = ""
        self._plain = False

    def __enter__(self) -> Progress:
        if not sys.stderr.isatty():
            return self
        try:
            from rich.console import Console
            from rich.progress import Progress as Bar
        except ImportError:
            self._plain = True
            return self
        self._bar = Bar(console=Console(stderr=True), transient=True)
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._plain and self._what:
            print(file=sys.stderr)

    def __call__(self, what: str, done: int, total: int) -> None:
        """Shows that ``done`` of ``total`` steps of ``what`` are over."""
        if self._bar is not None:
            if what != self._what:
                self._task = self._bar.add_task(what, total=total)
            self._bar.update(self._task, completed=done, total=total)
        elif self._plain:
            print(f"\r{what} {done}/{total}", end="", file=sys.stderr, flush=True)
        self._what = what
