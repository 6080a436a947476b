import numpy as np
import ppi_py
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from slant.estimate import Design, EstimateError, Floats, Integers, Survey, as_read, corrected, t_quantile

SENTENCES, CODED = 20_000, 500


@pytest.fixture(scope="module")
def made() -> tuple[Floats, Floats, Floats, Integers]:
    """Truth, a model's probabilities, times, and a simple random sample."""
    random = np.random.default_rng(5)
    true = (random.uniform(size=SENTENCES) < 0.3).astype(float)
    said = np.clip(0.25 + 0.5 * true + random.normal(0, 0.15, SENTENCES), 0, 1)
    chosen = np.sort(random.choice(SENTENCES, CODED, replace=False))
    return true, said, random.uniform(0, 3, SENTENCES), chosen.astype(np.int64)


def simple(chosen: Integers, size: int = SENTENCES) -> Design:
    return Design(np.zeros(size, dtype=np.int64), chosen)


@pytest.mark.parametrize("tuning", [0.0, 0.4, 1.0])
def test_a_simple_sample_without_clusters_is_ppi_pythons_mean(made: tuple[Floats, Floats, Floats, Integers], tuning: float) -> None:
    true, said, _, chosen = made
    survey = Survey(np.arange(SENTENCES), simple(chosen))
    fit = survey.shares(corrected(said, true[chosen], simple(chosen), tuning=tuning))
    (found,) = survey.estimate(fit)
    (theirs,) = ppi_py.ppi_mean_pointestimate(true[chosen], said[chosen], said, lam=tuning)
    low, high = ppi_py.ppi_mean_ci(true[chosen], said[chosen], said, alpha=0.05, lam=tuning)
    assert found.value == pytest.approx(theirs, abs=1e-12)
    # theirs takes the two samples for independent: a cross-term of the size of coded / all is between them
    assert found.low == pytest.approx(low[0], abs=0.0012)
    assert found.high == pytest.approx(high[0], abs=0.0012)


def test_the_chosen_tuning_is_ppi_pythons(made: tuple[Floats, Floats, Floats, Integers]) -> None:
    true, said, _, chosen = made
    ours = corrected(said, true[chosen], simple(chosen))
    theirs = ppi_py.ppi_mean_pointestimate(true[chosen], said[chosen], said)
    survey = Survey(np.arange(SENTENCES), simple(chosen))
    (found,) = survey.estimate(survey.shares(ours))
    low, high = ppi_py.ppi_mean_ci(true[chosen], said[chosen], said, alpha=0.05)
    assert 0 < ours.tuning <= 1
    assert found.value == pytest.approx(theirs[0], abs=0.001)
    assert found.high - found.low == pytest.approx(high[0] - low[0], rel=0.02)


@pytest.mark.parametrize("tuning", [0.0, 0.4, 1.0])
def test_a_trend_is_ppi_pythons_regression(made: tuple[Floats, Floats, Floats, Integers], tuning: float) -> None:
    true, said, time, chosen = made
    design = simple(chosen)
    survey = Survey(np.arange(SENTENCES), design)
    (found,) = survey.estimate(survey.trend(corrected(said, true[chosen], design, tuning=tuning), time))
    x = np.stack([np.ones(SENTENCES), time], axis=1)
    theirs = ppi_py.ppi_ols_pointestimate(x[chosen], true[chosen], said[chosen], x, said, lam=tuning)[1]
    low, high = (bound[1] for bound in ppi_py.ppi_ols_ci(x[chosen], true[chosen], said[chosen], x, said, alpha=0.05, lam=tuning))
    # the coded sentences' spread in time is theirs, that of all sentences is ours: alike as the sample grows
    assert found.value == pytest.approx(theirs, abs=0.25 * (high - low))
    assert found.high - found.low == pytest.approx(high - low, rel=0.1)


def test_without_a_sample_shares_are_means_with_cluster_robust_errors() -> None:
    label = np.array([1.0, 1, 0, 0, 1, 1, 1, 0])
    article = np.array([0, 0, 1, 1, 1, 2, 2, 3])
    survey = Survey(article)
    (found,) = survey.estimate(survey.shares(as_read(label)))
    share = label.mean()
    sums = np.array([(label[article == a] - share).sum() for a in range(4)])
    assert found.value == share
    assert found.standard_error == pytest.approx(np.sqrt(4 / 3 * (sums**2).sum()) / 8)
    width = stats.t.ppf(0.975, 3) * found.standard_error
    assert found.high - found.value == pytest.approx(width, rel=0.03)


