from pathlib import Path

import pytest

from training.commands import ROOT, TrainingError
from training.recipe import Recipe

SHIPPED = ROOT / "training" / "recipe.toml"


@pytest.mark.parametrize("path", [SHIPPED, ROOT / "training" / "recipes" / "base.toml"], ids=lambda path: path.stem)
def test_a_shipped_recipe_loads_and_is_written_as_it_is_read(path: Path, tmp_path: Path) -> None:
    recipe = Recipe.load(path)
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.to_toml())
    assert Recipe.load(path) == recipe
    assert Recipe.load(path).digest == recipe.digest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs", "epoch", r"unknown key 'epoch' \(did you mean 'epochs'\?\)"),
        ("seed = ", "# ", "seed missing; a recipe states every choice"),
        ("folds = 5", 'folds = "5"', "folds = '5' should be int"),
        ("folds = 5", "folds = 1", "folds must be at least 2"),
        ("validation_share = 0.1", "validation_share = 0.9", "validation_share 0.9 is not between"),
        ("seed = ", "seed ", "cannot be read as TOML"),
    ],
)
def test_a_wrong_recipe_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    source = SHIPPED.read_text()
    assert old in source
    path = tmp_path / "recipe.toml"
    path.write_text(source.replace(old, new, 1))
    with pytest.raises(TrainingError, match=message):
        Recipe.load(path)


def test_left_context_leaves_room() -> None:
    with pytest.raises(TrainingError, match="leaves less than half"):
        Recipe(**{**{f: getattr(Recipe.load(SHIPPED), f) for f in Recipe.__slots__}, "left_context": 500})
