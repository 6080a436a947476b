import io
import sys
from pathlib import Path

import pytest

from slant.files import InputError, decode, english, expand, one_line
from slant.sources import Document, Failure, documents

ENGLISH = "The minister said that the border would stay closed, and that he would not speak of it again until the end of the year."


def article(tmp_path: Path, content: bytes) -> Document:
    path = tmp_path / "page.txt"
    path.write_bytes(content)
    (found,) = documents([str(path)])
    assert isinstance(found, Document)
    return found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"%PDF-1.4\n...", "a PDF, not text"),
        (b"PK\x03\x04rest", "a zip archive or an Office document"),
        (b"A line.\nThe end\x00 came.", "line 2 has a NUL byte"),
        (bytes(range(256)) * 20, "binary data"),
        (b"word " * 2_000_000, "more than 2,000,000 bytes"),
    ],
    ids=["empty", "blank", "pdf", "zip", "nul", "binary", "10 MB line"],
)
def test_what_is_no_article_is_refused_with_file_and_way_out(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        decode(content, "page.txt")
    assert str(error.value).startswith("page.txt: ")
    assert "\n" not in str(error.value)


def test_utf8_is_kept_to_the_letter(tmp_path: Path) -> None:
    text = f"“{ENGLISH}”\r\n\r\nNaïve 😀."
    found = article(tmp_path, b"\xef\xbb\xbf" + text.encode())
    assert found.text == text
    assert found.warnings == ()


def test_utf16_with_its_mark_is_read(tmp_path: Path) -> None:
    found = article(tmp_path, ENGLISH.encode("utf-16"))
    assert found.text == ENGLISH
    assert "read as utf_16" in found.warnings[0]


def test_another_encoding_is_detected_and_said(tmp_path: Path) -> None:
    text = (ENGLISH + " The café’s owner, a naïve man, said “no” to the façade. ") * 4
    found = article(tmp_path, text.encode("cp1252"))
    assert "café" in found.text
    assert any("not UTF-8, read as" in warning for warning in found.warnings)


def test_mojibake_is_a_warning(tmp_path: Path) -> None:
    found = article(tmp_path, (ENGLISH + " It isnâ€™t so.").encode())
    assert any("decoded as another encoding" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    "text",
    [
        "Der Minister sagte, dass die Grenze geschlossen bleibe, und dass er bis zum Ende des Jahres nicht mehr davon sprechen werde.",
        "Le ministre a dit que la frontière resterait fermée et qu’il n’en parlerait plus avant la fin de l’année, selon son porte-parole.",
        "Министр сказал.",
        "部长说边境将继续关闭。",
    ],
)
def test_other_languages_are_a_warning(text: str, tmp_path: Path) -> None:
    found = article(tmp_path, text.encode())
    assert any("does not look like English" in warning for warning in found.warnings)


@pytest.mark.parametrize("text", [ENGLISH, "Border closed.", "Brexit: Farage, Johnson, Gove.", "42"])
def test_english_passes(text: str) -> None:
    assert english(text)


def test_folders_give_their_texts_in_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.txt", "a.txt", "sub/c.txt", "no.md"):
        (tmp_path / name).write_text(ENGLISH)
    assert [str(name).removeprefix(str(tmp_path)) for name in expand([str(tmp_path)])] == ["/a.txt", "/b.txt", "/sub/c.txt"]


def test_what_leads_nowhere_is_an_error_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_text(ENGLISH)
    (tmp_path / "empty").mkdir()
    one, two, three = expand([str(tmp_path / "gone.txt"), str(tmp_path / "here.txt"), str(tmp_path / "empty")])
    assert "no such file or folder" in str(one)
    assert two == str(tmp_path / "here.txt")
    assert "no .txt, .jsonl" in str(three)


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ENGLISH.encode())))
    (found,) = documents(["-"])
    assert isinstance(found, Document)
    assert (found.id, found.text) == ("-", ENGLISH)


def test_a_failure_of_standard_input_says_so() -> None:
    assert str(Failure("-", "line 2", "empty")) == "standard input: line 2: empty"


def test_one_line_is_one_line() -> None:
    assert one_line("a\nb\udcff\ttab") == r"a\nb\xff\ttab"
