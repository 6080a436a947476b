from pathlib import Path

import pytest

from slant.codebook import AnnotationError, Codebook, known
from tests.conftest import CODEBOOK
from training.commands import ANNOTATIONS


def test_the_shipped_codebook_has_the_labels_of_its_guidelines() -> None:
    codebook = Codebook.load(ANNOTATIONS / "codebook.toml")
    guidelines = (ANNOTATIONS / "CODEBOOK.md").read_text(encoding="utf-8")
    assert f"Version {codebook.version}." in guidelines
    assert f"> {codebook.default_target}\n" in guidelines
    for label in (*codebook.frame_labels, *codebook.stance_labels, *codebook.voice_labels):
        assert f"`{label}`" in guidelines
    assert codebook.neutral_stances == {"neutral"}


def test_unknown_label_names_place_value_and_the_nearest() -> None:
    with pytest.raises(AnnotationError) as error:
        known("Security", ["security", "humanitarian"], what="frame", place="gold.jsonl line 17")
    assert str(error.value) == "gold.jsonl line 17: frame 'Security' is not in the codebook (did you mean 'security'?)"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (CODEBOOK.replace('version = "test-1"', ""), "'version' is missing"),
        (CODEBOOK.replace('"safety"', '"economic"'), "frames names a label twice"),
        (CODEBOOK.replace('"safety"', '"uncertain"'), "frames has a label 'uncertain', which stands for labels left open"),
        (CODEBOOK.replace("targets = [{", "other = [{"), "the default target has no scope note"),
        (CODEBOOK + "[", "not valid TOML"),
    ],
)
def test_a_broken_codebook_is_refused(broken: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "codebook.toml"
    path.write_text(broken)
    with pytest.raises(AnnotationError, match=message) as error:
        Codebook.load(path)
    assert str(path) in str(error.value)


def test_a_missing_codebook_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="cannot read the codebook"):
        Codebook.load(tmp_path / "codebook.toml")
