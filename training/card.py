"""Writes a checkpoint's model card from the metrics of its training run.

``python -m training.card`` draws the shipped one anew, with a cross-validation, an audit and comparisons that ended after the training.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import jinja2
import typer

from slant import __version__
from slant.checkpoint import CODEBOOK, METRICS, Checkpoint, CheckpointError
from slant.codebook import Codebook
from slant.reliability import CUTS, RELIABLE_ALPHA, tiers
from training.commands import MODEL, ROOT, TrainingError, run
from training.recipe import Recipe

EVALUATION = ROOT / "training" / "evaluation.json"
CURVE = "risk-coverage.svg"
COVERED = (0.5, 0.8, 1.0)  # shares of sentences at which the card gives the risk in numbers
AUDIT = ROOT / "training" / "audit.json"
COMPARISONS = ROOT / "training" / "comparisons.json"
COMPARED = ("all", "op-ed")  # kinds of text that a comparison gives scores of

_CARD = """\
---
license: apache-2.0
language: en
base_model: {{ recipe.base }}
library_name: slant
---
# slant: frame, stance and voice of a sentence

Reads English news and opinion articles. For each sentence, in its context: frames
({{ codebook.frame_labels | join(', ') }}; none, one or several), stance towards a stated target
({{ codebook.stance_labels | join(', ') }}) and voice ({{ codebook.voice_labels | join(', ') }}), under codebook {{ codebook.version }}.

{{ recipe.base }} with three linear heads over mean-pooled sentences, fine-tuned by `python -m training.train`
on {{ metrics.training.sentences }} sentences of {{ metrics.training.articles }} articles coded by machine coders
{%- if metrics.training.taught %}, and {{ metrics.training.taught }} sentences of real articles that a single machine coder read{% endif %} (see the datasheet in `data/annotations/`).
`model.int8.onnx` is what the plain install runs; `model.safetensors` (fp16) is the reference for `--backend torch`.

## Intended use

Measuring framing and stance over many articles in research and media monitoring, and looking at
single articles sentence by sentence. Not for judging persons, nor for moderation or any decision about people.

## Scores

Articles that this very run held out ({{ metrics.validation.articles }} articles, {{ metrics.validation.sentences }} sentences; temperatures and thresholds were chosen
{{ 'by cross-validation, over all articles' if metrics.cross_validation else 'on them, so these flatter' }}; in `metrics.json`):
frames macro-F1 {{ f(metrics.validation.score.frames_macro) }}, stance {{ f(metrics.validation.score.stance_macro) }}, voice {{ f(metrics.validation.score.voice_macro) }}.
The int8 and torch forms give the same frames on {{ p(metrics.int8_and_torch_same_labels.frames) }}, stance on {{ p(metrics.int8_and_torch_same_labels.stance) }} and voice on {{ p(metrics.int8_and_torch_same_labels.voice) }} of their sentences.

{% if metrics.cross_validation -%}
{%- set cv = metrics.cross_validation -%}
Unseen articles, {{ cv.folds }} folds grouped by article (printed by `python -m training.evaluate`; {{ cv.articles.all }} articles,
{{ cv.sentences.all }} sentences; for each fold thresholds come from held-out training articles):

| method | texts | sentences | frames | stance | voice |
| --- | --- | ---: | ---: | ---: | ---: |
{% for method, kinds in cv.scores.items() %}{% for kind, s in kinds.items() %}{% if kind == 'all' or method == 'slant' -%}
| {{ method }} | {{ kind }} | {{ cv.sentences[kind] }} | {{ f(s.frames_macro) }} | {{ f(s.stance_macro) }} | {{ f(s.voice_macro) }} |
{% endif %}{% endfor %}{% endfor %}
Macro-F1 is the plain mean of a code's labels; these are they, on all texts, with the tier of each label's reliability:

| code | label | F1 | tier |
| --- | --- | ---: | --- |
{% for code, labels in tiers.items() %}{% for label, tier in labels.items() -%}
| {{ code }} | {{ label }} | {{ f(cv.scores.slant.all[code ~ '_f1'][label]) }} | {{ tier }} |
{% endfor %}{% endfor %}
Tiers: {% for tier, f1, share in cuts %}{{ tier }} from an F1 of {{ f(f1) }} with an alpha of {{ '%.0f' | format(share * 100) }}% of the coders' (below); {% endfor %}C otherwise, and where the
coders' own alpha is below {{ least_alpha }}. Outputs that count labels mark those of tier C: their shares say little until a coded sample corrects them.

Krippendorff's alpha on the same sentences:

| | {{ cv.alpha['model and gold'] | join(' | ') }} |
| --- |{{ ' ---: |' * (cv.alpha['model and gold'] | length) }}
{% for who, found in cv.alpha.items() -%}
| {{ who }} |{% for a in found.values() %} {{ f(a.alpha) }} |{% endfor %}
{% endfor %}
Expected calibration error: {% for head, value in cv.calibration_error.items() %}{{ head }} {{ '%.3f' | format(value) }}{{ ', ' if not loop.last }}{% endfor %}.
{%- if cv.risk_coverage %}

