"""Every format, told by its content; every hostile input, a failure that says so."""

import gzip
import io
import json
import os
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from slant.sources import Columns, Document, Failure, documents, identity

TEXT = "The minister said that the border would stay closed, and that he would not speak of it again until the end of the year."
OTHER = "Families wait in the cold at the gate, and nobody has come to speak with them since the day before yesterday, they say."
ROWS = [{"id": "a", "text": TEXT, "outlet": "Gazette"}, {"id": "b", "text": OTHER, "outlet": "Mail"}]
PAGE = f"""<!doctype html><html><head><title>Border stays closed</title></head><body><nav><a href="/">Home</a><a href="/x">News</a></nav>
<article><h1>Border stays closed</h1><p>{TEXT} {TEXT}</p><p>{OTHER} {OTHER}</p></article><footer>All rights reserved</footer></body></html>"""


def jsonl(rows: Sequence[Mapping[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def table(rows: Sequence[Mapping[str, object]]) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(list(rows)), file)
    return file.getvalue()


def record(number: int, page: str = PAGE, *, length: int | None = None, status: str = "200 OK", kind: str = "text/html") -> bytes:
    content = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n\r\n{page}".encode()
    return (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://gazette.test/{number}\r\nWARC-Date: 2024-05-0{number}T00:00:00Z\r\n"
        f"WARC-Record-ID: <urn:uuid:{number}>\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(content) if length is None else length}\r\n\r\n"
    ).encode() + content + b"\r\n\r\n"  # fmt: skip


def read(
    tmp_path: Path, content: bytes, *, name: str = "input", columns: Columns | None = None, most: int = 2_000_000
) -> tuple[list[Document], list[str]]:
    path = tmp_path / name
    path.write_bytes(content)
    items = list(documents([str(path)], columns, most_bytes=most))
    failures = [str(item) for item in items if isinstance(item, Failure)]
    assert all("\n" not in failure and failure.startswith(str(path)) for failure in failures)
    return [item for item in items if isinstance(item, Document)], failures


CSV = f'id,text,outlet\na,"{TEXT}",Gazette\nb,"{OTHER}",Mail\n'.encode()


@pytest.mark.parametrize(
    ("content", "positions"),
    [
        (jsonl(ROWS), ["line 1", "line 2"]),
        (b"\xef\xbb\xbf" + jsonl(ROWS), ["line 1", "line 2"]),
        (CSV, ["line 2", "line 3"]),
        (b"\xef\xbb\xbf" + CSV.replace(b"\n", b"\r\n"), ["line 2", "line 3"]),
        (f"outlet\tid\ttext\nGazette\ta\t{TEXT}\nMail\tb\t{OTHER}\n".encode(), ["line 2", "line 3"]),
        (f"outlet;id;text\nGazette;a;{TEXT}\nMail;b;{OTHER}\n".encode(), ["line 2", "line 3"]),
        (table(ROWS), ["row 1", "row 2"]),
    ],
    ids=["jsonl", "jsonl with BOM", "csv", "csv with BOM and CRLF", "tsv", "semicolons", "parquet"],
)
def test_a_format_is_told_by_its_content(content: bytes, positions: list[str], tmp_path: Path) -> None:
    expected = [("a", TEXT, ("Gazette",)), ("b", OTHER, ("Mail",))]
    packed = [
        gzip.compress(content),
        pa.compress(content, codec="zstd", asbytes=True),
        gzip.compress(content[:99]) + gzip.compress(content[99:]),
    ]
    for variant in [content] if content.startswith(b"PAR1") else [content, *packed]:
        for name in ("input", "input.txt", "input.dat"):
            found, failures = read(tmp_path, variant, name=name, columns=Columns(keep=("outlet",)))
            assert failures == []
            assert [(d.id, d.text, d.kept) for d in found] == expected
            assert [d.position for d in found] == positions


def test_text_is_text_whatever_it_is_called(tmp_path: Path) -> None:
    for name, content in {
        "a.dat": TEXT,
        "b.txt": f"Prices, text, and pictures\n\n{TEXT}",
        "c": f"{{Editor’s note: {TEXT}}}",
        "d": f"[Update] {TEXT}",
    }.items():
        (found,), failures = read(tmp_path, content.encode(), name=name)
        assert (found.text, failures) == (content, [])
        assert found.id == str(tmp_path / name)


def test_a_page_gives_its_headline_and_paragraphs(tmp_path: Path) -> None:
    for content in (PAGE.encode(), gzip.compress(PAGE.encode())):
        (found,), failures = read(tmp_path, content, name="page.dat")
        assert failures == []
        assert found.text.split("\n\n") == ["Border stays closed", f"{TEXT} {TEXT}", f"{OTHER} {OTHER}"]


def test_a_page_in_another_charset(tmp_path: Path) -> None:
    page = PAGE.replace("<head>", '<head><meta charset="windows-1252">').replace("Families", "“Naïve” families")
    (found,), _ = read(tmp_path, page.encode("cp1252"))
    assert "“Naïve” families" in found.text


RECORDS = [record(number) for number in range(1, 6)]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_warc_gives_its_pages(pack: type[bytes], tmp_path: Path) -> None:
    others = [record(6, status="404 Not Found"), record(7, kind="image/png")]
    found, failures = read(tmp_path, b"".join(pack(r) for r in [*RECORDS, *others]), columns=Columns(keep=("date", "url", "outlet")))
    assert failures == []
    assert [d.id for d in found] == [f"http://gazette.test/{number}" for number in range(1, 6)]
    assert found[1].position == "record 2"
    assert found[1].kept == ("2024-05-02T00:00:00Z", "http://gazette.test/2", None)
    assert found[1].text.startswith("Border stays closed\n\nThe minister said")


def test_a_wet_file_gives_its_texts(tmp_path: Path) -> None:
    content = TEXT.encode()
    header = f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://gazette.test/1\r\nContent-Type: text/plain\r\nContent-Length: {len(content)}\r\n\r\n"
    (found,), failures = read(tmp_path, header.encode() + content + b"\r\n\r\n")
    assert (found.text, failures) == (TEXT, [])


@pytest.mark.parametrize(
    ("broken", "pack", "reason"),
    [
        (b"GARBAGE \r\n\r\n" * 9000, bytes, "no WARC record begins here"),
        (RECORDS[2].replace(b"Content-Length: ", b"Content-Length: x"), bytes, "no Content-Length"),
        (record(3, length=5), bytes, "not 5 bytes long"),
        (record(3, length=2000), bytes, "not 2,000 bytes long"),
        (record(3, length=5_000_000), bytes, "not 5,000,000 bytes long"),
        (RECORDS[2][:700], bytes, "bytes long, as its header says"),
        (RECORDS[2].replace(b"HTTP/1.1 200 OK", b"\xff\xfe\x00\x01/1.1 200 OK"), bytes, "HTTP header is broken"),
        (gzip.compress(RECORDS[2])[:60] + b"XXXX" + gzip.compress(RECORDS[2])[64:], None, "damaged gzip data"),
        (gzip.compress(RECORDS[2])[:200], None, "gzip data"),
        (b"no gzip at all", None, "no gzip data"),
    ],
)
def test_a_broken_warc_record_costs_no_other(broken: bytes, pack: type[bytes] | None, reason: str, tmp_path: Path) -> None:
    packed = pack or gzip.compress
    content = packed(RECORDS[0]) + packed(RECORDS[1]) + (pack(broken) if pack else broken) + packed(RECORDS[3]) + packed(RECORDS[4])
    found, failures = read(tmp_path, content)
    assert [d.id[-1] for d in found if d.id[-1] != "3"] == ["1", "2", "4", "5"]
    assert any(reason in failure for failure in failures)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"text": 3}\n', "line 1: 'text' is a number, not text"),
        (b'{"text": ["x"]}\n', "line 1: 'text' is a list, not text"),
        (b'{"text": null}\n', "line 1: 'text' is empty"),
        (b'{"text": "  "}\n', "line 1: 'text' is empty"),
        (b'{"body": "x"}\n', "line 1: no 'text' in it (it has body); name the column with --text-column"),
        (b'{"text": "x", "id": [1]}\n', "line 1: its id is a list; ids are text or whole numbers"),
        (b'{"text": "x"\n', "line 1: not JSON"),
        (b'{"text": "x\xff"}\n', "line 1: not UTF-8 at its byte 12"),
        (b'{"text": "\\ud800"}\n', "line 1: not valid UTF-8 at character 1"),
        (b'{"text": "a\\u0000"}\n', "line 1: a NUL character at 1"),
        (b'{"text": ' + b"[" * 100_000 + b"\n", "line 1: JSON nested too deeply"),
        (b'{"text": "<p>a</p><p>b</p><div><span>c</span></div>"}\n', "line 1: HTML, not text"),
        (b'{\n "text": "x"\n}\n', "JSON, but not one object a line"),
        (b'[{"text": "x"}]\n', "JSON, but not one object a line"),
        (b"text,id\nx,1,2\n", "line 2: 3 fields where the first line has 2"),
        (b'text,id\n"x,1\ny,2\n', "not CSV (unexpected end of data); what follows was not read"),
        (b"text,text\nx,y\n", "two columns are called 'text'"),
        (b"text,id\n\xff,1\n", "line 2: not valid UTF-8 at character 1"),
        (b"PAR1 but no more", "Parquet that cannot be read"),
        (b"PK\x03\x04" + b"\0" * 99, "a zip archive"),
        (b"\x1f\x8b\x08" + b"\xff" * 99, "cannot be read"),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 99, "cannot be read"),
        (gzip.compress(gzip.compress(b"x")), "compressed twice over"),
        (gzip.compress(table(ROWS)), "Parquet inside a compressed file"),
        (gzip.compress(TEXT.encode())[:-20], "gzip data that ends in the middle"),
        (b"<html><body></body></html>" + b"<p></p>" * 9, "no article was found"),
        (b"", "empty"),
        (bytes(range(256)) * 9, "binary data"),
    ],
)
def test_what_cannot_be_read_says_why(content: bytes, reason: str, tmp_path: Path) -> None:
    found, failures = read(tmp_path, content)
    assert found == []
    assert any(reason in failure for failure in failures), failures


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (Columns(text="body"), "no column 'body' (it has id, text, outlet); name the column with --text-column"),
        (Columns(id="key"), "no column 'key' (it has id, text, outlet); name the column with --id-column"),
        (Columns(target="stand"), "no column 'stand' (it has id, text, outlet); name the column with --target-column"),
        (Columns(keep=("date",)), "no column 'date' (it has id, text, outlet); name the column with --keep"),
    ],
)
def test_a_missing_column_is_named_with_those_there_are(columns: Columns, reason: str, tmp_path: Path) -> None:
    for name, content in {"a.csv": CSV, "b.parquet": table(ROWS)}.items():
        found, (failure,) = read(tmp_path, content, name=name, columns=columns)
        assert found == []
        assert reason in failure


