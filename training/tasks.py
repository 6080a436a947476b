"""What a coder is asked, sentence by sentence, and what comes back: tasks out of the corpus, answers into it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from slant.article import Article, Part, Sentence, split
from slant.codebook import AnnotationError, Codebook, known
from slant.reader import Reader
from training.annotations import AGREED, FEWEST_CODERS, Annotation, Annotations, CoderKind, Gold


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a reader says of a sentence, to start a coder off."""

    frames: tuple[str, ...]
    stance: str
    voice: str


@dataclass(frozen=True, slots=True)
class Task:
    """One sentence to be coded towards one target, with what stands around it."""

    id: str
    article: str
    target: str
    scope: str
    start: int
    end: int
    part: Part
    text: str
    before: str  # the sentence before; empty at the article's start
    after: str
    suggestion: Suggestion | None = None
    codes: tuple[Annotation, ...] = ()  # what coders said, where an adjudicator is asked

    @property
    def key(self) -> tuple[str, str, int, int]:
        return self.article, self.target, self.start, self.end


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool's file says of one task, not checked yet; an empty stance or voice is not answered."""

    place: str  # file and item, for messages
    id: str
    text: str
    frames: tuple[str, ...]
    stance: str
    voice: str
    coder: str = ""  # whom the file names, if it does
    reason: str = ""  # an adjudicator's


@dataclass(frozen=True)
class Outcome:
    """What an import comes to: the new rows, and a line on everything that could not be taken."""

    annotations: list[Annotation] = field(default_factory=list)
    gold: list[Gold] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unchanged: int = 0


def tasks(
    annotations: Annotations,
    *,
    articles: Sequence[str] = (),
    target: str | None = None,
    disputed: bool = False,
    reader: Reader | None = None,
) -> list[Task]:
    """Make the tasks of articles, in order.

    Args:
        annotations: the corpus.
        articles: ids; empty for all whose text is at hand.
        target: only towards this one of their targets.
        disputed: only sentences that have no gold and on which coders differ, with their codes.
        reader: gives suggestions.

    Raises:
        AnnotationError: for an article that is not in the corpus or whose text is missing.
    """
    chosen = [annotations.articles[known(name, annotations.articles, what="article", place="--article")] for name in articles]
    if missing := [article.id for article in chosen if article.text is None]:
        raise AnnotationError(f"--article {missing[0]}: its text is not at hand; give --texts the folder that holds it")
    settled = {row.key for row in annotations.gold}
    spans: defaultdict[str, dict[tuple[int, int], Part | None]] = defaultdict(dict)  # coded already: article: (start, end): part
    for code in annotations.codes:
        spans[code.article][code.start, code.end] = None
    for row in annotations.gold:
        spans[row.article][row.start, row.end] = row.part
    found = []
    for article in chosen or annotations.articles.values():
        if article.text is None:
            continue
        sentences = _sentences(article.text, spans[article.id])
        for number, towards in enumerate(article.targets, start=1):
            if target not in (None, towards):
                continue
            whole = Article(article.text, article.id, tuple(sentences))
            reading = reader.read(whole, target=towards).sentences if reader and sentences else None
            texts = ["", *(sentence.text for sentence in sentences), ""]
            for i, sentence in enumerate(sentences):
                key = (article.id, towards, sentence.start, sentence.end)
                codes = tuple(annotations.codes_by_key.get(key, ()))
                if disputed and (key in settled or len({_code(row) for row in codes}) < 2):
                    continue
                said = reading[i] if reading else None
                found.append(
                    Task(
                        f"{article.id}:{number}:{sentence.start}-{sentence.end}",
                        article.id,
                        towards,
                        annotations.codebook.targets[towards],
                        sentence.start,
                        sentence.end,
                        sentence.part,
                        sentence.text,
                        texts[i],
                        texts[i + 2],
                        Suggestion(said.frames, said.stance, said.voice) if said else None,
                        codes if disputed else (),
                    )
                )
    return found


