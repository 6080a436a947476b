"""The pages in docs/ are run as they stand, and the site that is built of them needs nothing from elsewhere.

What takes hours is cut down here, not on the pages: the corpus has 60 short articles of the repository's own, people's codes are
filled in by rote, and retraining is on the tests' tiny corpus with the tests' tiny recipe.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests import examples
from tests.conftest import TARGET
from tests.test_browser import CHROMIUM
from training.commands import ROOT
from training.recipe import Recipe

SAME = """

from slant.corpus import Scorer
found = scored.to_pylist() if isinstance(scored, pa.Table) else scored.to_dicts() if hasattr(scored, "to_dicts") else list(scored)
key = lambda row: (row["article"], row["sentence"])
assert sorted(found, key=key) == sorted(Scorer()(articles).to_pylist(), key=key)
assert len(found) == 3
"""

ENGINES = ("datasets", "ray", "polars", "spark")
RUN = ("index", "read", "annotate", "corpora", "estimate", "retrain")
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}


def test_every_page_with_examples_is_run() -> None:
    assert {name for name, text in PAGES.items() if examples.examples(text)} == {*ENGINES, *RUN}


@pytest.mark.parametrize("page", [name for name in RUN if name != "retrain"])
def test_a_pages_examples_run(page: str, tmp_path: Path) -> None:
    examples.checkout(tmp_path)
    assert examples.run(PAGES[page], tmp_path)


def test_the_examples_of_retraining_run(tiny_corpus: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    examples.checkout(tmp_path)
    shutil.copytree(tiny_corpus, tmp_path / "my-corpus")
    (tmp_path / "recipe.toml").write_text(tiny_recipe.to_toml())
    coded = {
        "text": "A cannery earns money.",
        "target": TARGET,
        "frames": ["economic"],
        "stance": "favor",
        "voice": "author",
        "coder_kind": "human",
    }
    (tmp_path / "coded.jsonl").write_text("".join(json.dumps({**coded, "article": f"n{i}"}) + "\n" for i in range(12)))
    printed = examples.run(PAGES["retrain"], tmp_path)
    assert "wrote my-model" in printed[0]
    assert "('economic', 'safety')" in printed[2]


@pytest.mark.parametrize("page", ENGINES)
def test_a_page_runs_and_gives_the_same(page: str, tmp_path: Path) -> None:
    if page == "spark" and not (find_spec("pyspark") and shutil.which("java")):
        pytest.skip("needs pyspark and Java")
    (example,) = examples.examples(PAGES[page])
    (tmp_path / "page.py").write_text(example.text + SAME, encoding="utf-8")
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

    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGES["corpora"], flags=re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == article_schema(load().codebook).names


@pytest.mark.parametrize("page", PAGES)
def test_links_hold_in_the_repository_too(page: str) -> None:
    for path in re.findall(r"\]\((?!https?:|#)([^)#]+)", PAGES[page]):
        assert (ROOT / "docs" / path).exists(), path


class Fetched(HTMLParser):
    """What a page would fetch on its own: scripts, styles, pictures and frames, links to follow left out."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "a":
            self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    found = subprocess.run(command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-3000:]
    return folder


def test_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.glob("**/*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        for address in Fetched(page.read_text(encoding="utf-8")).addresses:
            assert not re.match(r"(?:\w+:)?//", address), (page.name, address)
    for sheet in site.glob("**/*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet.name


def test_pages_from_elsewhere_are_their_one_source(site: Path) -> None:
    for name, words in {
        "codebook": "Two frames are common, three are rare.",
        "datasheet": "No person has",
        "model-card": "Expected calibration error",
        "read": "frame_probability",
        "api": "slant.load().read(",
    }.items():
        assert words in re.sub(r"<[^>]+>", "", (site / f"{name}.html").read_text(encoding="utf-8")), name
    assert 'href="codebook.html"' in (site / "datasheet.html").read_text(encoding="utf-8")
    assert 'href="read.html#the-rows"' in (site / "corpora.html").read_text(encoding="utf-8")


@pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium on the path; apt-get install chromium")
def test_the_site_works_from_a_folder_and_can_be_searched(site: Path) -> None:
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(120_000)  # milliseconds, of a machine that has other work
        page.on("console", lambda message: complaints.append(message.text))
        page.on("request", lambda request: None if request.url.startswith("file:") else complaints.append(request.url))
        page.goto((site / "index.html").as_uri())
        page.locator(".md-search__input").click()
        page.keyboard.type("inclusion probability")
        page.locator(".md-search-result__link").first.wait_for()
        found = [link.get_attribute("href") or "" for link in page.locator(".md-search-result__link").all()]
        assert any("estimate.html" in address for address in found), found
        browser.close()
    assert complaints == []
