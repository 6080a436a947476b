"""The files of annotation tools: tasks written as each tool imports them, answers read as it exports them."""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

from slant.codebook import AnnotationError, Codebook
from training.tasks import Answer, Suggestion, Task, described

CODES = ("frames", "stance", "voice")
SEPARATOR = "|"  # between frames, in a cell of CSV
CSV_COLUMNS = ("id", "target", "scope", "part", "before", "text", "after", "suggestion", "codes", *CODES, "coder", "reason")
# A tool with one list of labels gets each with its code before it: "stance: favor".
PREFIX = ": "


class Format(NamedTuple):
    """How one tool's files are written and read."""

    write: Callable[[Sequence[Task], Codebook, Path], list[Path]]
    read: Callable[[Path], Iterator[Answer]]


def write_csv(some: Sequence[Task], codebook: Codebook, folder: Path) -> list[Path]:
    """Write a table: coders fill in the columns frames (joined by a vertical bar), stance and voice."""
    path = folder / "tasks.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:  # the mark tells spreadsheets that it is UTF-8
        writer = csv.DictWriter(file, CSV_COLUMNS, restval="")
        writer.writeheader()
        for task in some:
            row = {"id": task.id, "target": task.target, "scope": task.scope, "part": task.part}
            row |= {"before": _line(task.before), "text": _line(task.text), "after": _line(task.after)}
            row["suggestion"] = described(task.suggestion) if task.suggestion else ""
            row["codes"] = "; ".join(f"{code.coder}: {described(code)}" for code in task.codes)
            writer.writerow(row)
    return [path]


def read_csv(path: Path) -> Iterator[Answer]:
    """Read a filled-in table; commas or semicolons between columns, as spreadsheets save them."""
    text = _text(path)
    header = text.split("\n", 1)[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if header.count(";") > header.count(",") else ",", restval="")
    if missing := [name for name in ("id", "text", *CODES) if name not in (reader.fieldnames or ())]:
        raise AnnotationError(f"{path} line 1: column '{missing[0]}' is missing; keep the columns that the export wrote")
    for row in reader:
        cells = {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)}
        frames = tuple(frame for cell in cells["frames"].split(SEPARATOR) if (frame := cell.strip()))
        yield Answer(
            f"{path} line {reader.line_num}",
            cells["id"],
            cells["text"],
            frames,
            cells["stance"],
            cells["voice"],
            cells.get("coder", ""),
            cells.get("reason", ""),
        )


def write_label_studio(some: Sequence[Task], codebook: Codebook, folder: Path) -> list[Path]:
    """Write Label Studio's tasks, suggestions as predictions, and a labelling configuration."""
    rows = []
    for task in some:
        data = _fields(task)
        data["where"] = f"{task.article} ({task.part})"
        row: dict[str, Any] = {"data": data}
        if said := task.suggestion:
            chosen = {"frames": list(said.frames), "stance": [said.stance], "voice": [said.voice]}
            results = [
                {"from_name": code, "to_name": "text", "type": "choices", "value": {"choices": labels}} for code, labels in chosen.items()
            ]
            row["predictions"] = [{"model_version": "slant", "result": results}]
        rows.append(row)
    path, config = folder / "tasks.json", folder / "config.xml"
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    config.write_text(label_studio_config(codebook), encoding="utf-8")
    return [path, config]