def take(annotations: Annotations, answers: Iterable[Answer], *, coder: str | None, kind: CoderKind) -> Outcome:
    """Check coders' answers and turn them into annotations; what is in the corpus already is never changed.

    Args:
        annotations: the corpus that the tasks were made from.
        answers: as a tool's file has them.
        coder: who coded, where the file does not say.
        kind: of the coders.

    Returns:
        New annotations, how many answers are in the corpus already, and for each answer that
        cannot be taken a line that names file, item, value and way out.
    """
    outcome = Outcome()
    by_id = {task.id: task for task in tasks(annotations)}
    by_text = unique_texts(by_id.values())
    here = {(row.coder, row.key): row for row in annotations.codes}
    kinds = {row.coder: row.coder_kind for row in annotations.codes}
    unchanged = 0
    for answer in answers:
        try:
            task = task_of(answer, by_id, by_text)
            frames, stance, voice = labels_of(answer, annotations.codebook)
            name = answer.coder or coder
            if not name:
                raise AnnotationError(f"{answer.place}: the file does not say who coded; give --coder")
            if kinds.setdefault(name, kind) != kind:
                raise AnnotationError(f"{answer.place}: coder '{name}' is {kinds[name]} in the corpus, not {kind}; give another --coder")
            row = Annotation(*task.key, frames, stance, voice, name, kind)
            old = here.setdefault((name, task.key), row)
            if old is row:
                outcome.annotations.append(row)
            elif _code(old) == _code(row):
                unchanged += 1
            else:
                raise AnnotationError(
                    f"{answer.place}: {name} has coded {task.id} otherwise already ({described(old)}, now {described(row)}); "
                    "the old code is kept, delete its line in codes.jsonl to replace it"
                )
        except AnnotationError as error:
            outcome.problems.append(str(error))
    return Outcome(outcome.annotations, [], outcome.problems, unchanged)


def settle(annotations: Annotations, answers: Iterable[Answer], *, adjudicator: str, kind: CoderKind) -> Outcome:
    """Make gold of articles that two coders or more have coded: what they agree on, and an adjudicator's answers on the rest.

    An article whose every sentence is agreed on or adjudicated gets its gold; one that still has
    an open sentence is named in the problems and gets none.
    """
    outcome = Outcome()
    by_id = {task.id: task for task in tasks(annotations)}
    by_text = unique_texts(by_id.values())
    said: dict[tuple[str, str, int, int], Gold] = {}
    for answer in answers:
        try:
            task = task_of(answer, by_id, by_text)
            frames, stance, voice = labels_of(answer, annotations.codebook)
            if not answer.reason.strip():
                raise AnnotationError(f"{answer.place}: no reason; an adjudicator says why")
            said[task.key] = Gold(*task.key, task.part, frames, stance, voice, adjudicator, kind, answer.reason.strip())
        except AnnotationError as error:
            outcome.problems.append(str(error))
    settled = {(row.article, row.target) for row in annotations.gold}
    grouped: defaultdict[tuple[str, str], list[Task]] = defaultdict(list)
    for task in by_id.values():
        if (task.article, task.target) not in settled:
            grouped[task.article, task.target].append(task)
    for (article, target), found in grouped.items():
        rows, open_ids, single = [], [], 0
        for task in found:
            codes = annotations.codes_by_key.get(task.key, [])
            single += len(codes) < FEWEST_CODERS
            if len({_code(row) for row in codes}) == 1:
                one = codes[0]
                rows.append(Gold(*task.key, task.part, one.frames, one.stance, one.voice, AGREED, one.coder_kind, "the coders agree"))
            elif task.key in said:
                rows.append(said[task.key])
            else:
                open_ids.append(task.id)
        if single == len(found):
            continue  # nobody has begun
        if single:
            outcome.problems.append(f"{article} towards '{target}': {single} of {len(found)} sentences have codes by fewer than 2 coders")
        elif open_ids:
            outcome.problems.append(
                f"{article} towards '{target}': {len(open_ids)} sentences are disputed and not adjudicated, first {open_ids[0]}"
            )
        else:
            outcome.gold.extend(rows)
    return outcome