With `--min-confidence` a head gives `uncertain` where it is less sure than that. Coverage is the share of sentences that are not uncertain, risk
the share of them that is misread (of frames: in which any frame is); on unseen articles, from the surest sentences to all:

![Risk by coverage for frames, stance and voice]({{ curve }})

| head | {% for coverage in covered %}risk at coverage {{ '%.0f' | format(coverage * 100) }}%{{ ' | ' if not loop.last }}{% endfor %} |
| --- |{{ ' ---: |' * (covered | length) }}
{% for head, pairs in cv.risk_coverage.items() -%}
| {{ head }} |{% for coverage in covered %} {{ p((pairs | selectattr(0, 'ge', coverage) | first)[1]) }} |{% endfor %}
{% endfor %}
{%- endif %}
{%- else -%}
No cross-validation is recorded for these annotations and this recipe; run `python -m training.evaluate`.
{%- endif %}

{% if metrics.comparisons -%}
## What the recipe owes to its parts

Other recipes and harder splits, one training each (printed by `python -m training.compare`; what differs is in `training/comparisons.toml`):

| row | tested on | trained on | sentences | frames | stance | voice | op-ed sentences | frames | stance | voice |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{% for name, row in metrics.comparisons.items() -%}
| {{ name }} | {{ row.split }} | {{ row.train_sentences }} |{% for kind in compared %}{% set s = row.scores[kind] %}{% if s %} {{ s.sentences }} | {{ f(s.frames_macro) }} | {{ f(s.stance_macro) }} | {{ f(s.voice_macro) }} |{% else %} 0 | | | |{% endif %}{% endfor %}
{% endfor %}
{% endif -%}
{% if metrics.audit -%}
{%- set audit = metrics.audit -%}
## What changes its reading, and what does not

Printed by `python -m training.audit` on the {{ audit.articles }} articles ({{ audit.sentences }} sentences) that training held out; in percent, with
intervals (95 %) that take articles as clusters.

*The target.* What becomes of stance towards other words for the target, none ("this"), its opposite and something unrelated: of the sides taken
towards the target as stated, and of those with a probability of at least {{ audit.confident }}, how many are kept, turn to the other side, or drop to neutral
(goals: at least 80 % turn with the opposite, at least 90 % of all sentences are neutral towards something unrelated).

| target | neutral | probability moved | macro-F1 | of the sides | count | kept | turned | dropped |
| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |
{% for name, row in audit.target.items() -%}
{%- for of in ('sides', 'confidently') -%}
| {{ name }} | {{ m(row.neutral) }} | {{ m(row.moved) }} | {{ f(row.macro_f1) if row.macro_f1 is not none }} | {{ 'all' if of == 'sides' else 'confident' }} | {{ row[of].kept.count if row[of].kept else 0 }} | {{ m(row[of].kept) }} | {{ m(row[of].turned) }} | {{ m(row[of].dropped) }} |
{% endfor %}{% endfor %}
*Names.* Parties, leaders, nationalities, religions and outlets swapped for counterparts, in all of an article and its target; labels of the sentences
that name them, all codes together (goal: at most 3 % of confident labels flip).

| names | labels | flipped | confident labels | flipped | probability moved |
| --- | ---: | ---: | ---: | ---: | ---: |
{% for kind, codes in audit.identity.items() -%}
{%- set row = codes['all'] -%}
| {{ kind }} | {{ row.flipped.count }} | {{ m(row.flipped) }} | {{ row.confident.count if row.confident else 0 }} | {{ m(row.confident) }} | {{ m(row.moved) }} |
{% endfor %}
*Evidence.* How far a label's probability falls when the words shown as its evidence are deleted, and when as many random other words are.

| head | labels | evidence | random words | difference | evidence does more |
| --- | ---: | ---: | ---: | ---: | ---: |
{% for head, row in audit.evidence.items() -%}
| {{ head }} | {{ row.evidence.count }} | {{ m(row.evidence) }} | {{ m(row.random) }} | {{ m(row.difference) }} | {{ m(row.larger) }} |
{% endfor %}
{% endif -%}
## Limits

English only. Gold was coded by machine coders under a codebook, not by people; agreement with it is not
agreement with your coders. The default target is "{{ codebook.default_target }}"; other targets
are rarer in training, and their stances are less sure. Stance is the weakest code: that a sentence takes a side is read better than which, and a bare call to
restrict ("The government must close the border now") may be read as favor. Irony, reported speech without quotation marks and
sentences that need the whole article are where it errs most. A sentence longer than {{ recipe.window }} tokens is cut.

