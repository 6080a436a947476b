"""The annotated corpus: articles, each coder's codes and the adjudicated gold, read and checked.

``python -m training.annotations check`` validates everything and prints counts.
"""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer
from rich.table import Table

from slant.article import PARTS, Part
from slant.codebook import AnnotationError, Codebook, known
from training.commands import ANNOTATIONS, FolderOption, TextsOption, console, json_lines, run
from training.targets import Wordings

Origin = Literal["written", "third-party"]
CoderKind = Literal["human", "machine"]
ORIGINS: tuple[Origin, ...] = ("written", "third-party")
CODER_KINDS: tuple[CoderKind, ...] = ("human", "machine")
FEWEST_CODERS = 2  # of every gold sentence
AGREED = "agreement"  # adjudicator of the sentences on which the coders agree

# Words that lean to a side by themselves: the corpus must hold many where the sentence takes the other one.
_THREAT = re.compile(
    r"\b(?:crim\w+|illegal\w*|terror\w*|threat\w*|danger\w*|violen\w+|gangs?|cartels?|smuggl\w+|traffick\w+|invasion|invad\w+|security|murder\w*|weapons?|flood\w*|chaos)\b"
)
_SYMPATHY = re.compile(
    r"\b(?:suffer\w*|famil(?:y|ies)|child(?:ren)?|human\w*|dignity|compassion\w*|mercy|refuge\w*|asylum|victims?|desperate|poor|hungry|hardship|vulnerable|mothers?|decen\w+|sympath\w+|pity)\b"
)


@dataclass(frozen=True, slots=True)
class AnnotatedArticle:
    """An article of the corpus: where its text is, whose it is, and the digest that pins it."""

    id: str
    origin: Origin
    genre: str  # op-ed, editorial, column, letter, essay, news, speech or statement
    outlet: str
    date: str  # as precise as known: YYYY, YYYY-MM or YYYY-MM-DD; empty if unknown
    path: str  # within the annotations' folder if written, within the texts' folder if third-party
    sha256: str
    licence: str
    source: str  # where a third-party text was found; empty if written
    targets: tuple[str, ...]  # stance is coded towards each of these
    text: str | None  # None where a third-party text is missing

    @property
    def kind(self) -> str:
        """The kind of text that results are split by: written, or a third-party text's genre."""
        return "written" if self.origin == "written" else self.genre


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one coder judged of one sentence, towards one target."""

    article: str
    target: str
    start: int
    end: int
    frames: frozenset[str]
    stance: str
    voice: str
    coder: str
    coder_kind: CoderKind

    @property
    def key(self) -> tuple[str, str, int, int]:
        return self.article, self.target, self.start, self.end


@dataclass(frozen=True, slots=True)
class Gold:
    """What adjudication settled for one sentence, and why."""

    article: str
    target: str
    start: int
    end: int
    part: Part
    frames: frozenset[str]
    stance: str
    voice: str
    adjudicator: str
    adjudicator_kind: CoderKind
    reason: str
    attacked: frozenset[str] = frozenset()  # those of its frames that the sentence evokes in order to reject; may be left out

    @property
    def key(self) -> tuple[str, str, int, int]:
        return self.article, self.target, self.start, self.end


@dataclass(frozen=True)
class Annotations:
    """The whole corpus, checked."""

    codebook: Codebook
    articles: Mapping[str, AnnotatedArticle]
    codes: tuple[Annotation, ...]
    gold: tuple[Gold, ...]
    digest: str  # sha256 over the files, so that a score can name what it was measured on
    wordings: Wordings  # of the targets
    folder: Path

    @classmethod
    def load(cls, folder: Path, texts: Path | None) -> "Annotations":
        """Read and check the corpus in a folder.

        Args:
            folder: holds ``codebook.toml``, ``articles.jsonl``, ``codes.jsonl`` and ``gold.jsonl``.
            texts: where the third-party texts are; None if they are not at hand.

        Raises:
            AnnotationError: at the first thing that is wrong, naming file, line, value and way out.
        """
        codebook = Codebook.load(folder / "codebook.toml")
        articles: dict[str, AnnotatedArticle] = {}
        for place, row in json_lines(folder / "articles.jsonl"):
            article = _article(row, place, codebook, folder, texts)
            if article.id in articles:
                raise AnnotationError(f"{place}: article '{article.id}' is listed twice; give each article an id of its own")
            articles[article.id] = article
        codes = _read(folder / "codes.jsonl", lambda row, place: _annotation(row, place, codebook, articles))
        gold = _read(folder / "gold.jsonl", lambda row, place: _gold(row, place, codebook, articles))
        _check_codes(folder / "codes.jsonl", codes)
        _check_gold(folder / "gold.jsonl", gold, codes, articles)
        return cls(
            codebook,
            articles,
            tuple(code for _, code in codes),
            tuple(row for _, row in gold),
            digest(folder),
            Wordings.load(folder / "targets.toml", codebook),
            folder,
        )

    @cached_property
    def missing(self) -> list[AnnotatedArticle]:
        """The articles whose third-party text is not at hand."""
        return [article for article in self.articles.values() if article.text is None]

    @cached_property
    def readable_gold(self) -> dict[tuple[str, str], list[Gold]]:
        """Gold sentences in order by (article, target), of articles whose text is at hand."""
        found: defaultdict[tuple[str, str], list[Gold]] = defaultdict(list)
        for row in self.gold:
            if self.articles[row.article].text is not None:
                found[row.article, row.target].append(row)
        return dict(found)

    @cached_property
    def waiting(self) -> set[tuple[str, str]]:
        """The (article, target) pairs that have codes and no gold yet."""
        return {(row.article, row.target) for row in self.codes} - {(row.article, row.target) for row in self.gold}

    @cached_property
    def codes_by_key(self) -> dict[tuple[str, str, int, int], list[Annotation]]:
        """All coders' codes of each sentence, in the order of the coders' names."""
        found: defaultdict[tuple[str, str, int, int], list[Annotation]] = defaultdict(list)
        for code in sorted(self.codes, key=lambda code: code.coder):
            found[code.key].append(code)
        return dict(found)

    def sentence_text(self, row: Gold | Annotation) -> str:
        """The text of a coded sentence; empty where the article's text is missing."""
        return (self.articles[row.article].text or "")[row.start : row.end]


