"""Writes a checkpoint's model card from the metrics of its training run."""

from typing import Any

import jinja2

from slant.codebook import Codebook
from training.recipe import Recipe

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
on {{ metrics.training.sentences }} sentences of {{ metrics.training.articles }} articles coded by machine coders (see the datasheet in `data/annotations/`).
`model.int8.onnx` is what the plain install runs; `model.safetensors` (fp16) is the reference for `--backend torch`.

## Intended use

Measuring framing and stance over many articles in research and media monitoring, and looking at
single articles sentence by sentence. Not for judging persons, nor for moderation or any decision about people.

## Scores

Validation articles of this very run ({{ metrics.validation.articles }} articles, {{ metrics.validation.sentences }} sentences; temperatures and
thresholds were chosen on them, so these flatter; printed by `python -m training.train`):
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
F1 by label, all texts: {% for group in ('frame_f1', 'stance_f1', 'voice_f1') %}{% for label, value in cv.scores.slant.all[group].items() %}{{ label }} {{ f(value) }}{{ ', ' }}{% endfor %}{% endfor %}macro-F1 is the plain mean of a code's labels.

Krippendorff's alpha on the same sentences:

| | {% for name in cv.alpha['model and gold'] %}{{ name }} | {% endfor %}

| --- |{% for name in cv.alpha['model and gold'] %} ---: |{% endfor %}
{% for who, found in cv.alpha.items() -%}
| {{ who }} | {% for a in found.values() %}{{ f(a.alpha) }} | {% endfor %}

{% endfor %}
Expected calibration error: {% for head, value in cv.calibration_error.items() %}{{ head }} {{ '%.3f' | format(value) }}{{ ', ' if not loop.last }}{% endfor %}.
{%- else -%}
No cross-validation is recorded for these annotations and this recipe; run `python -m training.evaluate`.
{%- endif %}

## Limits

English only. Gold was coded by machine coders under a codebook, not by people; agreement with it is not
agreement with your coders. The default target is "{{ codebook.default_target }}"; other targets
are rarer in training, and their stances are less sure. Irony, reported speech without quotation marks and
sentences that need the whole article are where it errs most. A sentence longer than {{ recipe.window }} tokens is cut.

## Licences

Weights: Apache-2.0, as the base encoder's. Third-party training texts are not redistributed.
"""


def card(metrics: dict[str, Any], recipe: Recipe, codebook: Codebook) -> str:
    """Draw the model card; every number in it comes from ``metrics``."""
    environment = jinja2.Environment(keep_trailing_newline=True, autoescape=False)
    template = environment.from_string(_CARD)
    return template.render(metrics=metrics, recipe=recipe, codebook=codebook, f=lambda x: f"{x:.2f}", p=lambda x: f"{x:.1%}")
