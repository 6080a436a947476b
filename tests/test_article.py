import pytest
from hypothesis import given
from hypothesis import strategies as st

from slant import Article
from slant.article import split

GOLDEN = [
    ("He lives in the U.S. She does not.", ["He lives in the U.S.", "She does not."]),
    ("She arrived from the U.S. Nobody met her.", ["She arrived from the U.S.", "Nobody met her."]),
    ("It left the U.S. in May.", ["It left the U.S. in May."]),
    ("The U.S. Senate voted.", ["The U.S. Senate voted."]),
    ("“We need more,” said Sen. Smith. “They won’t come… ever.”", ["“We need more,” said Sen. Smith.", "“They won’t come… ever.”"]),
    ("She called it “a disgrace.” The minister left.", ["She called it “a disgrace.”", "The minister left."]),
    ('He shouted "Stop!" The crowd ran.', ['He shouted "Stop!"', "The crowd ran."]),
    ("They asked, “Why?” and left.", ["They asked, “Why?” and left."]),
    ("“‘Go home,’ they told us. We did not.” She wept.", ["“‘Go home,’ they told us.", "We did not.”", "She wept."]),
    ("She said, “I am tired.” “So am I,” he said.", ["She said, “I am tired.”", "“So am I,” he said."]),
    ("WASHINGTON (AP) — The Senate voted Tuesday. It passed 51-49.", ["WASHINGTON (AP) — The Senate voted Tuesday.", "It passed 51-49."]),
    ("J.R.R. Tolkien and J. K. Rowling met Dr. Jones Jr. at 5 p.m. Tuesday. They talked.", None),
    ("“It hurts,” said Lt. Col. Vindman.", ["“It hurts,” said Lt. Col. Vindman."]),
    ("Sen. Ted Cruz (R-Tex.), who spoke, left.", ["Sen. Ted Cruz (R-Tex.), who spoke, left."]),
    ("Rep. Kevin McCarthy (R-Calif.) said no. He left.", ["Rep. Kevin McCarthy (R-Calif.) said no.", "He left."]),
    ("Gen. Milley and Gov. Abbott met.", ["Gen. Milley and Gov. Abbott met."]),
    ("The Rt. Hon. Lady spoke.", ["The Rt. Hon. Lady spoke."]),
    ("The bill, H.R. 2, cost $3.5 billion. Nobody paid.", ["The bill, H.R. 2, cost $3.5 billion.", "Nobody paid."]),
    ("Prices rose 3.5 percent. Wages did not.", ["Prices rose 3.5 percent.", "Wages did not."]),
    ("Wait... what? He left.", ["Wait... what?", "He left."]),
    ("He moved to Washington, D.C. Then came war.", ["He moved to Washington, D.C.", "Then came war."]),
    ("We met at 10 a.m. The mayor spoke.", ["We met at 10 a.m.", "The mayor spoke."]),
    ("In Jan. 2021 he won.", ["In Jan. 2021 he won."]),
    ("He said (and I agree.) Then it ended.", ["He said (and I agree.)", "Then it ended."]),
    ("It ended.[1] Then more.", ["It ended.[1]", "Then more."]),
    ("Yahoo! is a firm.", ["Yahoo! is a firm."]),
    ("The war ended.The peace did not come.", ["The war ended.", "The peace did not come."]),
    ("Demands:\n- Close the camp.\n- Open the port\n- Feed them", ["Demands:", "- Close the camp.", "- Open the port", "- Feed them"]),
    ("One line is here.\r\n\r\nSecond line is here. Third is too.\r\nFourth line.", None),
    ("It rained 🌧️. We left 😀. Bye", ["It rained 🌧️.", "We left 😀.", "Bye"]),
    ("No final stop", ["No final stop"]),
    ("", []),
    (" \n\t\r\n ", []),
    ("\n\n  A sentence.  \n\n\n", ["A sentence."]),
    (
        "The council met on Tuesday to hear the harbour master speak about\nthe new pier, which nobody had asked for and which the mayor had\nbuilt.",
        None,
    ),
]


@pytest.mark.parametrize(("text", "expected"), GOLDEN, ids=range(len(GOLDEN)))
def test_golden_news_cases(text: str, expected: list[str] | None) -> None:
    found = [sentence.text for sentence in split(text)]
    if expected is None:
        assert len(found) == {"J.R.": 2, "One ": 4, "The ": 1}[text[:4]]
    else:
        assert found == expected


def test_a_sentence_of_2000_words_is_one_sentence() -> None:
    text = "We saw " + "a gull and " * 1000 + "the sea. Then it ended."
    first, last = split(text)
    assert len(first.text.split()) > 2000
    assert last.text == "Then it ended."


def test_parts_are_told_apart_where_the_text_shows_them() -> None:
    text = (
        "HARBOUR TO CLOSE, SAYS MAYOR\n\n"
        "Nobody in town was asked about the plan.\n\n"
        "A boat in the old harbour. (Ana Duarte/Harbour News)\n\n"
        "The mayor spoke on Monday. She did not stay long.\n\n"
        "What comes next\n\n"
        "The council votes in May. It may well be close."
    )
    parts = [(sentence.text[:12], sentence.part) for sentence in Article(text).sentences]
    assert parts == [
        ("HARBOUR TO C", "headline"),
        ("Nobody in to", "headline"),
        ("A boat in th", "caption"),
        ("(Ana Duarte/", "caption"),
        ("The mayor sp", "body"),
        ("She did not ", "body"),
        ("What comes n", "headline"),
        ("The council ", "body"),
        ("It may well ", "body"),
    ]


def test_a_lone_line_is_body() -> None:
    assert [sentence.part for sentence in split("Border closed")] == ["body"]


NEWSLIKE = st.text(alphabet=st.sampled_from("aB .!?…“”\"'’()[]-—\n\r\t1$,;:é字\u2028\u00a0\u200b😀"), max_size=200)


@given(st.one_of(st.text(max_size=300), NEWSLIKE))
def test_offsets_hold_over_random_text(text: str) -> None:
    position = 0
    for sentence in split(text):
        assert sentence.text
        assert text[sentence.start : sentence.end] == sentence.text
        assert sentence.start >= position
        assert not text[position : sentence.start].strip()
        position = sentence.end
    assert not text[position:].strip()