def digest(folder: Path) -> str:
    """The sha256 over codebook, articles, codes and gold."""
    total = hashlib.sha256()
    for name in ("codebook.toml", "articles.jsonl", "codes.jsonl", "gold.jsonl"):
        total.update((folder / name).read_bytes())
    return total.hexdigest()


Row = TypeVar("Row")


def _read(path: Path, parse: Callable[[dict[str, Any], str], Row]) -> list[tuple[str, Row]]:
    return [(place, parse(row, place)) for place, row in json_lines(path)]


def _take(row: dict[str, Any], place: str, record: type, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The row, once it has all keys of the record and no other."""
    expected = {field.name for field in fields(record)} - set(without)
    optional = {field.name for field in fields(record) if field.default is not MISSING}
    if wrong := sorted((set(row) ^ expected) - (optional - set(row))):
        what = "is missing" if wrong[0] in expected else "is not a key of this file"
        raise AnnotationError(f"{place}: '{wrong[0]}' {what}; a line has {', '.join(sorted(expected))}")
    for key in ("start", "end"):
        if key in expected and not isinstance(row[key], int):
            raise AnnotationError(f"{place}: {key} '{row[key]}' is no whole number; offsets count code points of the article's text")
    for key in ("frames", "targets", "attacked"):
        if key in row and not (isinstance(row[key], list) and all(isinstance(value, str) for value in row[key])):
            raise AnnotationError(f"{place}: {key} '{row[key]}' is no list of labels; write [] for none")
    return dict(row)


def _article(row: dict[str, Any], place: str, codebook: Codebook, folder: Path, texts: Path | None) -> AnnotatedArticle:
    row = _take(row, place, AnnotatedArticle, without=("text",))
    known(row["origin"], ORIGINS, what="origin", place=place)
    for target in row["targets"]:
        known(target, codebook.targets, what="target", place=place)
    home = folder if row["origin"] == "written" else texts
    text = None
    if home is not None and (path := home / row["path"]).is_file():
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != row["sha256"]:
            raise AnnotationError(
                f"{place}: {path} has changed since it was coded (its sha256 is another); restore the text, or code it anew"
            )
        text = content.decode("utf-8")
    elif row["origin"] == "written":
        raise AnnotationError(f"{place}: {folder / row['path']} is missing; an article written for the project has its text here")
    return AnnotatedArticle(**{**row, "targets": tuple(row["targets"])}, text=text)


def _coded(row: dict[str, Any], place: str, codebook: Codebook, articles: Mapping[str, AnnotatedArticle]) -> dict[str, Any]:
    """Check what codes and gold have in common."""
    article = articles[known(row["article"], articles, what="article", place=place)]
    known(row["target"], article.targets, what=f"target of {article.id}", place=place)
    for frame in row["frames"]:
        known(frame, codebook.frame_labels, what="frame", place=place)
    known(row["stance"], codebook.stance_labels, what="stance", place=place)
    known(row["voice"], codebook.voice_labels, what="voice", place=place)
    if not 0 <= row["start"] < row["end"]:
        raise AnnotationError(f"{place}: offsets {row['start']}-{row['end']} hold no text")
    if article.text is not None:
        sentence = article.text[row["start"] : row["end"]]
        if row["end"] > len(article.text) or sentence != sentence.strip():
            raise AnnotationError(
                f"{place}: offsets {row['start']}-{row['end']} do not cut a sentence out of {article.path} ('{sentence[:30]}')"
            )
    return {**row, "frames": frozenset(row["frames"])}


def _annotation(row: dict[str, Any], place: str, codebook: Codebook, articles: Mapping[str, AnnotatedArticle]) -> Annotation:
    row = _take(row, place, Annotation)
    known(row["coder_kind"], CODER_KINDS, what="coder_kind", place=place)
    return Annotation(**_coded(row, place, codebook, articles))


def _gold(row: dict[str, Any], place: str, codebook: Codebook, articles: Mapping[str, AnnotatedArticle]) -> Gold:
    row = _take(row, place, Gold)
    known(row["adjudicator_kind"], CODER_KINDS, what="adjudicator_kind", place=place)
    known(row["part"], PARTS, what="part", place=place)
    if not str(row["reason"]).strip():
        raise AnnotationError(f"{place}: the reason is empty; adjudication says why, if only that the coders agree")
    for frame in row.get("attacked", []):
        known(frame, row["frames"], what="attacked frame", place=place)
    return Gold(**{**_coded(row, place, codebook, articles), "attacked": frozenset(row.get("attacked", []))})


def _check_codes(path: Path, codes: list[tuple[str, Annotation]]) -> None:
    kinds: dict[str, CoderKind] = {}
    seen: set[tuple[str, tuple[str, str, int, int]]] = set()
    for place, code in codes:
        if kinds.setdefault(code.coder, code.coder_kind) != code.coder_kind:
            raise AnnotationError(
                f"{place}: coder '{code.coder}' is {code.coder_kind} here but {kinds[code.coder]} above; one coder is of one kind"
            )
        if (code.coder, code.key) in seen:
            raise AnnotationError(f"{place}: coder '{code.coder}' codes {code.article} {code.start}-{code.end} twice; keep one")
        seen.add((code.coder, code.key))


def _check_gold(
    path: Path, gold: list[tuple[str, Gold]], codes: list[tuple[str, Annotation]], articles: Mapping[str, AnnotatedArticle]
) -> None:
    coders: defaultdict[tuple[str, str, int, int], set[str]] = defaultdict(set)
    for _, code in codes:
        coders[code.key].add(code.coder)
    ends: dict[tuple[str, str], int] = {}
    for place, row in gold:
        if len(coders[row.key]) < FEWEST_CODERS:
            raise AnnotationError(
                f"{place}: {row.article} {row.start}-{row.end} has codes by {len(coders[row.key])} coder(s); gold needs {FEWEST_CODERS}"
            )
        previous = ends.get((row.article, row.target), 0)
        text = articles[row.article].text
        if row.start < previous:
            raise AnnotationError(f"{place}: {row.article} {row.start}-{row.end} overlaps the sentence before it or is out of order")
        if text is not None and text[previous : row.start].strip():
            raise AnnotationError(
                f"{place}: {row.article} {previous}-{row.start} is text that no gold sentence covers; code from the start without gaps"
            )
        ends[row.article, row.target] = row.end


app = typer.Typer(add_completion=False, help="The annotated corpus.", pretty_exceptions_enable=False)


@app.callback()
def _root() -> None:
    """The annotated corpus."""


@app.command()
def check(folder: FolderOption = ANNOTATIONS, texts: TextsOption = None) -> None:
    """Validate the whole corpus and print counts."""
    annotations = Annotations.load(folder, texts)
    out = console()
    for article in annotations.missing:
        out.print(f"missing: {article.path} ({article.id}); skipped, its sentences are not checked against the text", soft_wrap=True)
    for name, target in sorted(annotations.waiting):
        out.print(f"waiting: {name} towards '{target}' has codes and no gold; settle it with training.exchange", soft_wrap=True)
    out.print(counts(annotations))
    out.print(mix(annotations))
    out.print(
        f"codebook {annotations.codebook.version}, {len(annotations.articles)} articles ({len(annotations.missing)} texts missing), "
        f"{len(annotations.gold)} gold sentences, {len(annotations.codes)} codes by {len({c.coder for c in annotations.codes})} coders, "
        f"{len({r.target for r in annotations.gold})} targets; digest {annotations.digest[:12]}",
        soft_wrap=True,
    )
    for name, things in (("taught", "articles"), ("twins", "passages")):
        if (folder / f"{name}.jsonl").exists():
            rows = [row for _, row in json_lines(folder / f"{name}.jsonl")]
            sides = Counter(sentence["stance"] for row in rows for sentence in row["sentences"])
            out.print(
                f"{name}, for training only: {len(rows)} {things} by one {' or '.join(sorted({row['coder_kind'] for row in rows}))} coder each, "
                f"{sides.total()} sentences ({', '.join(f'{label} {sides[label]}' for label in annotations.codebook.stance_labels)}), "
                f"{len({row.get('target', annotations.codebook.default_target) for row in rows})} targets",
                soft_wrap=True,
            )


@app.command()
def add(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Text files, UTF-8, one article each.")],
    target: Annotated[list[str], typer.Option("--target", metavar="TEXT", help="A target of the codebook; repeat for several.")],
    folder: FolderOption = ANNOTATIONS,
    texts: TextsOption = None,
    outlet: Annotated[str, typer.Option("--outlet", metavar="NAME")] = "",
    genre: Annotated[
        str, typer.Option("--genre", metavar="NAME", help="op-ed, editorial, column, letter, essay, news, speech …")
    ] = "op-ed",
    date: Annotated[str, typer.Option("--date", metavar="DATE", help="YYYY, YYYY-MM or YYYY-MM-DD.")] = "",
    licence: Annotated[str, typer.Option("--licence", metavar="TEXT")] = "CC BY 4.0",
    source: Annotated[str, typer.Option("--source", metavar="TEXT", help="Where third-party texts were found.")] = "",
) -> None:
    """List articles in articles.jsonl: with --texts, third-party texts in that folder; without, texts that are copied into the corpus."""
    if (folder / "codebook.toml").is_file():  # with it a corpus begins
        for name in ("articles", "codes", "gold"):
            (folder / f"{name}.jsonl").touch()
    annotations = Annotations.load(folder, texts)
    rows: list[dict[str, Any]] = []
    copies: dict[Path, bytes] = {}
    for file in files:
        if not file.is_file():
            raise AnnotationError(f"{file}: no such file; give text files")
        content = file.read_bytes()
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise AnnotationError(f"{file}: not UTF-8 ({error}); convert it first, offsets count its code points") from None
        if file.stem in annotations.articles or any(row["id"] == file.stem for row in rows):
            raise AnnotationError(f"{file}: the corpus has an article '{file.stem}' already; rename the file")
        if texts is not None and not file.resolve().is_relative_to(texts.resolve()):
            raise AnnotationError(f"{file}: not in {texts}; third-party texts stay in the folder that --texts gives")
        path = file.resolve().relative_to(texts.resolve()) if texts else Path("written") / file.name
        row = {"id": file.stem, "origin": "third-party" if texts else "written", "genre": genre, "outlet": outlet, "date": date}
        row |= {"path": path.as_posix(), "sha256": hashlib.sha256(content).hexdigest(), "licence": licence, "source": source}
        rows.append({**row, "targets": [known(one, annotations.codebook.targets, what="target", place="--target") for one in target]})
        if texts is None and (home := folder / path).resolve() != file.resolve():
            if home.exists():
                raise AnnotationError(f"{home}: there is a file already; rename {file}")
            copies[home] = content
    for home, content in copies.items():  # only once every file is known to be good
        home.parent.mkdir(exist_ok=True)
        home.write_bytes(content)
    append_rows(folder / "articles.jsonl", rows)
    print(f"{len(rows)} articles added to {folder / 'articles.jsonl'}")


def append_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add lines to one of the corpus's files, whole or not at all."""
    write_rows(path, rows, before=path.read_text(encoding="utf-8"))


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], *, before: str = "") -> None:
    """Write one of the corpus's files, whole or not at all."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(before + "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    partial.replace(path)


def counts(annotations: Annotations) -> Table:
    """Count articles, sentences and labels by kind of text."""
    book = annotations.codebook
    names = (*book.frame_labels, "no frame", *book.stance_labels, *book.voice_labels)
    table = Table(title="gold", title_justify="left", box=None)
    for name in ("kind of text", "articles", "sentences", *names):
        table.add_column(name, justify="left" if name == "kind of text" else "right")
    kinds = Counter(article.kind for article in annotations.articles.values())
    for kind in [*sorted(kinds), "all"]:
        rows = [row for row in annotations.gold if kind in ("all", annotations.articles[row.article].kind)]
        labels = Counter(label for row in rows for label in (*(row.frames or ("no frame",)), row.stance, row.voice))
        articles = len(annotations.articles) if kind == "all" else kinds[kind]
        table.add_row(kind, str(articles), str(len(rows)), *(str(labels[name]) for name in names))
    return table


def mix(annotations: Annotations) -> Table:
    """Show what the gold is made of: origins, targets, outlets, frames that come together, words that speak against their side."""
    gold, articles, book = annotations.gold, annotations.articles, annotations.codebook
    total = max(len(gold), 1)
    real = [row for row in gold if articles[row.article].origin == "third-party"]
    targets = Counter(row.target for row in gold)
    outlets = Counter(articles[row.article].outlet for row in gold)
    pairs = Counter(pair for row in gold for pair in combinations([f for f in book.frame_labels if f in row.frames], 2))
    default = targets.pop(book.default_target, 0)
    outlet, most = outlets.most_common(1)[0] if outlets else ("none", 0)
    readable = [(row, annotations.sentence_text(row).lower()) for row in gold if row.stance not in book.neutral_stances]
    lines = {
        "sentences of third-party texts": f"{len(real)} ({len(real) / total:.0%})",
        "frames in them": ", ".join(f"{label} {sum(label in row.frames for row in real)}" for label in book.frame_labels),
        "towards the default target": f"{default} ({default / total:.0%}); the rest towards {len(targets)} other targets",
        "articles coded towards two targets or more": str(sum(len(article.targets) > 1 for article in articles.values())),
        "outlets": f"{len(outlets)}; the largest, {outlet}, has {most / total:.0%} of the sentences",
        "frames together": ", ".join(f"{one} + {other} {count}" for (one, other), count in sorted(pairs.items())) or "none",
        "taking a side, with words of threat": str(sum(bool(_THREAT.search(text)) for _, text in readable)),
        "taking a side, with words of sympathy": str(sum(bool(_SYMPATHY.search(text)) for _, text in readable)),
        "attacking a frame that they evoke": str(sum(bool(row.attacked) for row in gold)),
        "settled by an adjudicator": str(sum(row.adjudicator != AGREED for row in gold)),
        "changed on a second reading": str(sum(row.reason.startswith("re-read") for row in gold)),
    }
    if {"favor", "against"} <= set(book.stance_labels):
        usual = [(row, text) for row, text in readable if row.target == book.default_target]
        lines["default target: favor with words of threat"] = str(
            sum(row.stance == "favor" and bool(_THREAT.search(t)) for row, t in usual)
        )
        lines["default target: against with words of sympathy"] = str(
            sum(row.stance == "against" and bool(_SYMPATHY.search(t)) for row, t in usual)
        )
    table = Table(title="what it is made of", title_justify="left", box=None, show_header=False)
    for name, value in lines.items():
        table.add_row(name, value)
    return table


if __name__ == "__main__":
    run(app)
