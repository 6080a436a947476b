"""Swaps the parties, leaders, nationalities, religions and outlets that an article names for counterparts of the same kind."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.commands import TrainingError

IDENTITIES = Path(__file__).with_name("identities.toml")
NAME, ADJECTIVE, PERSON = 0, 1, 2  # forms of a name; identities.toml has them all

# "a Republican from Ohio", but "Republican voters" and "they are Republican": where person and adjective are the same word
_NOT_PREDICATE = "".join(rf"(?<!\b{verb} )" for verb in ("is", "are", "was", "were", "be", "been"))
_NOT_BEFORE_NOUN = r"(?!-|\s+(?!(?:who|is|was|has|had|from|in|of|to|will|would|voted|said|says)\b)\w)"
# what makes "the United States" in front of it an adjective
_ATTRIBUTIVE = re.compile(
    r"\s+(?:administration|ambassadors?|approach|army|border|capitol|citizens?|conference|congress|constitution|delegation|department"
    r"|dollars?|economy|embassy|federal|forces|foreign|goals?|government|house|immigration|law|leadership|military|national|navy|officials?"
    r"|policy|population|president|public|role|senators?|senate|side|sovereignty|state|supreme|system|treasury|troops)\b",
    re.IGNORECASE,
)
_BARE = re.compile(r"[’']\s+\w")  # an apostrophe that may be a possessive's, "the United States' war",
_OPENED = re.compile(r"‘|(?<!\w)'")  # unless a quotation that it may close was opened before
_TAKES_AN = re.compile(r"[AIO]|E(?!u)|[FHLMNRSX](?=[A-Z])")  # a Ukrainian, an Iranian, an NBC report, a European


@dataclass(frozen=True)
class Identities:
    """One kind of identity: groups of names that may stand for one another."""

    groups: tuple[tuple[tuple[str, ...], ...], ...]  # a group has names, a name its forms as they are written
    pattern: re.Pattern[str]  # its groups are named after group, name and form; what is kept is in none

    @classmethod
    def load(cls, path: Path = IDENTITIES) -> "dict[str, Identities]":
        """Read all kinds of identity from ``identities.toml``.

        Raises:
            TrainingError: when the file cannot be read, or a group has a single name, or names with unequal forms.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
            return {kind: cls._of(kind, rows, str(path)) for kind, rows in table.items()}
        except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, re.error) as error:
            raise TrainingError(f"{path}: cannot be read ({error}); its first lines say what it has to look like") from None

    @classmethod
    def _of(cls, kind: str, rows: Mapping[str, Any], place: str) -> "Identities":
        found: list[tuple[str, str]] = []  # label, regular expression
        groups = []
        for g, group in enumerate(rows["groups"]):
            if len(group) < 2 or len({len(name) for name in group}) > 1:
                raise TrainingError(f"{place}: group {g + 1} of {kind} needs two names or more, all with the same forms")
            cells = [[[form] if isinstance(form, str) else form for form in name] for name in group]
            groups.append(tuple(tuple(form[0] for form in name) for name in cells))
            for n, name in enumerate(cells):
                for f, (written, *others) in enumerate(name):
                    doubtful = f == PERSON and written == name[ADJECTIVE][0]
                    guard = (_NOT_PREDICATE, _NOT_BEFORE_NOUN) if doubtful else ("", "")
                    patterns = [_spaced(written), _spaced(written.upper()), *(_spaced(other, literal=False) for other in others)]
                    found += [(f"_{g}_{n}_{f}", f"{guard[0]}{one}{guard[1]}") for one in patterns]
        found.sort(key=lambda one: len(one[1]), reverse=True)  # the longest first
        kept = [f"(?:{_spaced(one, literal=False)})" for one in rows.get("keep", [])]
        numbered = [f"(?P<{label}_{i}>{one})" for i, (label, one) in enumerate(found)]
        return cls(tuple(groups), re.compile(rf"(?<![\w@#])(?:{'|'.join([*kept, *numbered])})(?![\w@]|\.\w)"))

    def swap(self, texts: Sequence[str], random: np.random.Generator) -> list[str]:
        """Swap every name for another of its group, the same one in all texts.

        Each group's names change places in a random cycle, so that none stays and different names stay different. Adjectives,
        plurals, capitals, "a" and "an", possessives and a full stop that ends both a name and a sentence are seen to.

        Args:
            texts: the sentences of an article, and whatever belongs to it, such as its target.
            random: draws the cycles.

        Returns:
            The texts in order; one that names nobody is as it was.

        >>> parties = Identities.load()["party"]
        >>> parties.swap(["A Democrat asked. The GOP's Republican leaders left."], np.random.default_rng(0))
        ["A Republican asked. The Democratic Party's Democratic leaders left."]
        """
        partner = []
        for group in self.groups:
            order = random.permutation(len(group)).tolist()
            partner.append(dict(zip(order, [*order[1:], order[0]], strict=True)))
        return [self._swapped(text, partner) for text in texts]

    def _swapped(self, text: str, partner: Sequence[Mapping[int, int]]) -> str:
        pieces, last = [], 0
        for match in self.pattern.finditer(text):
            if match.lastgroup is None:
                continue  # looks like a name and is none
            g, n, f = (int(part) for part in match.lastgroup.split("_")[1:4])
            old, new = self.groups[g][n], self.groups[g][partner[g][n]]
            before, after = text[: match.start()], text[match.end() :]
            said = _fitted(match[0], old[f], new, f, before=before, after=after)
            an = "n" if _TAKES_AN.match(said) else ""
            pieces += [re.sub(r"\b([Aa])n?(\s+)$", rf"\g<1>{an}\2", before[last:]), said]
            last = match.end()
            if match[0].endswith("s") and not said.lower().endswith("s") and _BARE.match(after) and not _OPENED.search(before):
                pieces.append(f"{after[0]}s")  # "the United States' war" is "Russia's war"
                last += 1
        return "".join(pieces) + text[last:]


def _fitted(source: str, old: str, new: Sequence[str], form: int, *, before: str, after: str) -> str:
    """The form of the new name that goes where the old one stood."""
    said = new[form]
    bare = said.removeprefix("the ")
    if form == NAME and source.lower().startswith("the ") and after.startswith("-"):
        said = f"the {bare}"  # the U.S.-led coalition
    elif form == NAME and source.lower().startswith("the ") and _ATTRIBUTIVE.match(after):
        said = f"the {new[ADJECTIVE]}"  # the U.S. government
    elif before.endswith("-") or after.startswith("-"):
        said = bare  # pro-Russian, Russia-backed
    flat = " ".join(source.split())
    if flat.isupper() and flat == old.upper() != old:
        said = said.upper()
    elif source[0].isupper() and (source.startswith("The ") or not re.search(r"\w", before)):
        said = said[0].upper() + said[1:]
    if source.endswith(".") and not said.endswith(".") and re.fullmatch(r"[^\w.!?…]*", after):
        said += "."  # the stop of "in the U.S." ends the sentence too
    return said


def _spaced(text: str, *, literal: bool = True) -> str:
    """A regular expression of a name, over any white space; a leading "the" may begin a sentence."""
    found = r"\s+".join(re.escape(word) if literal else word for word in text.split(" "))
    return re.sub(r"^the\\s", r"[Tt]he\\s", found)