def label_studio_config(codebook: Codebook) -> str:
    """The labelling configuration: the sentence between its neighbours, and the codebook's definitions as hints."""
    groups = []
    for code, labels in _labels(codebook).items():
        several = code == "frames"
        title = f"{code.capitalize()}: none, one or several" if several else code.capitalize()
        choices = "".join(
            f"\n      <Choice value={quoteattr(label)} hint={quoteattr(definition)}{_hotkey(code, i)}/>"
            for i, (label, definition) in enumerate(labels.items())
        )
        kind = "multiple" if several else "single-radio"
        required = "" if several else ' required="true"'
        groups.append(
            f'  <Header size="5" value={quoteattr(title)}/>\n'
            f'    <Choices name="{code}" toName="text" choice="{kind}" showInline="true"{required}>{choices}\n    </Choices>\n'
        )
    hints = "".join(
        f'\n        <Header size="6" value={quoteattr(f"{label}: {definition}")}/>'
        for labels in _labels(codebook).values()
        for label, definition in labels.items()
        if definition
    )
    return (
        "<View>\n"
        "  <Style>.sentence div, .sentence span { font-size: 1.15rem; font-weight: 600 }</Style>\n"
        '  <View style="color:#777"><Text name="where" value="$where"/><Text name="before" value="$before"/></View>\n'
        '  <View className="sentence"><Text name="text" value="$text"/></View>\n'
        '  <View style="color:#777"><Text name="after" value="$after"/></View>\n'
        '  <Header size="5" value="Stance towards: $target"/>\n'
        '  <Text name="scope" value="$scope"/>\n'
        + "".join(groups)
        + '  <Collapse>\n    <Panel value="Codebook">\n      <View>'
        + hints
        + "\n"
        "      </View>\n    </Panel>\n  </Collapse>\n"
        '  <TextArea name="reason" toName="text" rows="1" placeholder="Reason (adjudicators)"/>\n'
        "</View>\n"
    )


def read_label_studio(path: Path) -> Iterator[Answer]:
    """Read Label Studio's JSON export; a skipped task or one without an annotation is not done."""
    rows = _json(path)
    if not isinstance(rows, list):
        raise AnnotationError(f"{path}: not a list of tasks; export from Label Studio as JSON (not JSON-MIN)")
    several = len({_annotator(a) for row in rows if isinstance(row, dict) for a in row.get("annotations", [])}) > 1
    for number, row in enumerate(rows, start=1):
        place = f"{path} task {row.get('id', number)}"
        if not isinstance(row.get("data"), dict):
            raise AnnotationError(f"{place}: it has no 'data'; export from Label Studio as JSON (not JSON-MIN)")
        kept = [a for a in row.get("annotations", []) if not a.get("was_cancelled")]
        for annotation in kept or [{"result": []}]:
            chosen: dict[str, list[str]] = {}
            for result in annotation["result"]:
                value = result.get("value", {})
                chosen.setdefault(result.get("from_name", ""), []).extend(value.get("choices") or value.get("text") or [])
            who = _annotator(annotation)
            # a plain export names annotators by number only: one is whom --coder says, several are told apart by it
            coder = who if "@" in who else f"annotator-{who}" if several and who else ""
            yield _answer(place, row["data"], chosen, coder=coder, reason=" ".join(chosen.get("reason", [])))


def _annotator(annotation: dict[str, Any]) -> str:
    who = annotation.get("completed_by", "")
    return str(who.get("email") or who.get("id", "")) if isinstance(who, dict) else str(who)


def write_doccano(some: Sequence[Task], codebook: Codebook, folder: Path) -> list[Path]:
    """Write doccano's JSONL for a text classification project, and the label types to import there."""
    # a suggestion given as labels would be exported as the uploader's own codes: it is shown beside the text instead
    rows = [{**_fields(task), **({"suggestion": described(task.suggestion)} if task.suggestion else {}), "label": []} for task in some]
    path = _write_lines(folder / "tasks.jsonl", rows)
    types = folder / "labels.json"
    keys = "123456789abcdefghijklmnopqrstuvwxyz"
    names = [f"{code}{PREFIX}{label}" for code, labels in _labels(codebook).items() for label in labels]
    colours = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
    content = [
        {
            "text": name,
            "suffixKey": keys[i] if i < len(keys) else None,
            "backgroundColor": colours[i % len(colours)],
            "textColor": "#ffffff",
        }
        for i, name in enumerate(names)
    ]
    types.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return [path, types]