def test_a_text_column_of_numbers_is_refused_whole(tmp_path: Path) -> None:
    _, (failure,) = read(tmp_path, table([{"text": 1}, {"text": 2}]))
    assert "its column 'text' is of type int64, not text" in failure


def test_a_bad_row_costs_no_other(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"text": TEXT, "id": 1}, {"text": ""}, {"text": OTHER}]
    for name, content in {"a": jsonl(rows) + b"{broken\n\n" + jsonl(rows[:1]), "b.parquet": table(rows)}.items():
        found, failures = read(tmp_path, content, name=name)
        assert [d.text for d in found][:2] == [TEXT, OTHER]
        assert [d.id for d in found][:2] == ["1", f"{tmp_path / name}:3"]
        assert len(failures) == (2 if name == "a" else 1)


def test_a_parquet_text_that_is_not_utf8_costs_no_other(tmp_path: Path) -> None:
    sizes, texts = pa.array([0, 3, 6, 9], pa.int32()).buffers()[1], pa.py_buffer(b"one\xff\xfe\xfdtwo")
    file = io.BytesIO()
    parquet.write_table(pa.table({"text": pa.StringArray.from_buffers(3, sizes, texts)}), file)
    found, (failure,) = read(tmp_path, file.getvalue())
    assert [document.text for document in found] == ["one", "two"]
    assert "row 2: a value that cannot be read ('utf-8' codec can't decode byte 0xff" in failure


