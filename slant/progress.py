"""Shows how a corpus run goes on: a bar on a terminal, plain lines elsewhere, a summary at the end."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from slant.render import percentages
from slant.scoring import Summary
from slant.shards import Record

SHOWN_FAILURES = 20  # the others are in failures.jsonl


class Shown:
    """A watcher of ``slant.scoring`` that a person looks at."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._bar = (
            Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"), console=console, transient=True)
            if console.is_terminal and not quiet
            else None
        )
        self._task = self._bar.add_task("checking the inputs", total=None, text="") if self._bar else None
        self._start = time.monotonic()
        self._articles = self._sentences = self._failures = self._shown = 0
        self._earlier = 0  # articles that an earlier run scored
        self._earlier_bytes = 0
        self._total: int | None = None
        if self._bar:
            self._bar.start()

    def checking(self, size: int) -> None:
        """Nothing to show but that it goes on, which the bar does by itself."""

    def begin(self, total_bytes: int | None) -> None:
        self._start = time.monotonic()
        self._total = total_bytes
        if self._bar and self._task is not None:
            self._bar.update(self._task, description="scoring", total=total_bytes)

    def scored(self, articles: int, sentences: int, read_bytes: int) -> None:
        self._articles += articles
        self._sentences += sentences
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=read_bytes, text=self._line(read_bytes))

    def shard(self, record: Record, *, earlier: bool, read_bytes: int) -> None:
        self._failures += len(record.failures)
        if earlier:
            self._earlier += record.documents
            self._earlier_bytes = read_bytes
            self._start = time.monotonic()
            return
        for failure in record.failures:
            self._shown += 1
            if self._shown <= SHOWN_FAILURES:
                place = ": ".join(part for part in (failure["source"], failure["position"], failure["reason"]) if part)
                self._say(f"error: {place}")
            elif self._shown == SHOWN_FAILURES + 1:
                self._say("error: more failures; all are in failures.jsonl at the end")
        if not self._bar and not self._quiet:
            self._say(self._line(read_bytes))

    def stopping(self) -> None:
        self._say("interrupted: finishing the shard in hand, then stopping; interrupt again to stop at once")

    def end(self) -> None:
        """Take the bar away."""
        if self._bar:
            self._bar.stop()

    def summary(self, summary: Summary, output: str, *, min_confidence: float = 0.0) -> None:
        """Say what was done, unless asked to be quiet."""
        self.end()
        if self._quiet:
            return
        seconds = max(time.monotonic() - self._start, 1e-9)
        parts = [
            f"{summary.documents:,} articles, {summary.sentences:,} sentences in {output}",
            f"{summary.duplicates:,} exact duplicates scored once" if summary.duplicates else "",
            f"{summary.repeated_ids:,} ids were there before: tell articles apart by number" if summary.repeated_ids else "",
            f"{summary.failures:,} failures, see failures.jsonl" if summary.failures else "no failures",
            f"coverage at confidence {min_confidence:g}: {percentages(summary.coverage)}" if min_confidence else "",
            f"{self._articles / seconds:,.1f} articles/s, {self._sentences / seconds:,.0f} sentences/s" if self._articles else "",
        ]
        self._say("; ".join(part for part in parts if part))
        if not summary.complete:
            self._say("stopped before the end: the same command goes on from here")

    def _line(self, read_bytes: int) -> str:
        seconds = max(time.monotonic() - self._start, 1e-9)
        text = f"{self._earlier + self._articles:,} articles, {self._articles / seconds:,.1f} articles/s, {self._sentences / seconds:,.0f} sentences/s, {self._failures:,} failures"
        fresh = read_bytes - self._earlier_bytes
        if self._total and fresh > 0:
            left = int(seconds * max(self._total - read_bytes, 0) / fresh)
            text += f", {left // 3600}:{left // 60 % 60:02d}:{left % 60:02d} left"
        return text

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def stderr_console() -> Console:
    """The console that errors and progress go to."""
    return Console(file=sys.stderr, soft_wrap=True)