def read_doccano(path: Path) -> Iterator[Answer]:
    """Read doccano's export: its zip with a file for each member of the project, or one of the JSONL files in it.

    In the zip every member's file lists all tasks, so tasks that a member has not labelled are passed over there
    where another member's file has labels.
    """
    if not zipfile.is_zipfile(path):
        yield from _doccano_answers(_lines(str(path), _text(path)), coder="")
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: list(_lines(f"{path}/{name}", archive.read(name).decode("utf-8"))) for name in archive.namelist()}
    working = {name: rows for name, rows in members.items() if any(row.get("label") for _, row in rows)}
    for name, rows in (working or members).items():
        coder = Path(name).stem
        yield from _doccano_answers(rows, coder="" if coder == "all" else coder)  # "all" is a project that shares its labels


def _doccano_answers(rows: Iterable[tuple[str, dict[str, Any]]], *, coder: str) -> Iterator[Answer]:
    for place, row in rows:
        yield _answer(place, row, _split(row.get("label", [])), coder=coder, reason=" ".join(row.get("Comments", [])))


def write_prodigy(some: Sequence[Task], codebook: Codebook, folder: Path) -> list[Path]:
    """Write Prodigy's JSONL for its choice interface, suggestions accepted in advance, and its settings."""
    options = [
        {"id": f"{code}{PREFIX}{label}", "text": f"{code}{PREFIX}{label}"} for code, labels in _labels(codebook).items() for label in labels
    ]
    rows = []
    for task in some:
        fields = _fields(task)
        meta = {"target": task.target, "before": fields["before"], "after": fields["after"]}
        rows.append({**fields, "options": options, "accept": _flat(task.suggestion) if task.suggestion else [], "meta": meta})
    path = _write_lines(folder / "tasks.jsonl", rows)
    settings = folder / "prodigy.json"
    settings.write_text(json.dumps({"choice_style": "multiple", "choice_auto_accept": False}, indent=1) + "\n", encoding="utf-8")
    return [path, settings]


def read_prodigy(path: Path) -> Iterator[Answer]:
    """Read what ``prodigy db-out`` writes; rejected and ignored tasks are not done."""
    for place, row in _lines(str(path), _text(path)):
        done = row.get("answer") == "accept"
        who = str(row.get("_annotator_id") or "")
        yield _answer(place, row, _split(row.get("accept", [])) if done else {}, coder=who)


def write_potato(some: Sequence[Task], codebook: Codebook, folder: Path) -> list[Path]:
    """Write Potato's data file and its configuration."""
    rows = []
    for task in some:
        fields = _fields(task)
        shown = (
            f"<small>{_escape(fields['before'])}</small><br><b>{_escape(fields['text'])}</b><br><small>{_escape(fields['after'])}</small>"
        )
        row = {
            "id": task.id,
            "text": f"{shown}<br><i>Stance towards: {_escape(task.target)} ({_escape(task.scope)})</i>",
            "sentence": fields["text"],
        }
        if said := task.suggestion:
            row["label_suggestions"] = {"frames": list(said.frames), "stance": said.stance, "voice": said.voice}
        rows.append(row)
    path = _write_lines(folder / "tasks.jsonl", rows)
    schemes = [
        {
            "annotation_type": "multiselect" if code == "frames" else "radio",
            "name": code,
            "description": "Frames (none, one or several)" if code == "frames" else code.capitalize(),
            "labels": [{"name": label, "tooltip": definition} for label, definition in labels.items()],
            "label_requirement": {"required": code != "frames"},
            "label_suggestions": "prefill",
        }
        for code, labels in _labels(codebook).items()
    ]
    config = folder / "config.yaml"  # JSON is YAML
    content = {
        "annotation_task_name": "slant",
        "task_dir": ".",
        "output_annotation_dir": "annotation_output",
        "export_annotation_format": "jsonl",
        "auto_export_interval": 0,
        "data_files": ["tasks.jsonl"],
        "item_properties": {"id_key": "id", "text_key": "text"},
        "annotation_schemes": schemes,
        "site_dir": "default",
        "port": 8000,
        "user_config": {"allow_all_users": True, "users": []},
    }
    config.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return [path, config]


