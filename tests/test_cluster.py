"""The Ray engine on a real cluster of two nodes on this machine, one of which is really killed."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from slant.corpus import Scorer
from tests.conftest import SENTENCES
from training.commands import ROOT

ARTICLES = 128

ray = pytest.importorskip("ray")

from slant import cluster  # noqa: E402
from slant.scoring import Job, score  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, of which there are many


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A head node that computes nothing, and two that each hold one actor."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 80_000_000})
    found.add_node(num_cpus=1, object_store_memory=80_000_000)
    found.add_node(num_cpus=1, object_store_memory=80_000_000)
    found.wait_for_nodes()
    ray.init(address=found.address, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": os.getcwd()}})
    yield found
    ray.shutdown()
    found.shutdown()  # type: ignore[no-untyped-call]


def tables(count: int) -> Iterator[pa.Table]:
    texts = list(SENTENCES)
    for number in range(count):
        text = " ".join(texts[number % 8 :] + texts[: number % 3]) * 40
        yield pa.table({"number": [number + 1], "id": [f"a{number}"], "text": [text], "target": pa.array([None], pa.string())})


def test_a_killed_node_changes_nothing(nodes: Any, tiny_checkpoint: Path) -> None:
    options: dict[str, Any] = {"model": tiny_checkpoint, "target_column": "target"}
    victim = next(iter(nodes.worker_nodes))
    at_work: list[bool] = []

    def kill() -> None:
        while ray.available_resources().get("CPU"):  # until both actors are at work
            time.sleep(0.1)
        time.sleep(1)
        nodes.remove_node(victim, allow_graceful=False)
        at_work.append(not done)

    done: list[bool] = []
    killer = threading.Thread(target=kill)
    killer.start()
    found = list(cluster.over_ray(tables(ARTICLES), options, workers=2, address=None))
    done.append(True)
    killer.join()
    assert at_work == [True]
    assert len([node for node in ray.nodes() if node["Alive"]]) == 2
    scorer = Scorer(**options)
    assert [table.to_pylist() for table in found] == [scorer(table).to_pylist() for table in tables(ARTICLES)]


def test_the_folder_is_that_of_the_local_engine(nodes: Any, tiny_checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(
        "".join(json.dumps({"id": number, "text": f"Page {number}. The mayor said maybe in 1999."}) + "\n" for number in range(40))
    )
    job = Job((str(path),), tmp_path / "local", model=tiny_checkpoint, shard_articles=15)
    score(job)
    score(replace(job, output=tmp_path / "ray", engine="ray"))
    local, over_ray = (
        {p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in (tmp_path / "local", tmp_path / "ray")
    )
    assert over_ray == local


def test_no_cluster_there_is_one_line(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The mayor said maybe in 1999.")
    options = ["--output", str(tmp_path / "scores"), "--model", str(tiny_checkpoint), "--engine", "ray", "--ray-address", "127.0.0.1:1"]
    found = subprocess.run([sys.executable, "predict.py", str(tmp_path / "a.txt"), *options], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 2
    assert "error: --ray-address 127.0.0.1:1: no Ray cluster there" in found.stderr.splitlines()[-1]
