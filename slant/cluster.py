"""Runs ``score_table`` on a Ray cluster through Ray Data, results in the order of the tables."""

import logging
from collections.abc import Generator, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from slant.corpus import Scorer
from slant.shards import RunError

TABLES_A_WORKER = 64  # handed to the cluster at once: two minutes of an actor's work, against seconds of starting it


def over_ray(tables: Iterator[pa.Table], options: dict[str, Any], *, workers: int, address: str | None) -> Generator[pa.Table, None, None]:
    """Score tables with an actor pool; each actor loads the model once and computes on one core.

    Ray gives what a lost node had in hand to the others, and makes anew what it had finished and not delivered.

    Args:
        tables: each with a column ``number`` that no other shares.
        options: of ``Scorer``; the model's folder must be there on every node.
        workers: actors.
        address: of an existing cluster; None starts one on this machine.

    Raises:
        RunError: when Ray is not installed or the cluster cannot be reached.
    """
    try:
        import ray
        from ray.data import ActorPoolStrategy, DataContext
    except ImportError as error:
        raise RunError(f"--engine ray needs {error.name}, which is not installed: pip install 'slant[ray]'") from None
    started = not ray.is_initialized()
    if started:
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise RunError(f"--ray-address {address}: no Ray cluster there ({str(error).splitlines()[0][:100]})") from None
    try:
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        while group := list(islice(tables, TABLES_A_WORKER * workers)):
            scored = ray.data.from_arrow(group).map_batches(
                Scorer,
                fn_constructor_kwargs={**options, "model": str(options["model"])},
                batch_format="pyarrow",
                batch_size=None,
                compute=ActorPoolStrategy(min_size=1, max_size=workers),
                num_cpus=1,
            )
            rows = pa.concat_tables(ray.get(scored.to_arrow_refs()))
            for table in group:
                yield rows.filter(pc.is_in(rows["number"], table["number"])).sort_by([("number", "ascending"), ("sentence", "ascending")])
    finally:
        if started:
            ray.shutdown()
