"""Times scoring against what else could do it, in one run: python benchmarks/throughput.py --corpus FILE

The corpus is a JSONL file with ``id`` and ``text``; it is read where it lies. Every way reads the same sentences. Wall
time is what a user waits; time of the processor is the same however busy the machine is otherwise, so ratios are of that.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import torch
from onnx import TensorProto, helper
from safetensors.torch import load as load_tensors
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast, pipeline

import slant
from slant.article import Article
from slant.checkpoint import TOKENIZER, WEIGHTS
from slant.corpus import score_table
from slant.network import Network
from slant.shards import write_table
from slant.sources import Document, documents

ROOT = Path(__file__).parent.parent
BATCH = 32
SHARE = 5  # the slow ways read one article in so many
MEMORY = 600  # MB a worker process


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="a JSONL file of articles")
    parser.add_argument("--articles", type=int, default=500, help="how many of them, from the first")
    parser.add_argument("--model", type=Path, default=None, help="a checkpoint; default: the one shipped")
    parser.add_argument("--growth", type=int, nargs="*", default=[100, 1000, 4000], help="articles of the runs that weigh memory and time")
    options = parser.parse_args()
    found = [d for d in islice(documents([str(options.corpus)]), options.articles) if isinstance(d, Document)]
    reader = slant.load(options.model, threads=1)
    articles = [Article(document.text, document.id) for document in found]
    few = articles[::SHARE]
    print(f"{len(articles)} articles, {count(articles)} sentences; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start")

    torch.set_num_threads(1)
    slow = timed("transformers.pipeline, batch 32, fp32", lambda: by_pipeline(few, reader), count(few))
    timed("torch, sorted by length, batch 32, fp32", lambda: by_torch(few, reader), count(few), slow)
    ours = timed("slant, one worker", lambda: score(articles, reader), count(articles), slow)
    share_of_peak(articles, reader, ours)
    stages(options.corpus, len(articles), reader)
    command(options, slow)


def timed(name: str, work: Callable[[], object], sentences: int, against: float | None = None) -> float:
    """Do the work once; returns sentences a second of processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    rate = sentences / processor
    ratio = f", {rate / against:.1f} times the pipeline" if against else ""
    print(f"{name}: {sentences / wall:.0f} sentences/s by the clock, {rate:.0f} a second of one core{ratio}", flush=True)
    return rate


def count(articles: list[Article]) -> int:
    """How many sentences they have."""
    return sum(len(article.sentences) for article in articles)


def score(articles: list[Article], reader: slant.Reader) -> pa.Table:
    """Score them as a worker does, from the text on."""
    return score_table(pa.table({"id": [a.id for a in articles], "text": [a.text for a in articles]}), reader)


def network(reader: slant.Reader) -> Network:
    """The same weights in torch."""
    found = Network.from_config(reader.checkpoint.encoder, reader.checkpoint.label_count)
    found.load_state_dict({name: tensor.float() for name, tensor in load_tensors(reader.checkpoint.read(WEIGHTS)).items()})
    return found.eval()


def tokenizer(reader: slant.Reader) -> PreTrainedTokenizerFast:
    """The same tokenizer as transformers has it."""
    own = Tokenizer.from_str(reader.checkpoint.read(TOKENIZER).decode())
    return PreTrainedTokenizerFast(
        tokenizer_object=own,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        model_max_length=reader.checkpoint.window,
    )


def by_pipeline(articles: list[Article], reader: slant.Reader) -> None:
    """Each sentence by itself with the target before it, as a pipeline's user would do; the heads cost nothing and are left out."""
    own = reader.codebook.default_target
    sentences = [f"{own} [SEP] {sentence.text}" for article in articles for sentence in article.sentences]
    run = pipeline("feature-extraction", model=network(reader).encoder, tokenizer=tokenizer(reader), device="cpu", batch_size=BATCH)  # type: ignore[call-overload]
    for _ in run((sentence for sentence in sentences), tokenize_kwargs={"truncation": True}, return_tensors=True):
        pass


def by_torch(articles: list[Article], reader: slant.Reader) -> None:
    """The best that one can do by hand in torch: the same sentences, sorted by length so that padding is small."""
    own = reader.codebook.default_target
    sentences = sorted((f"{own} [SEP] {s.text}" for article in articles for s in article.sentences), key=len)
    net, words = network(reader), tokenizer(reader)
    with torch.inference_mode():
        for start in range(0, len(sentences), BATCH):
            batch = words(sentences[start : start + BATCH], padding=True, truncation=True, return_tensors="pt")
            net(batch["input_ids"], batch["attention_mask"])


