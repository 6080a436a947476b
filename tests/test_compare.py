"""Rows of the comparison tables: changed recipes and harder splits."""

import json
from pathlib import Path

import pytest

from tests.conftest import TARGET
from training import compare
from training.annotations import Annotations
from training.commands import TrainingError
from training.evaluate import article_groups
from training.examples import Passage
from training.recipe import Recipe


@pytest.fixture
def varied(tiny_corpus: Path, tmp_path: Path) -> Annotations:
    """The tiny corpus with half of its articles made third-party op-eds of two outlets, and some coded towards other targets."""
    for name in ("codebook.toml", "codes.jsonl", "gold.jsonl", "written"):
        (tmp_path / name).symlink_to(tiny_corpus / name)
    rows = [json.loads(line) for line in (tiny_corpus / "articles.jsonl").read_text().splitlines()]
    for i, row in enumerate(rows[::2]):
        row |= {"origin": "third-party", "outlet": ("Gazette", "Times", "Times")[i % 3], "date": f"20{i:02}"}
        row["source"] = "somewhere"
    (tmp_path / "articles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Annotations.load(tmp_path, tmp_path)


def articles_of(passages: list[Passage]) -> set[str]:
    return {row.article for passage in passages for row in passage.gold}


def test_splits_never_test_what_they_train_or_calibrate_on(varied: Annotations, tiny_recipe: Recipe) -> None:
    groups = article_groups(varied)
    kinds = {key: varied.articles[key].kind for key in groups}
    found = {}
    for name, split in compare.SPLITS.items():
        if name in ("new target", "random blocks"):
            continue
        train, validation, test = (articles_of(part) for part in split(varied, groups, tiny_recipe))
        assert test, name
        assert validation, name
        assert not {groups[key] for key in train | validation} & {groups[key] for key in test}, name
        assert not train & validation, name
        found[name] = train, test
    assert {kinds[key] for key in found["written to real"][0]} == {"written"}
    assert {kinds[key] for key in found["written to real"][1]} == {"op-ed"}
    assert {varied.articles[key].outlet for key in found["new outlet"][1]} == {"Times"}
    train, test = found["later dates"]
    assert min(varied.articles[key].date for key in test) > max(varied.articles[key].date for key in train if kinds[key] == "op-ed")


def test_random_blocks_share_articles_but_no_sentence(varied: Annotations, tiny_recipe: Recipe) -> None:
    train, validation, test = compare.random_blocks(varied, article_groups(varied), tiny_recipe)
    rows = [row.key for part in (train, validation, test) for passage in part for row in passage.gold]
    assert len(rows) == len(set(rows)) == len(varied.gold)
    assert articles_of(train) & articles_of(test)


def test_a_row_is_measured_and_drawn(varied: Annotations, tiny_recipe: Recipe, tmp_path: Path) -> None:
    row = {"split": "written to real", "recipe": {"epochs": 2, "opposite_share": 0.1}}
    found = json.loads(json.dumps(compare.measure("a row", varied, row, tiny_recipe, None, scratch=tmp_path / "runs")))
    assert found["recipe_sha256"] != tiny_recipe.digest
    assert found["train_sentences"] < 12 * 9
    assert found["scores"]["all"]["sentences"] == found["scores"]["op-ed"]["sentences"] > 0
    assert 0 <= found["scores"]["all"]["stance_macro"] <= 1
    assert compare.table({"a row": found}).row_count == 1


def test_an_unknown_row_is_named() -> None:
    with pytest.raises(TrainingError, match="no row 'nonsense'; it has"):
        compare.main(["nonsense"])


def test_the_rows_that_ship_are_changes_of_the_recipe_that_ships() -> None:
    import dataclasses
    import tomllib

    recipe = Recipe.load(compare.ROWS.parent / "recipe.toml")
    rows = tomllib.loads(compare.ROWS.read_text())
    assert rows
    for name, row in rows.items():
        assert row.get("split", "first fold") in compare.SPLITS, name
        changed = dataclasses.replace(recipe, **row.get("recipe", {}))
        assert changed != recipe or "split" in row or name == "as shipped", name


def test_a_new_target_is_trained_on_nowhere(varied: Annotations, tiny_recipe: Recipe) -> None:
    train, validation, test = compare.new_target(varied, article_groups(varied), tiny_recipe)
    assert not test  # the tiny corpus is coded towards its default target alone
    assert len(articles_of(train) | articles_of(validation)) == 24
    assert {passage.target for passage in train} == {TARGET}