def reread(annotations: Annotations, answers: Iterable[Answer], *, adjudicator: str, kind: CoderKind) -> Outcome:
    """Change gold where somebody has read a sentence again; the reason records what it was.

    Returns:
        The changed gold rows; an answer that confirms gold counts as unchanged.
    """
    outcome = Outcome()
    by_id = {task.id: task for task in tasks(annotations)}
    by_text = unique_texts(by_id.values())
    gold = {row.key: row for row in annotations.gold}
    unchanged = 0
    for answer in answers:
        try:
            task = task_of(answer, by_id, by_text)
            frames, stance, voice = labels_of(answer, annotations.codebook)
            old = gold.get(task.key)
            if old is None:
                raise AnnotationError(f"{answer.place}: {task.id} has no gold; settle its article first")
            if (old.frames, old.stance, old.voice) == (frames, stance, voice):
                unchanged += 1
                continue
            if not answer.reason.strip():
                raise AnnotationError(f"{answer.place}: no reason; who changes gold says why")
            reason = f"re-read, was {described(old)}: {answer.reason.strip()}"
            outcome.gold.append(Gold(*task.key, old.part, frames, stance, voice, adjudicator, kind, reason, old.attacked & frames))
        except AnnotationError as error:
            outcome.problems.append(str(error))
    return Outcome([], outcome.gold, outcome.problems, unchanged)


def described(row: Annotation | Gold | Suggestion) -> str:
    """Codes in a line: "security|humanitarian, favor, author"."""
    return f"{'|'.join(sorted(row.frames)) or 'no frame'}, {row.stance}, {row.voice}"


def _sentences(text: str, spans: Mapping[tuple[int, int], Part | None]) -> list[Sentence]:
    """A text's sentences: as they are coded already, or split off where nobody has coded it."""
    parts = {(s.start, s.end): s.part for s in split(text)}
    return [Sentence(text[a:b], a, b, part or parts.get((a, b), "body")) for (a, b), part in sorted((spans or parts).items())]


def task_of(answer: Answer, by_id: dict[str, Task], by_text: dict[str, Task]) -> Task:
    """The task that an answer is to: by its id, or by its text where the tool lost the id."""
    task = by_id.get(answer.id) if answer.id else by_text.get(_folded(answer.text))
    if task is None:
        what = f"item '{answer.id}'" if answer.id else f"'{answer.text[:40]}'"
        raise AnnotationError(f"{answer.place}: {what} is no sentence of this corpus; import into the corpus that it was exported from")
    if answer.text and _folded(answer.text) != _folded(task.text):
        raise AnnotationError(
            f"{answer.place}: its text '{answer.text[:40]}' is not that of {task.id} ('{task.text[:40]}'); the text was changed in the tool"
        )
    return task


def labels_of(answer: Answer, codebook: Codebook) -> tuple[frozenset[str], str, str]:
    """The frames, stance and voice of an answer, once all are chosen and known to the codebook."""
    if not answer.stance or not answer.voice:
        lacking = " and ".join(name for name, value in (("stance", answer.stance), ("voice", answer.voice)) if not value)
        raise AnnotationError(f"{answer.place}: not done, {lacking} not chosen; finish it in the tool and import again")
    frames = frozenset(known(frame, codebook.frame_labels, what="frame", place=answer.place) for frame in answer.frames)
    stance = known(answer.stance, codebook.stance_labels, what="stance", place=answer.place)
    return frames, stance, known(answer.voice, codebook.voice_labels, what="voice", place=answer.place)


def unique_texts(some: Iterable[Task]) -> dict[str, Task]:
    """Tasks by their text as ``task_of`` compares it, those whose text is unlike every other's."""
    found: defaultdict[str, list[Task]] = defaultdict(list)
    for task in some:
        found[_folded(task.text)].append(task)
    return {text: only[0] for text, only in found.items() if len(only) == 1}


def _folded(text: str) -> str:
    """A text as it is whatever a tool does to its white space."""
    return "".join(text.split())


def _code(row: Annotation) -> tuple[frozenset[str], str, str]:
    return row.frames, row.stance, row.voice