def test_everything_coded_leaves_the_truth_and_no_error_of_these_articles(made: tuple[Floats, Floats, Floats, Integers]) -> None:
    true, said, time = (part[:200] for part in made[:3])
    design = simple(np.arange(200), 200)
    survey = Survey(np.repeat(np.arange(20), 10), design, "corpus")
    outcome = corrected(said, true, design)
    groups = np.arange(200) % 3
    for i, one in enumerate(survey.estimate(survey.shares(outcome, groups=groups))):
        assert one.value == pytest.approx(true[groups == i].mean())
        assert one.standard_error == pytest.approx(0, abs=1e-12)
    (slope,) = survey.estimate(survey.trend(outcome, time))
    assert slope.value == pytest.approx(np.polyfit(time, true, 1)[0])
    assert slope.low == pytest.approx(slope.high)


def test_strata_are_weighted_by_their_sizes() -> None:
    strata = np.array([0] * 8 + [1] * 2)
    design = Design(strata, np.array([0, 1, 8, 9]))
    survey = Survey(np.arange(10), design, "corpus")
    (found,) = survey.estimate(survey.shares(corrected(np.zeros(10), np.array([1.0, 0, 1, 1]), design)))
    assert found.value == pytest.approx((8 * 0.5 + 2 * 1) / 10)
    # stratum 0: variance 0.5 of 2 drawn of 8; stratum 1 is wholly coded
    assert found.standard_error == pytest.approx(np.sqrt(8**2 * (1 - 2 / 8) * 0.5 / 2) / 10)


def test_a_share_among_the_authors_sentences_is_a_ratio(made: tuple[Floats, Floats, Floats, Integers]) -> None:
    true, said = made[0][:300], made[1][:300]
    author = (np.arange(300) % 3 > 0).astype(float)
    design = simple(np.arange(300), 300)
    survey = Survey(np.arange(300), design)
    both, among = corrected(said * author, true * author, design), corrected(author, author, design)
    assert survey.shares(both, base=among).value[0] == pytest.approx(true[author == 1].mean())


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_a_bad_model_costs_width_and_no_bias(seed: int) -> None:
    """Over all samples that can be drawn of four sentences the estimate's mean is the truth."""
    random = np.random.default_rng(seed)
    true, said = random.integers(0, 2, 4).astype(float), random.uniform(size=4)
    values = []
    for chosen in ([0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]):
        design = simple(np.array(chosen), 4)
        values.append(Survey(np.arange(4), design).shares(corrected(said, true[chosen], design, tuning=0.7)).value[0])
    assert np.mean(values) == pytest.approx(true.mean())


def test_differences_leave_out_groups_without_a_value() -> None:
    survey = Survey(np.arange(6))
    fit = survey.shares(as_read(np.array([1.0, 0, 1, 1, 0, 0])), groups=np.array([0, 0, 2, 2, 3, 3]))
    assert np.isnan(fit.value[1])
    assert fit.combine([1, 0, -1, 0]).value == pytest.approx(-0.5)


def test_needed_is_what_suffices() -> None:
    """Coding as many as is said, drawn alike, gives about the half width asked for."""
    random = np.random.default_rng(2)
    true = (random.uniform(size=SENTENCES) < 0.3).astype(float)
    said = np.full(SENTENCES, 0.5)

    def half_width(count: int) -> tuple[float, int | None]:
        chosen = np.sort(random.choice(SENTENCES, count, replace=False)).astype(np.int64)
        survey = Survey(np.arange(SENTENCES), simple(chosen), "corpus")
        fit = survey.shares(corrected(said, true[chosen], simple(chosen)))
        (found,) = survey.estimate(fit)
        return 1.96 * found.standard_error, survey.needed(fit, 0.03)[0]

    _, needed = half_width(200)
    assert needed is not None
    assert needed == pytest.approx(0.21 * (1.96 / 0.03) ** 2, rel=0.2)
    assert half_width(needed)[0] == pytest.approx(0.03, rel=0.1)


