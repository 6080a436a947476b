"""Writes the methods paragraph of a report, and the bundle from which somebody else can reproduce it."""

from collections.abc import Sequence
from typing import Any

import slant
from slant.audit import left_open
from slant.report.numbers import Numbers, plural

SHOWN = 12  # characters of a digest in running text; the bundle has them whole


def bundle(numbers: Numbers, by: Sequence[str], metrics: dict[str, Any] | None, digests: dict[str, str]) -> dict[str, Any]:
    """Everything that the report was made of, as plain data.

    Args:
        numbers: of the report.
        by: the columns asked for.
        metrics: of the model, where they are at hand.
        digests: sha256 of the files that were read, by their name.
    """
    corpus, manifest = numbers.corpus, numbers.corpus.scores.manifest
    audit = corpus.audit
    return {
        "slant": slant.__version__,
        "command": {"by": list(by), "population": corpus.population, "level": corpus.level, "tuning": corpus.tuning},
        "scores": {key: manifest[key] for key in sorted(manifest)},
        "files_sha256": digests,
        "facts": numbers.facts,
        "sample": None
        if audit is None
        else {
            "coders": audit.coders,
            "coded": len(audit.design.coded),
            "drawn": audit.drawn,
            "strata": [{"sentences": int(size), "coded": int(drawn)} for size, drawn in zip(audit.design.sizes, audit.design.drawn, strict=True)],
            "stratified_by": ["frames as read", "stance as read", *audit.rows[0]["by"]],
            "seed": audit.rows[0]["seed"],
            "agreement": audit.agreement,
        },
        "model_metrics": metrics,
        "shares": [row.cells() for row in numbers.shares],
        "warnings": numbers.warnings,
    }  # fmt: skip


def paragraph(numbers: Numbers, by: Sequence[str], metrics: dict[str, Any] | None) -> str:
    """The paragraph for the paper, every number from this run."""
    corpus, scores, manifest = numbers.corpus, numbers.corpus.scores, numbers.corpus.scores.manifest
    told = [_what_was_read(numbers), _model(scores.model, manifest, metrics)]
    if corpus.audit is None:
        told.append(
            f"Shares count the labels as the model read them and are not corrected for its errors; intervals ({corpus.level:.0%}) are cluster-robust, "
            "with articles as clusters, and leave the model's errors out."
        )
    else:
        told += [_sample(numbers), _intervals(numbers)]
    if by:
        told.append(f"Results are given by {' and '.join(by)}.")
    return " ".join(told)


def _what_was_read(numbers: Numbers) -> str:
    facts, manifest = numbers.facts, numbers.corpus.scores.manifest
    inputs = manifest.get("input", {})
    digest = next((str(value) for key, value in inputs.items() if "sha256" in key), "")
    data = f" (input sha256 {digest[:SHOWN]}…)" if digest else ""
    extras = []
    if facts["duplicates"]:
        extras.append(f"exact copies ({facts['duplicates']:,}) were counted once")
    if facts["failures"]:
        extras.append(f"{plural(facts['failures'], 'article')} could not be read")
    return (
        f"We coded {plural(facts['sentences'], 'sentence')} of {plural(facts['articles'], 'article')}{data}{'; ' + ' and '.join(extras) if extras else ''}. "
        f"Each sentence was coded for frames ({', '.join(numbers.corpus.scores.frame_labels)}; none, one or several), for stance towards "
        f"“{manifest.get('target', '')}” ({', '.join(numbers.corpus.scores.stance_labels)}) and for voice "
        f"({', '.join(numbers.corpus.scores.voice_labels)}) under codebook {manifest.get('codebook', '')}.{left_open(numbers.corpus.scores)}"
    )


def _model(digest: str, manifest: dict[str, Any], metrics: dict[str, Any] | None) -> str:
    told = f"Sentences were read by slant {manifest.get('slant', '')} (model sha256 {digest[:SHOWN]}…)"
    measured = (metrics or {}).get("cross_validation")
    if not metrics or not measured:
        return f"{told}, whose accuracy on unseen articles is not on record."
    score = measured["scores"]["slant"]["all"]
    agreed = ", ".join(f"{name} {one['alpha']:.2f}" for name, one in measured["alpha"]["coder and coder"].items())
    coders = f"{' and '.join(measured.get('coder_kinds', ()))} coders".strip()
    return (
        f"{told}, trained on data with sha256 {metrics['annotations_sha256'][:SHOWN]}…, on which {coders} agreed at Krippendorff's alpha {agreed}. On unseen articles "
        f"({measured['folds']} folds grouped by article, {measured['sentences']['all']:,} sentences) its macro-F1 is {score['frames_macro']:.2f} for frames, "
        f"{score['stance_macro']:.2f} for stance and {score['voice_macro']:.2f} for voice."
    )


def _sample(numbers: Numbers) -> str:
    audit = numbers.corpus.audit
    assert audit is not None
    design, first = audit.design, audit.rows[0]
    least, most = float((design.drawn / design.sizes).min()), float((design.drawn / design.sizes).max())
    by = "".join(f" and by {name}" for name in first["by"])
    agreed = ", ".join(f"{name} {value:.2f}" for name, value in audit.agreement.items() if value == value)
    twice = (
        f" Where several coded the same sentence, Krippendorff's alpha was {agreed}; where they differed, each counts equally."
        if agreed
        else ""
    )
    lacking = f" {audit.uncoded} sentences that were drawn were not coded." if audit.uncoded > 0 else ""
    return (
        f"To correct for the model's errors, a probability sample of {audit.drawn} sentences was drawn, stratified by frames and stance as read{by} "
        f"({len(design.sizes)} strata, inclusion probabilities {least:.4f} to {most:.4f}, seed {first['seed']}), and coded by {', '.join(audit.coders)}, "
        f"who did not see what the model said.{twice}{lacking}"
    )


def _intervals(numbers: Numbers) -> str:
    corpus = numbers.corpus
    method = (
        "design-based, without the model's probabilities"
        if corpus.tuning == 0
        else "prediction-powered, tuned for the least variance (PPI++)"
    )
    about = (
        "the articles' source, with articles as clusters"
        if corpus.population == "source"
        else "these articles, so that only the coding is uncertain"
    )
    return f"Estimates are {method}, with the strata's means; intervals ({corpus.level:.0%}) are about {about}."
