"""Times a cold process that reads a 60-sentence article, and weighs a fresh install: python benchmarks/cold_start.py"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from slant.article import split

ROOT = Path(__file__).parent.parent
SENTENCES = 60
RUNS = 9


def article() -> str:
    """The first 60 sentences of the written articles, in the order of their names."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "data/annotations/written").glob("*.txt"))]
    text = "\n\n".join(texts)
    return text[: split(text)[SENTENCES - 1].end]


def cold_start(python: str) -> list[float]:
    """Seconds of wall time of each run, process start to exit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "article.txt"
        path.write_text(article(), encoding="utf-8")
        seconds = []
        for _ in range(RUNS + 1):
            start = time.perf_counter()
            subprocess.run([python, str(ROOT / "predict.py"), str(path)], check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
    return seconds[1:]  # the first one compiles modules and fills the disk cache


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install", action="store_true", help="install into a fresh virtual environment, time and weigh that too")
    if parser.parse_args().install:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            empty = size(Path(folder))
            start = time.perf_counter()
            subprocess.run([f"{folder}/bin/pip", "install", "--quiet", "--disable-pip-version-check", str(ROOT)], check=True)
            print(
                f"install: {time.perf_counter() - start:.0f} s, {(size(Path(folder)) - empty) / 1e6:.0f} MB (slant, its model and all it needs)"
            )
            report(cold_start(f"{folder}/bin/python"))
    else:
        report(cold_start(sys.executable))


def report(seconds: list[float]) -> None:
    """Print the times of cold runs."""
    print(
        f"cold start, {SENTENCES} sentences: median {statistics.median(seconds):.2f} s, slowest {max(seconds):.2f} s of {len(seconds)} runs"
    )


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


if __name__ == "__main__":
    main()