def test_columns_are_what_they_are_called(tmp_path: Path) -> None:
    rows = [{"key": 7, "body": TEXT, "stand": "closing the school", "when": None, "score": 1.5, "tags": ["a", "b"]}]
    columns = Columns("body", "key", "stand", ("when", "score", "tags"))
    for content in (jsonl(rows), table(rows)):
        (found,), _ = read(tmp_path, content, columns=columns)
        assert (found.id, found.text, found.target, found.kept) == ("7", TEXT, "closing the school", (None, "1.5", '["a", "b"]'))


def test_a_bomb_is_a_failure_and_what_follows_is_read(tmp_path: Path) -> None:
    lines = jsonl(ROWS[:1]) + b'{"text": "' + b"a " * 2_000_000 + b'"}\n' + jsonl(ROWS[1:])
    found, (failure,) = read(tmp_path, gzip.compress(lines), most=10_000)
    assert [d.id for d in found] == ["a", "b"]
    assert "line 2: longer than" in failure
    for bomb in (
        gzip.compress(bytes(80_000_000)),
        pa.compress(b"a" * 80_000_000, codec="zstd", asbytes=True),
        gzip.compress(b'{"text": "' + b"a" * 80_000_000),
    ):
        found, failures = read(tmp_path, bomb, most=10_000)
        assert found == []
        assert len(failures) == 1
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.txt", bytes(10_000_000))
    _, (failure,) = read(tmp_path, archive.getvalue())
    assert "a zip archive" in failure


