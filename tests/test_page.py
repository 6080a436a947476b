"""The article page as text: whole, escaped, self-contained. How it behaves is in test_browser."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slant import Article, Codebook, Reading, SentenceReading, load, render
from slant.page import page
from slant.reading import Weight
from slant.reliability import Tier, Tiers
from tests.conftest import CODEBOOK, SENTENCES

BOOK = Codebook.parse(CODEBOOK)
GOOD: Tier = "B"
HOSTILE = (
    "<script>document.title='taken'</script> & more\n\n"
    '</span></p></article><img src=x onerror="document.title=\'taken\'"> said the "mayor".\n\n'
    "{{ 7 * 7 }} {% raw %} &lt;b&gt; \u202ereversed \x07 bell ]]> --> </style></script> 'quoted'.\n\n"
    "“Javascript:alert(1)” <svg/onload=alert(1)> <iframe srcdoc='<script>1</script>'>."
)


def coded(text: str, name: str = "page.txt", target: str = "opening the harbour") -> Reading:
    """A reading that gives every sentence a frame, a side and evidence on its first letters."""
    article = Article(text, name)
    read = [
        SentenceReading(s, frames, stance, voice, {"economic": 0.9, "safety": 0.2}, {"favor": 0.7, "against": 0.2, "neutral": 0.1}, {"author": 0.6, "quoted": 0.4}, 0.6, i == 1, (Weight(s.start, s.start + 1, stance, 0.5),))
        for i, s in enumerate(article.sentences)
        for frames, stance, voice in [(("economic", "safety")[: 1 + i % 2], ("favor", "against")[i % 2], ("author", "quoted")[i % 2])]
    ]  # fmt: skip
    return Reading(article, target, tuple(read), BOOK)


class Seen(HTMLParser):
    """What a browser would find: tags, attributes, and the text outside style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("style", "script"):
            self.text += data


@pytest.fixture(scope="module")
def reading(tiny_checkpoint: Path) -> Reading:
    return load(tiny_checkpoint).read(Article("Harbour news\n\n" + " ".join(SENTENCES), "page.txt"))


def test_a_page_shows_every_sentence_with_its_codes_and_probabilities(reading: Reading) -> None:
    drawn = "".join(page([reading]))
    seen = Seen(drawn)
    for s in reading.sentences:
        assert s.sentence.text in seen.text
        for probability in (*s.frame_probability.values(), *s.stance_probability.values(), *s.voice_probability.values()):
            assert f"{probability:.2f}" in seen.text
    assert drawn.count('class="note"') == len(reading.sentences)
    assert seen.tags.count("h1") == 1
    assert "<title>Harbour news</title>" in drawn
    assert f"economic (C){reading.frames['economic'] * 100:.0f} %" in seen.text  # the tiny reader was not measured
    assert "(C): of low reliability" in seen.text


def test_what_is_uncertain_is_drawn_filtered_and_covered(reading: Reading) -> None:
    first, *rest = reading.sentences
    left_open = replace(first, frames=("uncertain",), stance="uncertain", voice="uncertain", evidence=())
    codes = {"frame": BOOK.frame_labels, "stance": BOOK.stance_labels, "voice": BOOK.voice_labels}
    tiers: Tiers = {code: dict.fromkeys(labels, GOOD) for code, labels in codes.items()}
    drawn = "".join(page([replace(reading, sentences=(left_open, *rest), tiers=tiers, min_confidence=0.3)]))
    seen = Seen(drawn).text
    assert drawn.count('data-frame="uncertain" data-stance="uncertain" data-voice="uncertain"') == 1
    assert drawn.count('value="uncertain"') == 3
    assert "frames, stance, voice: uncertain" in seen
    assert "that are certain (at least 0.3; coverage: frames 89%, stance 89%, voice 89%)" in seen
    assert "uncertain (of all)11 %" in seen
    assert "(C)" not in seen
    assert "uncertain" not in "".join(page([reading]))


def test_a_page_needs_nothing_else(reading: Reading) -> None:
    drawn = "".join(page([reading]))
    seen = Seen(drawn)
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(seen.tags)
    assert not [value for name, value in seen.attributes if name in ("src", "srcset", "action", "data", "background")]
    assert all(value and value.startswith("#") for name, value in seen.attributes if name == "href")
    assert not re.search(r"url\(|@import|https?:", drawn)


@pytest.mark.parametrize("place", ["text", "name", "target"])
def test_hostile_text_stays_text(place: str) -> None:
    calm = Seen("".join(page([coded("A line.", "b", "c")])))
    texts = {"text": "A line.", "name": "b", "target": "c", place: HOSTILE if place == "text" else HOSTILE.replace("\n", " ")}
    drawn = "".join(page([coded(**texts)]))
    seen = Seen(drawn)
    assert set(seen.tags) <= {*calm.tags, "h2"}
    assert seen.tags.count("script") == 1
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    for line in texts[place].split("\n\n"):
        assert line in seen.text


@settings(deadline=None, max_examples=50)
@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_any_text_comes_out_as_it_went_in(text: str) -> None:
    drawn = coded(text)
    found = Seen("".join(page([drawn]))).text
    for s in drawn.sentences:
        assert s.sentence.text.encode("utf-8", "replace").decode() in found


def test_paragraphs_are_the_articles() -> None:
    text = "Headline here\n\nOne stands here. Two stands here.\n\nThree stands here.\nFour stands here."
    assert len(re.findall(r"<p(?: class=\"quotation\")?>", "".join(page([coded(text)])))) == 3


def test_hard_wrapped_lines_are_no_paragraphs() -> None:
    text = "The harbour was closed again on Tuesday. Nobody\ncould say for how long it would stay that way. It\nwas cold, and the wind came from the east. We all\nwaited for the boats that did not come that week."
    assert len(re.findall(r"<p(?: class=\"quotation\")?>", "".join(page([coded(text)])))) == 1


def test_several_readings_share_a_page() -> None:
    drawn = "".join(page(coded(f"Headline {i}\n\nA line.", f"{i}.txt") for i in range(3)))
    seen = Seen(drawn)
    ids = [value for name, value in seen.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert seen.tags.count("h1") == 1
    assert seen.tags.count("article") == 3


def test_no_reading_is_an_empty_page() -> None:
    assert Seen("".join(page([]))).tags.count("article") == 0


def test_a_sentence_too_long_says_so() -> None:
    assert "(cut: too long for the model)" in "".join(page([coded("One stands here. Two stands here.")]))


def test_render_writes_the_page(tmp_path: Path) -> None:
    reading = coded("A \ud800 line.")
    render.write([reading], tmp_path / "out.html")
    assert (tmp_path / "out.html").read_text(encoding="utf-8") == "".join(page([reading]))
    assert "A ? line." in Seen((tmp_path / "out.html").read_text(encoding="utf-8")).text


def test_an_article_without_sentences_is_drawn() -> None:
    assert "0 sentences" in "".join(page([Reading(Article("", sentences=()), "t", (), BOOK)]))