def read_potato(path: Path) -> Iterator[Answer]:
    """Read the JSONL that Potato exports; a task that nobody coded has no row there."""
    for place, row in _lines(str(path), _text(path)):
        labels = row.get("labels")
        if not isinstance(labels, dict):
            raise AnnotationError(f"{place}: it has no 'labels'; export from Potato as jsonl (exports/jsonl/annotations.jsonl)")
        chosen = {scheme: list(found) for scheme, found in labels.items() if isinstance(found, dict)}
        yield _answer(place, {"id": row.get("instance_id", "")}, chosen, coder=str(row.get("user_id") or ""))


FORMATS = {
    "csv": Format(write_csv, read_csv),
    "label-studio": Format(write_label_studio, read_label_studio),
    "doccano": Format(write_doccano, read_doccano),
    "prodigy": Format(write_prodigy, read_prodigy),
    "potato": Format(write_potato, read_potato),
}


def _fields(task: Task) -> dict[str, Any]:
    """What every tool with fields of its own is given of a task."""
    return {
        "id": task.id,
        "text": _line(task.text),
        "before": _line(task.before),
        "after": _line(task.after),
        "target": task.target,
        "scope": task.scope,
    }


def _answer(place: str, row: dict[str, Any], chosen: dict[str, list[str]], *, coder: str, reason: str = "") -> Answer:
    """An answer from labels by code; two stances are said, for one of them is a slip."""
    for code in ("stance", "voice"):
        if len(chosen.get(code, [])) > 1:
            chosen = {**chosen, code: [f"{', '.join(chosen[code])} (choose one)"]}
    one = {code: "".join(chosen.get(code, [])) for code in ("stance", "voice")}
    frames = tuple(chosen.get("frames", []))
    return Answer(place, str(row.get("id", "")), str(row.get("text", "")), frames, one["stance"], one["voice"], coder, reason)


def _labels(codebook: Codebook) -> dict[str, dict[str, str]]:
    groups = zip(CODES, (codebook.frames, codebook.stances, codebook.voices), strict=True)
    return {code: {label.label: label.definition for label in labels} for code, labels in groups}


def _hotkey(code: str, number: int) -> str:
    keys = {"frames": "123456789", "stance": "qwertyui", "voice": "asdfghjk"}[code]
    return f' hotkey="{keys[number]}"' if number < len(keys) else ""


def _flat(said: Suggestion) -> list[str]:
    return [*(f"frames{PREFIX}{frame}" for frame in said.frames), f"stance{PREFIX}{said.stance}", f"voice{PREFIX}{said.voice}"]


def _split(labels: Sequence[str]) -> dict[str, list[str]]:
    """Labels such as "stance: favor" by code; one without a known code is kept, to be named as an unknown frame."""
    chosen: dict[str, list[str]] = {}
    for label in labels:
        code, mark, rest = label.partition(PREFIX)
        known_code = bool(mark) and code in CODES
        chosen.setdefault(code if known_code else "frames", []).append(rest if known_code else label)
    return chosen


def _line(text: str) -> str:
    return " ".join(text.split())


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path}: cannot be read as UTF-8 text ({error})") from None


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except ValueError as error:
        raise AnnotationError(f"{path}: not JSON ({error}); is it the right tool's export?") from None


def _lines(name: str, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise AnnotationError(f"{name} line {number}: not JSON ({error}); is it the right tool's export?") from None
        if not isinstance(row, dict):
            raise AnnotationError(f"{name} line {number}: no object; is it the right tool's export, as JSONL?")
        yield f"{name} line {number}", row
