"""Says how far a label's shares can be trusted: a tier from scores on unseen articles beside how far coders agree."""

from collections.abc import Mapping
from typing import Any, Literal

Tier = Literal["A", "B", "C"]
Tiers = Mapping[str, Mapping[str, Tier]]  # code (frame, stance or voice): label: tier; what was not measured is not in it

# F1 on unseen articles, and the model's alpha with gold as a share of the coders' with one another: at least these.
# 0.75 is what the best published readers reach on sentences' frames (0.66 to 0.77); 0.60 is what a logistic regression on
# sentence embeddings reaches on ours, below which a reader is not worth its name. A model at two thirds of the coders' alpha
# is nearer to them than to chance by two to one; at less than half it is nearer to chance.
CUTS: tuple[tuple[Tier, float, float], ...] = (("A", 0.75, 2 / 3), ("B", 0.60, 1 / 2))
RELIABLE_ALPHA = 0.667  # Krippendorff (2004), p. 241: where coders agree less, nobody knows what to read
LEGEND = "(C): of low reliability, misread too often on unseen articles or never measured; its share alone says little"


def tier(f1: float, model_alpha: float, coder_alpha: float) -> Tier:
    """Put a label into a tier: A can be counted, B can be counted with care, C cannot.

    Args:
        f1: of the label on articles that training did not see, in [0, 1].
        model_alpha: Krippendorff's alpha of the model and gold on the label's code; NaN where it is not defined.
        coder_alpha: of the coders with one another on the same sentences.

    Returns:
        The best tier whose cuts both hold; C where the coders agree too little for anything to be measured by them.

    Source:
        Krippendorff (2004), "Content Analysis", for the least agreement; the cuts are ours.

    >>> tier(0.80, 0.70, 0.90), tier(0.80, 0.50, 0.90), tier(0.86, 0.33, 0.93), tier(0.9, 0.6, 0.6)
    ('A', 'B', 'C', 'C')
    """
    if not coder_alpha >= RELIABLE_ALPHA:
        return "C"
    return next((name for name, least_f1, share in CUTS if f1 >= least_f1 and model_alpha >= share * coder_alpha), "C")


def tiers(metrics: Mapping[str, Any]) -> dict[str, dict[str, Tier]]:
    """The tiers of all labels, from a checkpoint's ``metrics.json``; empty where it has no cross-validation."""
    measured = metrics.get("cross_validation")
    if not measured:
        return {}
    score, alpha = measured["scores"]["slant"]["all"], measured["alpha"]

    def own(code: str) -> dict[str, Tier]:
        found = {}
        for label, f1 in score[f"{code}_f1"].items():
            name = label if code == "frame" else code  # each frame has an alpha of its own
            found[label] = tier(f1, alpha["model and gold"][name]["alpha"], alpha["coder and coder"][name]["alpha"])
        return found

    return {code: own(code) for code in ("frame", "stance", "voice")}


def tier_of(tiers: Tiers, code: str, label: str) -> Tier:
    """The tier of a label; C where it was not measured.

    >>> tier_of({"stance": {"favor": "B"}}, "stance", "favor"), tier_of({}, "stance", "favor")
    ('B', 'C')
    """
    return tiers.get(code, {}).get(label, "C")


def marked(label: str, tier: Tier) -> str:
    """A label as it stands beside its share: below tier B it says so.

    >>> marked("favor", "C"), marked("security", "A")
    ('favor (C)', 'security')
    """
    return f"{label} (C)" if tier == "C" else label
