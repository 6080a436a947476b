import numpy as np
import pytest
from sklearn.metrics import f1_score

from training.metrics import CalibrationError, FrameF1, LabelF1, risk_coverage

RANDOM = np.random.default_rng(4)


def test_label_f1_is_scikit_learns() -> None:
    predicted, gold = RANDOM.integers(0, 3, 200), RANDOM.integers(0, 3, 200)
    found = LabelF1().compute(predictions=predicted, references=gold, label_count=3)
    assert found["f1"] == pytest.approx(f1_score(gold, predicted, average=None))
    assert found["macro_f1"] == pytest.approx(f1_score(gold, predicted, average="macro"))


def test_frame_f1_is_scikit_learns() -> None:
    predicted, gold = RANDOM.integers(0, 2, (200, 3)), RANDOM.integers(0, 2, (200, 3))
    found = FrameF1().compute(predictions=predicted.tolist(), references=gold.tolist())
    assert found["f1"] == pytest.approx(f1_score(gold, predicted, average=None))
    assert found["macro_f1"] == pytest.approx(f1_score(gold, predicted, average="macro"))


def test_a_label_that_never_occurs_scores_nothing() -> None:
    found = LabelF1().compute(predictions=[0, 0], references=[0, 0], label_count=2)
    assert found == {"f1": [1.0, 0.0], "macro_f1": 0.5}


def test_calibration_error_by_hand() -> None:
    # bin of 0.9: two with 1 right, gap |1.8 - 1|; bin of 0.6: one right, gap |0.6 - 1|
    found = CalibrationError().compute(predictions=[0.9, 0.9, 0.6], references=[1, 0, 1])
    assert found["calibration_error"] == pytest.approx((0.8 + 0.4) / 3)
    assert CalibrationError().compute(predictions=[1.0], references=[1])["calibration_error"] == 0


def test_risk_coverage_is_the_error_rate_above_each_threshold() -> None:
    confidence, correct = RANDOM.uniform(size=500).round(2), RANDOM.uniform(size=500) < 0.7
    found = risk_coverage(confidence, correct)
    assert 15 <= len(found) <= 20
    by_threshold = {float((confidence >= t).mean()): 1 - correct[confidence >= t].mean() for t in np.unique(confidence)}
    for coverage, risk in found:
        assert risk == pytest.approx(by_threshold[coverage])
    assert found == sorted(found)
    assert found[-1] == pytest.approx((1.0, 1 - correct.mean()))


def test_sentences_alike_sure_are_covered_together() -> None:
    (found,) = risk_coverage(np.full(7, 0.5), np.arange(7) < 5)
    assert found == pytest.approx((1.0, 2 / 7))


@pytest.mark.parametrize(("confidences", "verdicts"), [(0, 0), (3, 2)])
def test_risk_coverage_needs_a_verdict_for_each_sentence(confidences: int, verdicts: int) -> None:
    with pytest.raises(ValueError, match=f"{confidences} confidences and {verdicts} verdicts"):
        risk_coverage(np.zeros(confidences), np.zeros(verdicts, dtype=bool))