def test_where_articles_are_too_few_no_coding_suffices() -> None:
    random = np.random.default_rng(3)
    article = np.repeat(np.arange(10), 100)
    true = (random.uniform(size=1000) < np.repeat(random.uniform(size=10), 100)).astype(float)
    chosen = np.sort(random.choice(1000, 300, replace=False)).astype(np.int64)
    survey = Survey(article, simple(chosen, 1000))
    fit = survey.shares(corrected(true, true[chosen], simple(chosen, 1000)))
    assert survey.needed(fit, 0.01) == [None]


def test_intervals_of_shares_stay_within_their_bounds() -> None:
    survey = Survey(np.arange(20))
    (none,) = survey.estimate(survey.shares(as_read(np.zeros(20))), bounded=True)
    (all_,) = survey.estimate(survey.shares(as_read(np.ones(20))), bounded=True)
    assert (none.low, all_.high) == (0, 1)
    assert 0.1 < none.high < 0.25
    assert all_.low == pytest.approx(1 - none.high)


def test_of_one_article_nothing_is_known_of_its_source() -> None:
    read = as_read(np.array([1.0, 0, 1, 0, 1, 0]))
    groups = np.array([0, 0, 0, 0, 1, 1])
    survey = Survey(np.array([0, 0, 1, 1, 2, 2]))
    fit = survey.shares(read, groups=groups)
    several, alone = survey.estimate(fit, bounded=True)
    assert several.high < 1
    assert (alone.value, alone.low, alone.high) == (0.5, 0, 1)
    (difference,) = survey.estimate(fit.combine([1, -1]))
    assert difference.value == 0
    assert np.isnan(difference.low)


def test_a_share_stays_within_its_bounds_where_a_correction_overshoots() -> None:
    design = Design(np.zeros(40, dtype=np.int64), np.arange(4))
    survey = Survey(np.repeat(np.arange(10), 4), design)
    outcome = corrected(np.r_[np.ones(4), np.zeros(36)], np.array([0.0, 0, 0, 1]), design, tuning=1.0)
    groups = np.r_[np.zeros(4, dtype=np.int64), np.ones(36, dtype=np.int64)]
    raw = survey.shares(outcome, groups=groups)
    assert raw.value.min() < 0
    assert all(0 <= one.value <= 1 and one.low <= one.value <= one.high for one in survey.estimate(raw, bounded=True))


@pytest.mark.parametrize(
    ("strata", "coded", "message"),
    [
        ([0, 0, 1, 1], [0, 1], "stratum 1 has 0 coded of 2 sentences; code at least 2"),
        ([0, 0, 0, 0], [0], "stratum 0 has 1 coded of 4 sentences; code at least 2"),
        ([0, 0, 0, 0], [0, 0], "the sample holds a sentence twice"),
    ],
)
def test_designs_that_cannot_be_estimated_from_are_refused(strata: list[int], coded: list[int], message: str) -> None:
    with pytest.raises(EstimateError, match=message):
        Design(np.array(strata), np.array(coded))


def test_a_trend_needs_two_points_in_time() -> None:
    with pytest.raises(EstimateError, match="a trend needs two points in time"):
        Survey(np.arange(3)).trend(as_read(np.ones(3)), np.ones(3))


@pytest.mark.parametrize("degrees", [5, 10, 30, 300])
@pytest.mark.parametrize("probability", [0.9, 0.975, 0.995])
def test_t_quantiles_are_scipys(probability: float, degrees: int) -> None:
    assert t_quantile(probability, degrees) == pytest.approx(stats.t.ppf(probability, degrees), abs=0.02 if degrees < 10 else 0.002)


def test_intervals_hold_the_truth_as_often_as_they_say_and_naive_ones_do_not() -> None:
    """A short run of the benchmark; its table of 2,000 corpora is in the documentation."""
    from benchmarks import intervals

    random = np.random.default_rng(11)
    source = intervals.truth(intervals.corpus(100_000, -1.2, random))
    held: dict[str, list[bool]] = {"naive": [], "prediction-powered": []}
    for _ in range(150):
        made = intervals.corpus(300, -1.2, random)
        audited = {name: found for name, found, _ in intervals.audited(made, 300, random)}
        for method, found in (("naive", intervals.naive(made)), ("prediction-powered", audited["prediction-powered"])):
            held[method] += [found[name].low <= source[name] <= found[name].high for name in ("share", "trend")]
    assert 0.92 < np.mean(held["prediction-powered"]) < 0.98
    assert np.mean(held["naive"]) < 0.6
