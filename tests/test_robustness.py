"""The audit of a checkpoint: swapped names, other targets, deleted evidence; readers whose answers are known beforehand."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner

from slant.article import Article
from slant.checkpoint import WEIGHTS, Checkpoint
from slant.codebook import AnnotationError, Codebook
from slant.network import Network
from slant.reader import Reader, load
from tests.conftest import CODEBOOK, TARGET
from training.annotations import Annotations
from training.audit import Held, app, as_article, audit, evidence_audit, held_out, identity_audit, mean, tables, target_audit
from training.card import card, recorded_audit
from training.commands import ANNOTATIONS, ROOT, TrainingError
from training.identities import Identities
from training.recipe import Recipe
from training.targets import Wordings

OPPOSITE = "closing the harbour"
UNRELATED = "a school on the wall"
WORDINGS = Wordings({TARGET: OPPOSITE}, {TARGET: ("open harbour",)}, (UNRELATED,))
NATIONS = """
[nationality]
keep = ["Latin America"]
groups = [[
    [["the United States", "[Tt]he U\\\\.S\\\\.", "America"], ["American", "U\\\\.S\\\\."], "American", "Americans", "Washington"],
    ["Ireland", "Irish", "Irishman", "Irish nationals", "Dublin"],
]]
"""


# names


@pytest.fixture(scope="module")
def nations(tmp_path_factory: pytest.TempPathFactory) -> Identities:
    path = tmp_path_factory.mktemp("identities") / "identities.toml"
    path.write_text(NATIONS)
    return Identities.load(path)["nationality"]


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("An Irishman met an American in Dublin.", "An American met an Irishman in Washington."),
        ("He is American.", "He is Irish."),
        ("American troops left; an American, too.", "Irish troops left; an Irishman, too."),
        ("Ireland left.", "The United States left."),
        ("The United States left Ireland.", "Ireland left the United States."),
        ("They left the U.S.", "They left Ireland."),
        ("They left the U.S., and the U.S. Senate, and “the U.S.”", "They left Ireland, and the Irish Senate, and “Ireland.”"),
        (
            "The U.S.-led talks of pro-Ireland and Ireland-backed men",
            "The Ireland-led talks of pro-United States and United States-backed men",
        ),
        ("the United States’ war, the United States' men", "Ireland’s war, Ireland's men"),
        ("He said ‘the United States’ and left", "He said ‘Ireland’ and left"),
        ("Ireland's men, Ireland’s", "The United States's men, the United States’s"),
        ("THE UNITED STATES AND IRELAND", "IRELAND AND THE UNITED STATES"),
        ("the United\nStates", "Ireland"),
        (
            "“The U.S. is here,” they said. The U.S. government and the United States Congress",
            "“Ireland is here,” they said. The Irish government and the Irish Congress",
        ),
        (
            "Latin America, Americana, @Ireland, ireland.com, Ireland.com, Irelander",
            "Latin America, Americana, @Ireland, ireland.com, Ireland.com, Irelander",
        ),
        ("", ""),
    ],
)
def test_names_are_swapped_as_a_writer_would(text: str, swapped: str, nations: Identities) -> None:
    assert nations.swap([text], np.random.default_rng(0)) == [swapped]


def test_a_swap_is_the_same_all_through_and_keeps_names_apart() -> None:
    leaders = Identities.load()["leader"]
    texts = ["Donald Trump and Joe Biden spoke.", "Biden left. TRUMP stayed.", "Bill Clinton and Hillary Clinton"]
    for seed in range(20):
        one, two, three = leaders.swap(texts, np.random.default_rng(seed))
        first, second = (name.split()[-1] for name in one.removesuffix(" spoke.").split(" and "))
        assert first != "Trump"
        assert second != "Biden"
        assert first != second
        assert two == f"{second} left. {first.upper()} stayed."
        assert three.startswith("Bill Clinton and ")
        assert "Hillary" not in three
    assert leaders.swap(texts, np.random.default_rng(3)) == leaders.swap(texts, np.random.default_rng(3))


def test_every_shipped_name_is_swapped_in_every_form() -> None:
    for kind, names in Identities.load().items():
        for group in names.groups:
            for name in group:
                for form in name:
                    (swapped,) = names.swap([f"it was {form} again"], np.random.default_rng(1))
                    assert swapped != f"it was {form} again", (kind, form)


def test_a_group_needs_counterparts_with_the_same_forms(tmp_path: Path) -> None:
    path = tmp_path / "identities.toml"
    path.write_text('[party]\ngroups = [[["a", "b"], ["c"]]]')
    with pytest.raises(TrainingError, match="group 1 of party needs two names or more, all with the same forms"):
        Identities.load(path)
    path.write_text("[party]\n")
    with pytest.raises(TrainingError, match=r"identities\.toml: cannot be read"):
        Identities.load(path)


# targets


def test_every_target_of_the_codebook_has_an_opposite_and_paraphrases() -> None:
    codebook = Codebook.load(ANNOTATIONS / "codebook.toml")
    wordings = Wordings.load(ANNOTATIONS / "targets.toml", codebook)
    assert set(wordings.opposites) == set(wordings.paraphrases) == set(codebook.targets)
    assert all(len(set(said)) >= 2 for said in wordings.paraphrases.values())
    said = [*codebook.targets, *wordings.opposites.values(), *(one for some in wordings.paraphrases.values() for one in some)]
    assert len(set(said)) == len(said)
    assert len(set(wordings.unrelated) - set(said)) == 5


def test_wordings_of_an_unknown_target_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "targets.toml"
    assert Wordings.load(path, Codebook.parse(CODEBOOK)) == Wordings()
    path.write_text(f'[[targets]]\ntarget = "{TARGET}s"\n')
    with pytest.raises(AnnotationError, match=rf"target '{TARGET}s' is not in the codebook \(did you mean '{TARGET}'\?\)"):
        Wordings.load(path, Codebook.parse(CODEBOOK))
    path.write_text('[[targets]]\nopposite = "closing it"\n')
    with pytest.raises(AnnotationError, match=r"each .* has target, opposite and paraphrases"):
        Wordings.load(path, Codebook.parse(CODEBOOK))


# readers whose answers are known


class Keywords:
    """A backend to which some words are worth a logit, wherever they stand, and all others nothing."""

    def __init__(self, checkpoint: Checkpoint, worth: dict[str, dict[int, float]], *, reads_target: bool = False) -> None:
        reader = Reader(checkpoint, self)
        ids = {word: reader._tokenizer.encode(word, add_special_tokens=False).ids for word in worth}
        assert all(len(found) == 1 for found in ids.values())
        self._worth = {ids[word][0]: columns for word, columns in worth.items()}
        self._end = reader._tokenizer.token_to_id("[SEP]")
        self._turning = reader._tokenizer.encode("closing", add_special_tokens=False).ids
        self._unrelated = reader._tokenizer.encode("school", add_special_tokens=False).ids
        self._width = checkpoint.label_count
        self._reads_target = reads_target

    def token_logits(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        logits = np.zeros((len(ids), self._width), dtype=np.float32)
        logits[:, [ECONOMIC, SAFETY]] = -5
        for i, one in enumerate(ids.tolist()):
            for column, value in self._worth.get(one, {}).items():
                logits[i, column] = value
        text = ids.tolist()
        target = text[: text.index(self._end)]
        if self._reads_target and set(self._turning) <= set(target):
            logits[:, [FAVOR, AGAINST]] = logits[:, [AGAINST, FAVOR]]
        if self._reads_target and set(self._unrelated) <= set(target):
            logits[:, [FAVOR, AGAINST]] = 0
        logits[:, NEUTRAL] += 1
        return logits


ECONOMIC, SAFETY, FAVOR, AGAINST, NEUTRAL = range(5)
WORTH = {"money": {ECONOMIC: 200.0, FAVOR: 90.0}, "danger": {SAFETY: 200.0, AGAINST: 90.0}}
TEXTS = ("Money came to the harbour on Tuesday.", "There was danger to the houses in the harbour.", "Gulls sat on the wall.")


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return Checkpoint.load(tiny_checkpoint)


def held(reader: Reader, *texts: str) -> list[Held]:
    chosen = texts or TEXTS
    stances = ("favor", "against", "neutral")[: len(chosen)]
    return [Held(name, TARGET, chosen, stances, reader.read(as_article(chosen), target=TARGET)) for name in ("a", "b", "c")]


def test_a_reader_that_reads_its_target_turns_with_it(checkpoint: Checkpoint) -> None:
    reader = Reader(checkpoint, Keywords(checkpoint, WORTH, reads_target=True))
    found = target_audit(reader, held(reader), WORDINGS)
    assert list(found) == ["as stated", "removed", "opposite", "paraphrase", "unrelated"]
    fates = {name: {key: one.value for key, one in row["confidently"].items()} for name, row in found.items()}
    assert fates["as stated"] == fates["removed"] == fates["paraphrase"] == {"kept": 1, "turned": 0, "dropped": 0}
    assert fates["opposite"] == {"kept": 0, "turned": 1, "dropped": 0}
    assert fates["unrelated"] == {"kept": 0, "turned": 0, "dropped": 1}
    assert (found["unrelated"]["neutral"].value, found["as stated"]["neutral"].value) == (1, pytest.approx(1 / 3))
    assert found["as stated"]["moved"].value == 0
    assert found["opposite"]["moved"].value > 0.5
    assert found["as stated"]["macro_f1"] == found["removed"]["macro_f1"] == 1
    assert found["opposite"]["macro_f1"] is None
    assert found["opposite"]["sides"]["turned"].count == 6


def test_a_reader_that_is_blind_to_its_target_is_found_out(checkpoint: Checkpoint) -> None:
    reader = Reader(checkpoint, Keywords(checkpoint, WORTH))
    found = target_audit(reader, held(reader), WORDINGS)
    assert found["opposite"]["sides"]["turned"].value == 0
    assert found["opposite"]["sides"]["turned"].high > 0
    assert found["unrelated"]["neutral"].value == pytest.approx(1 / 3)


def test_a_reader_that_minds_a_name_is_found_out(checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "identities.toml").write_text('[thing]\ngroups = [[["money"], ["danger"]]]\n[bird]\ngroups = [[["Gulls"], ["Houses"]]]\n')
    identities = Identities.load(tmp_path / "identities.toml")
    reader = Reader(checkpoint, Keywords(checkpoint, WORTH))
    found = identity_audit(reader, held(reader, "We saw money.", "We saw danger.", "Gulls sat on the wall."), identities)
    assert list(found) == ["thing", "bird", "any"]
    assert found["thing"]["stance"]["flipped"].value == found["thing"]["economic"]["confident"].value == 1
    assert found["thing"]["voice"]["flipped"].value == 0
    assert found["thing"]["stance"]["flipped"].count == 6  # two sentences of three articles, and the one swap there is
    assert found["bird"]["all"]["flipped"].value == found["bird"]["all"]["moved"].value == 0
    assert found["bird"]["all"]["flipped"].count == 12
    assert 0 < found["any"]["all"]["flipped"].value < 1


def test_deleting_the_evidence_does_more_than_deleting_other_words(checkpoint: Checkpoint) -> None:
    reader = Reader(checkpoint, Keywords(checkpoint, WORTH))
    found = evidence_audit(reader, held(reader))
    for head in ("frames", "stance"):
        assert found[head]["evidence"].value > 0.5
        assert found[head]["random"].value < 0.1
        assert found[head]["difference"].value == pytest.approx(found[head]["evidence"].value - found[head]["random"].value)
        assert found[head]["larger"].value == 1
        assert found[head]["larger"].count == 6
    assert evidence_audit(reader, held(reader, "Money.", "Danger.")) == {}  # no other words


def test_the_shares_of_tokens_add_up_to_the_logit(tiny_checkpoint: Path) -> None:
    from safetensors.torch import load as load_tensors

    reader = load(tiny_checkpoint, backend="torch")
    checkpoint = reader.checkpoint
    network = Network.from_config(checkpoint.encoder, checkpoint.label_count).eval()
    network.load_state_dict({name: tensor.float() for name, tensor in load_tensors(checkpoint.read(WEIGHTS)).items()})
    article = Article("Gulls sat on the wall. The baker said danger earns money.")
    (window,) = reader.windows(article, TARGET)
    with torch.inference_mode():
        states = network.encoder(input_ids=torch.tensor([window.ids])).last_hidden_state[0]  # (tokens, size)
        for slot, shares in zip(window.slots, reader._shares(window), strict=True):
            logit = network.heads(states[slot.start : slot.end].mean(dim=0))  # the heads on the pooled sentence
            assert shares.sum(axis=0) == pytest.approx(logit.numpy(), abs=1e-5)


# intervals


def test_articles_are_the_units_of_intervals() -> None:
    values = [1.0] * 50 + [0.0] * 50
    alone = mean(values, [str(i) for i in range(100)], share=True)
    clustered = mean(values, ["a"] * 50 + ["b"] * 50, share=True)
    assert alone
    assert clustered
    assert alone.value == clustered.value == 0.5
    assert clustered.high - clustered.low > 3 * (alone.high - alone.low)
    none_flipped = mean([0.0] * 20, [str(i) for i in range(20)], share=True)
    assert none_flipped
    assert 0.1 < none_flipped.high < 0.25
    assert mean([], [], share=True) is None


# the command


def test_the_command_audits_what_training_held_out(tiny_corpus: Path, tiny_checkpoint: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_corpus, tmp_path / "annotations")
    (folder / "targets.toml").write_text(
        f'unrelated = ["{UNRELATED}"]\n[[targets]]\ntarget = "{TARGET}"\nopposite = "{OPPOSITE}"\nparaphrases = ["open harbour"]\n'
    )
    output = tmp_path / "audit.json"
    done = CliRunner().invoke(app, ["--annotations", str(folder), "--model", str(tiny_checkpoint), "--output", str(output)])
    assert done.exit_code == 0, done.output
    assert "Stance, by how the target is worded" in done.output
    result = json.loads(output.read_text())
    metrics = json.loads((tiny_checkpoint / "metrics.json").read_text())
    assert (result["articles"], result["sentences"]) == (metrics["validation"]["articles"], metrics["validation"]["sentences"])
    assert set(result["evidence"]) == {"frames", "stance"}
    assert result["identity"] == {}  # the harbour's articles name nobody
    assert len(tables(result)) == 3

    assert recorded_audit(result["annotations_sha256"], result["checkpoint_sha256"], output) == result
    assert recorded_audit(result["annotations_sha256"], "another", output) is None
    assert recorded_audit(result["annotations_sha256"], result["checkpoint_sha256"], tmp_path / "none.json") is None
    book = Codebook.parse(CODEBOOK)
    assert "| opposite |" in card({**metrics, "audit": result}, tiny_recipe, book)
    assert "What changes its reading" not in card(metrics, tiny_recipe, book)


def test_other_annotations_than_the_checkpoints_are_refused(
    tiny_corpus: Path, tiny_checkpoint: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_corpus, tmp_path / "annotations")
    (folder / "codebook.toml").write_text(CODEBOOK + "\n")
    with pytest.raises(TrainingError, match="the checkpoint was trained on others"):
        audit(Annotations.load(folder, None), tiny_checkpoint, WORDINGS, {})


def test_missing_texts_are_refused_for_the_split_would_be_another(tiny_corpus: Path, tiny_checkpoint: Path, tiny_recipe: Recipe) -> None:
    annotations = Annotations.load(tiny_corpus, None)
    metrics = {"annotations_sha256": annotations.digest, "training": {"articles": 30}, "validation": {"articles": 5}}
    with pytest.raises(TrainingError, match="24 articles have a text at hand, 35 had one in training"):
        held_out(annotations, load(tiny_checkpoint), tiny_recipe, metrics)


def test_the_kept_audit_can_be_drawn() -> None:
    path = ROOT / "training" / "audit.json"
    result = json.loads(path.read_text())
    assert set(result["target"]) == {"as stated", "removed", "opposite", "paraphrase", "unrelated"}
    assert len(tables(result)) == 3
