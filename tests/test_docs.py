"""The pages in docs/ are run as they stand, and must give what the one function gives."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from training.commands import ROOT

SAME = """

from slant.corpus import Scorer
found = scored.to_pylist() if isinstance(scored, pa.Table) else scored.to_dicts() if hasattr(scored, "to_dicts") else list(scored)
key = lambda row: (row["article"], row["sentence"])
assert sorted(found, key=key) == sorted(Scorer()(articles).to_pylist(), key=key)
assert len(found) == 3
"""


@pytest.mark.parametrize("page", ["datasets", "ray", "polars", "spark"])
def test_a_page_runs_and_gives_the_same(page: str, tmp_path: Path) -> None:
    if page == "spark" and not (find_spec("pyspark") and shutil.which("java")):
        pytest.skip("needs pyspark and Java")
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "page.py").write_text(code + SAME, encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HF_HOME": str(tmp_path),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
    }
    found = subprocess.run([sys.executable, "page.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-3000:]


def test_the_fields_of_the_tables_are_those_of_the_page() -> None:
    from slant import load
    from slant.corpus import article_schema

    text = (ROOT / "docs" / "corpora.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text, flags=re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == article_schema(load().codebook).names