def share_of_peak(articles: list[Article], reader: slant.Reader, rate: float) -> None:
    """Set the products that a reading needs against the most that one core does of them."""
    config = reader.checkpoint.encoder
    hidden, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    windows = [w for article in articles for w in reader.windows(article, reader.codebook.default_target)]
    needed = sum(layers * len(w.ids) * (4 * hidden * hidden + 2 * hidden * inner + 2 * len(w.ids) * hidden) for w in windows)
    peak = matrix_peak()
    done = needed / count(articles) * rate
    print(f"int8 products: {done / 1e9:.0f} G multiply-adds/s of one core, {done / peak:.0%} of its peak of {peak / 1e9:.0f}")


def matrix_peak(rows: int = 512, inner: int = 1536, columns: int = 1536, runs: int = 60) -> float:
    """Multiply-adds a second of one core in a plain int8 matrix product of a friendly size, the best of five."""
    weights = np.random.default_rng(0).integers(-127, 127, (inner, columns), dtype=np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["c"])],
        "peak",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [rows, inner])],
        [helper.make_tensor_value_info("c", TensorProto.INT32, [rows, columns])],
        [onnx.numpy_helper.from_array(weights, "b")],
    )
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    feed = {"a": np.random.default_rng(1).integers(0, 255, (rows, inner), dtype=np.uint8)}
    best = 0.0
    for _ in range(5):
        start = time.process_time()
        for _ in range(runs):
            session.run(None, feed)
        best = max(best, rows * inner * columns * runs / (time.process_time() - start))
    return best


def stages(corpus: Path, most: int, reader: slant.Reader) -> None:
    """Processor seconds of each stage of scoring, one after the other."""
    seconds: dict[str, float] = {}
    start = time.process_time()

    def stage(name: str) -> None:
        nonlocal start
        seconds[name] = time.process_time() - start
        start = time.process_time()

    found = [d for d in islice(documents([str(corpus)]), most) if isinstance(d, Document)]
    stage("read")
    articles = [Article(document.text, document.id) for document in found]
    stage("split")
    windows = [reader.windows(article, reader.codebook.default_target) for article in articles]
    stage("tokenise")
    for one in windows:
        for window in one:
            reader.encode(window)
    stage("encode")
    scored = score(articles, reader)
    stage("all")
    with tempfile.TemporaryDirectory() as folder:
        write_table(scored, Path(folder) / "part.parquet", format="parquet")
        stage("write")
    seconds["decide"] = max(seconds.pop("all") - sum(seconds[name] for name in ("split", "tokenise", "encode")), 0.0)
    total = sum(seconds.values())
    print("stages: " + ", ".join(f"{name} {value:.2f} s ({value / total:.1%})" for name, value in seconds.items()), flush=True)


def command(options: argparse.Namespace, slow: float) -> None:
    """Run the command itself: one worker and two, then ever more articles, and weigh its processes."""
    for workers in (1, 2):
        figures(options, options.articles, workers, slow)
    for articles in options.growth:
        figures(options, articles, 2, slow)


def figures(options: argparse.Namespace, articles: int, workers: int, slow: float) -> None:
    """One run of the command in a process of its own, which is weighed."""
    with tempfile.TemporaryDirectory() as folder, options.corpus.open("rb") as file:
        part = Path(folder) / "corpus.jsonl"
        part.write_bytes(b"".join(islice(file, articles)))
        arguments = [str(part), "--output", f"{folder}/scores", "--workers", str(workers), "--quiet"]
        arguments += ["--model", str(options.model)] if options.model else []
        found = subprocess.run([sys.executable, "-c", _WEIGHED, *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
        wall, processor, own, child = (float(value) for value in found.stdout.split())
        manifest: dict[str, Any] = json.loads((Path(folder) / "scores" / "manifest.json").read_text())
        sentences = manifest["totals"]["sentences"]
        print(
            f"predict.py, {articles} articles, {workers} worker{'s' if workers > 1 else ''}: {sentences / wall:.0f} sentences/s by the clock, "
            f"{sentences / processor:.0f} a second of one core, {sentences / processor / slow:.1f} times the pipeline, "
            f"{1000 * processor / articles:.0f} ms an article; at most {own:.0f} MB in the run"
            + (f", {child:.0f} MB in a worker" if workers > 1 else "")
            + f" ({MEMORY} MB wanted)",
            flush=True,
        )


_WEIGHED = """
import resource, sys, time
from slant.cli import main
start = time.perf_counter()
try:
    main()
except SystemExit as end:
    if end.code not in (0, 2):
        raise
own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
processor = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
high = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss would count who started it
print(time.perf_counter() - start, processor, int(high.split()[1]) / 1000, children.ru_maxrss / 1000)
"""


if __name__ == "__main__":
    main()
