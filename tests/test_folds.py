from training.folds import near_duplicates, split

STORY = " ".join(f"word{i}" for i in range(100))


def test_texts_that_share_long_runs_are_one_group() -> None:
    texts = {"a": STORY, "b": "A new top. " + STORY, "c": " ".join(f"other{i}" for i in range(100)), "d": STORY[:400] + " end"}
    groups = near_duplicates(texts)
    assert groups["a"] == groups["b"] == groups["d"]
    assert groups["c"] == "c"


def test_groups_stay_whole_and_every_article_is_in_one_fold() -> None:
    ids = [f"a{i}" for i in range(40)]
    groups = {key: f"g{int(key[1:]) // 2}" for key in ids}
    strata = {key: "real" if int(key[1:]) < 20 else "written" for key in ids}
    folds = split(ids, groups, strata, folds=5, seed=1)
    assert sorted(key for fold in folds for key in fold) == sorted(ids)
    for fold in folds:
        assert {groups[key] for key in fold}.isdisjoint({groups[key] for other in folds if other is not fold for key in other})
        assert {strata[key] for key in fold} == {"real", "written"}
    assert folds == split(ids, groups, strata, folds=5, seed=1)