def test_a_longer_article_is_a_failure_and_the_limit_can_be_raised(tmp_path: Path) -> None:
    long = [{"text": "word " * 3000}]
    assert "15,000 bytes, which is no single article" in read(tmp_path, jsonl(long), most=10_000)[1][0]
    assert len(read(tmp_path, jsonl(long), most=15_000)[0]) == 1
    assert "more than 10,000 bytes" in read(tmp_path, b"word " * 3000, most=10_000)[1][0]


def test_folders_patterns_and_links(tmp_path: Path) -> None:
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    for name in ("b.txt", "a.txt.gz", "sub/deep/c.html", "notes.md", ".hidden.txt"):
        (tmp_path / name).write_bytes(
            gzip.compress(TEXT.encode()) if name.endswith(".gz") else PAGE.encode() if name.endswith("html") else TEXT.encode()
        )
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    (tmp_path / "sub" / "itself.txt").symlink_to(tmp_path / "sub" / "itself.txt")
    found = list(documents([str(tmp_path)]))
    names = [Path(item.source).name for item in found]
    assert names == ["a.txt.gz", "b.txt", "c.html", "itself.txt"]
    assert str(found[3]) == f"{tmp_path}/sub/itself.txt: a link that leads nowhere"
    assert [Path(item.source).name for item in documents([f"{tmp_path}/**/*.md"])] == ["notes.md"]
    assert [Path(item.source).name for item in documents([f"{tmp_path}/s*/**/*.[hx]tml"])] == ["c.html"]
    assert [str(item) for item in documents([f"{tmp_path}/*.doc"])] == [f"{tmp_path}/*.doc: no file matches this pattern"]


def test_odd_names_stay_on_one_line(tmp_path: Path) -> None:
    for name in (b"line\nbreak.txt", b"bytes \xff\xfe.txt", "ünï “quoted” [1].txt".encode(), b"-dash.txt", b"\x1b[31mred.txt"):
        (Path(os.fsdecode(bytes(tmp_path))) / os.fsdecode(name)).write_text(TEXT)
    found = list(documents([str(tmp_path)]))
    assert len(found) == 5
    for item in found:
        assert isinstance(item, Document)
        assert item.id.isprintable()
        item.id.encode()


@pytest.mark.parametrize("name", ["/proc/self/mem", "x" * 5000, "a\0b"])
def test_what_the_system_refuses_is_a_failure(name: str) -> None:
    (item,) = documents([name])
    assert isinstance(item, Failure)
    assert "\0" not in str(item)


def test_standard_input_of_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (jsonl(ROWS), CSV, table(ROWS), gzip.compress(CSV), b"".join(RECORDS[:2])):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        found = list(documents(["-"]))
        assert len(found) == 2
        assert all(isinstance(item, Document) and item.source == "-" for item in found)


def test_the_identity_is_of_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    first = identity([str(tmp_path)])
    assert (first["files"], first["bytes"]) == (1, 3)
    os.utime(tmp_path / "a.txt", (1, 1))
    assert identity([str(tmp_path)]) == first
    (tmp_path / "a.txt").write_text("two")
    assert identity([str(tmp_path)]) != first
    (tmp_path / "a.txt").rename(tmp_path / "b.txt")
    assert identity(["-"]) == {"files": 1, "bytes": None, "sha256": None}


SEEDS = [
    jsonl(ROWS),
    CSV,
    table(ROWS),
    gzip.compress(CSV),
    pa.compress(CSV, codec="zstd", asbytes=True),
    b"".join(RECORDS[:2]),
    gzip.compress(RECORDS[0]) + gzip.compress(RECORDS[1]),
    PAGE.encode(),
    TEXT.encode(),
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_bytes_whatever_bring_it_down(tmp_path: Path, data: st.DataObject) -> None:
    """Bytes at random, and true files with random damage: documents and failures, never an exception."""
    content = bytearray(data.draw(st.one_of(st.sampled_from(SEEDS), st.binary(max_size=300))))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, max(len(content), 1)))
        content[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))
    name = data.draw(st.sampled_from(["x", "x.csv", "x.jsonl", "x.tsv.gz", "x.parquet", "x.html", "x.warc.gz"]))
    found, _ = read(tmp_path, bytes(content), name=name, columns=Columns(keep=("outlet",)) if name == "x.jsonl" else None, most=5_000)
    for document in found:
        assert document.text.strip()
        assert len(document.text.encode()) <= 5_000
        document.id.encode()