{% if metrics.warm_start -%}
## Warm start

Went on from checkpoint {{ metrics.warm_start['from'][:12] }} with {% for kind, count in metrics.warm_start.added_sentences.items() %}{{ count }} sentences by {{ kind }} coders{{ ', ' if not loop.last }}{% endfor %}; the
scores above that are not of the held-out articles were measured on no such model.

{% endif -%}
## How to cite

slant (version {{ version }}), codebook {{ codebook.version }}, annotations {{ metrics.annotations_sha256[:12] }}, recipe {{ metrics.recipe_sha256[:12] }} (`python predict.py --version` and a report's methods paragraph name the model's digest). `CITATION.cff` has the entry.

## Licences

Weights: Apache-2.0, as the base encoder's. Third-party training texts are not redistributed.
"""


def card(metrics: dict[str, Any], recipe: Recipe, codebook: Codebook) -> str:
    """Draw the model card; every number in it comes from ``metrics``."""
    environment = jinja2.Environment(keep_trailing_newline=True, autoescape=False)
    template = environment.from_string(_CARD)
    return template.render(
        metrics=metrics,
        recipe=recipe,
        codebook=codebook,
        version=__version__,
        tiers=tiers(metrics),
        cuts=CUTS,
        least_alpha=RELIABLE_ALPHA,
        curve=CURVE,
        covered=COVERED,
        compared=COMPARED,
        f=lambda x: f"{x:.2f}",
        p=lambda x: f"{x:.1%}",
        m=interval,
    )


def interval(one: dict[str, float] | None) -> str:
    """A kept mean with its interval, in percent; a dash where there was nothing to take it of."""
    return "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * one[key] for key in ("value", "low", "high"))) if one else "–"


def recorded(annotations_sha256: str, recipe_sha256: str, path: Path = EVALUATION) -> dict[str, Any] | None:
    """The kept evaluation, if it is of these annotations and this recipe."""
    return _kept(path, annotations_sha256=annotations_sha256, recipe_sha256=recipe_sha256)


def recorded_audit(annotations_sha256: str, checkpoint_sha256: str, path: Path = AUDIT) -> dict[str, Any] | None:
    """The kept audit, if it is of these annotations and this checkpoint."""
    return _kept(path, annotations_sha256=annotations_sha256, checkpoint_sha256=checkpoint_sha256)


def recorded_comparisons(annotations_sha256: str, recipe_sha256: str, path: Path = COMPARISONS) -> dict[str, Any]:
    """The kept comparisons that were measured on these annotations and change this recipe."""
    rows: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {
        name: row
        for name, row in rows.items()
        if (row["annotations_sha256"], row["changed_recipe_sha256"]) == (annotations_sha256, recipe_sha256)
    }


def _kept(path: Path, **digests: str) -> dict[str, Any] | None:
    """A kept result, if it is there and was measured on what the digests name."""
    if not path.exists():
        return None
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result if all(result[name] == digest for name, digest in digests.items()) else None


def checkpoint_metrics(model: Path) -> dict[str, Any]:
    """What training has written of a checkpoint.

    Raises:
        CheckpointError: when the folder has no such record.
    """
    try:
        metrics: dict[str, Any] = json.loads((model / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{model / METRICS}: cannot be read ({error}); give --model a folder written by training.train") from None
    return metrics


def write(folder: Path, metrics: dict[str, Any], recipe: Recipe, codebook: Codebook) -> None:
    """Write ``metrics.json``, the card and, where it was measured, the risk-coverage curve into a checkpoint's folder."""
    if points := (metrics["cross_validation"] or {}).get("risk_coverage"):
        from training.curve import curve  # slow to import, and only this needs it

        (folder / CURVE).write_text(curve(points), encoding="utf-8")
    (folder / METRICS).write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card(metrics, recipe, codebook), encoding="utf-8")


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    model: Annotated[Path, typer.Option("--model", metavar="FOLDER", help="The checkpoint whose card is drawn anew.")] = MODEL,
) -> None:
    """Draw a checkpoint's card anew, with what training.evaluate and training.audit have kept of it since."""
    metrics = checkpoint_metrics(model)
    found = recorded(metrics["annotations_sha256"], metrics["recipe_sha256"])
    if found is None:
        raise TrainingError(f"{EVALUATION}: no cross-validation of this checkpoint's annotations and recipe; run training.evaluate first")
    audited = recorded_audit(metrics["annotations_sha256"], Checkpoint.load(model).digest)
    compared = recorded_comparisons(metrics["annotations_sha256"], metrics["recipe_sha256"])
    measured = {"cross_validation": found, "audit": audited, "comparisons": compared}
    write(model, {**metrics, **measured}, Recipe.load(model / "recipe.toml"), Codebook.load(model / CODEBOOK))
    print(f"wrote {model / 'README.md'}")


if __name__ == "__main__":
    run(app)
