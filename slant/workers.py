"""Runs ``score_table`` in worker processes of this machine, results in the order of the tables."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pyarrow as pa

from slant.corpus import Scorer
from slant.shards import RunError

AHEAD = 4  # tables a worker that wait for it, so that none stands idle
MOST_DEATHS = 3  # of workers in a row without a table scored between them

_scorer: Scorer


def over_processes(tables: Iterator[pa.Table], options: dict[str, Any], *, workers: int) -> Generator[pa.Table, None, None]:
    """Score tables, each worker with a reader of its own that computes on one core; one worker is this process.

    A worker that dies takes nothing with it: what it had in hand is given to others.

    Raises:
        RunError: when workers die again and again.
    """
    if workers == 1:
        yield from map(Scorer(**options), tables)
        return
    waiting: deque[tuple[pa.Table, Future[pa.Table]]] = deque()
    pool = _pool(options, workers)
    deaths = 0
    try:
        while True:
            try:
                while len(waiting) < AHEAD * workers and (table := next(tables, None)) is not None:
                    waiting.append((table, _submit(pool, table)))
                if not waiting:
                    return
                result = waiting[0][1].result()
            except BrokenProcessPool:
                deaths += 1
                if deaths > MOST_DEATHS:
                    raise RunError(
                        "workers are killed again and again, perhaps for want of memory; run the same command with fewer --workers, it goes on where it stopped"
                    ) from None
                pool.shutdown(wait=False, cancel_futures=True)
                pool = _pool(options, workers)
                waiting = deque((table, _submit(pool, table)) for table, _ in waiting)
                continue
            deaths = 0
            waiting.popleft()
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


def _pool(options: dict[str, Any], workers: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")  # a fork would copy threads of onnxruntime and pyarrow in mid-air
    return ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(options,))


def _submit(pool: ProcessPoolExecutor, table: pa.Table) -> Future[pa.Table]:
    try:
        return pool.submit(_score, table)
    except BrokenProcessPool as error:
        future: Future[pa.Table] = Future()
        future.set_exception(error)
        return future


def _begin(options: dict[str, Any]) -> None:
    global _scorer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run says when to stop
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _scorer = Scorer(**options)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _score(table: pa.Table) -> pa.Table:
    return _scorer(table)
