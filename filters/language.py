"""Which language a document is in: the codes that name languages, and the filter that keeps the wanted ones.

Label, score and verdict are datatrove's; what changes is where the model comes from: a 938 KB fastText model that an
installed package carries (lid.176.ftz), so that a run downloads nothing. It gives up some accuracy on short and mixed
text against lid.176.bin (126 MB) and GlotLID; either can be given as a path.
"""

import csv
import difflib
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from datatrove.data import Document
from datatrove.pipeline.filters.language_filter import LanguageFilter as DatatroveLanguageFilter
from datatrove.pipeline.writers.disk_base import DiskWriter
from datatrove.utils._import_utils import ASSETS_PATH

from filters.counting import CountedFilter
from filters.language_model import FileLID, bundled_model, model_labels

Style = Literal["iso1", "iso3", "script"]


class Language(NamedTuple):
    """One language in one script: `vi`, `vie`, `Latn`. `iso1` is the ISO 639-3 code where no two-letter code exists."""

    iso1: str
    iso3: str
    script: str


# Two-letter codes for which datatrove's table names no default language, or one that fastText does not mean by it.
_TWO_LETTER = {"no": "nor", "ku": "kmr", "sh": "hbs"}
# In lid.176 (and Wikipedia, which it was trained on) but not in datatrove's table.
_EXTRA = [Language("tl", "tgl", "Latn"), Language("bh", "bih", "Deva")]
# ISO 639-3 macrolanguages and the two-letter code that means the same (SIL, iso-639-3-macrolanguages).
_MACRO_PAIRS = """
    aka:ak ara:ar aym:ay aze:az cre:cr est:et fas:fa ful:ff grn:gn hbs:sh iku:iu ipk:ik kau:kr kom:kv kon:kg kur:ku
    lav:lv mlg:mg mon:mn msa:ms nep:ne nor:no oji:oj ori:or orm:om pes:fa pus:ps que:qu sqi:sq srd:sc swa:sw uzb:uz
    yid:yi zha:za zho:zh
"""
_MACRO: dict[str, str] = dict(re.findall(r"(\w+):(\w+)", _MACRO_PAIRS))
# lid.176 labels that mean something else than the ISO code of the same letters, or more (`als` is Alemannic there).
_LID176_MEANING = {"als": ("gsw",), "no": ("nor", "nob")}
# Country codes that people write where a language code belongs.
_COUNTRY = {"vn": "vi", "cn": "zh", "jp": "ja", "gr": "el", "cz": "cs", "ua": "uk", "ir": "fa", "dk": "da", "in": "hi"}


@lru_cache(maxsize=1)
def _known() -> tuple[dict[str, Language], dict[str, str]]:
    """Every accepted code with its language, and English names with a code, from datatrove's tokenizer table."""
    with open(Path(ASSETS_PATH) / "tokenizer_assignment.csv", encoding="utf-8", newline="") as table:
        rows = [row for row in csv.DictReader(table) if len(row["script"]) == 4]
    scripts: dict[str, str] = {language.iso3: language.script for language in _EXTRA}
    two_letter = dict(_TWO_LETTER) | {language.iso1: language.iso3 for language in _EXTRA}
    for row in rows:
        if row["default_script"] == "TRUE":
            scripts.setdefault(row["code_3"], row["script"])
        if row["default_code_1"] == "TRUE" and row["code_1"]:
            two_letter.setdefault(row["code_1"], row["code_3"])
    iso1 = {iso3: code for code, iso3 in two_letter.items()}

    def language(iso3: str, script: str) -> Language:
        iso3 = two_letter.get(_MACRO.get(iso3, ""), iso3)
        return Language(iso1.get(iso3, iso3), iso3, script)

    codes = {f"{row['code_3']}_{row['script']}": language(row["code_3"], row["script"]) for row in rows}
    codes |= {f"{extra.iso3}_{extra.script}": extra for extra in _EXTRA}
    codes |= {iso3: language(iso3, script) for iso3, script in scripts.items()}
    codes |= {code: language(iso3, scripts[iso3]) for code, iso3 in two_letter.items()}
    codes |= {code: codes[same] for code, same in _MACRO.items() if code not in codes and same in codes}
    names = {row["name"].casefold(): iso1.get(row["code_3"], row["code_3"]) for row in reversed(rows)}
    return codes, names


def nearest_codes(code: str, known: Iterable[str]) -> list[str]:
    """Up to three of the `known` codes that the writer of `code` may have meant, best first."""
    known = list(known)
    _, names = _known()
    folded = code.casefold()
    stem = re.split(r"[-_]", folded)[0]
    guesses = [names.get(folded, ""), _COUNTRY.get(stem, ""), stem, *difflib.get_close_matches(code, known, 3, 0.5)]
    return [guess for guess in dict.fromkeys(guesses) if guess in known][:3]


def normalise_language(code: str, style: Style = "iso1") -> str:
    """A language code in one style, whatever style it was written in.

    Args:
        code: ISO 639-1 (`vi`), ISO 639-3 (`vie`) or ISO 639-3 with an ISO 15924 script (`vie_Latn`).
        style: `iso1`: the two-letter code, or the three-letter one where there is none (as fastText's lid.176 does);
            `iso3`; `script`: `xxx_Yyyy` as FineWeb-2 and GlotLID write it. Macrolanguages become the language that
            these mean by them: `zh`, `zho` -> `cmn_Hani`; `ar`, `ara` -> `arb_Arab`.

    The codes are those of datatrove's tokenizer_assignment.csv (about 1,900 languages) and lid.176's.

    Raises:
        ValueError: an unknown code; the message names the nearest known ones.
    """
    if not isinstance(code, str):
        raise ValueError(f"{code!r} is not a language code but a {type(code).__name__}; in YAML, quote it ('no')")
    codes, _ = _known()
    language = codes.get(code)
    if language is None:
        raise ValueError(_unknown(code, codes, "known codes"))
    if style == "script":
        return f"{language.iso3}_{language.script}"
    if style not in ("iso1", "iso3"):
        raise ValueError(f"{style!r} is not a style of language code; take iso1, iso3 or script")
    return language.iso1 if style == "iso1" else language.iso3


def _unknown(code: str, known: Iterable[str], what: str) -> str:
    nearest = nearest_codes(code, known)
    return f"unknown language code {code!r}" + (f"; nearest {what}: {', '.join(nearest)}" if nearest else "")


def label_of(code: str, labels: tuple[str, ...]) -> str:
    """The model's own label for a language code written in any style; a label of the model is taken as it is.

    Raises:
        ValueError: an unknown code, or a language that the model does not know.
    """
    if code in labels:
        return code
    style: Style = "script" if _has_scripts(labels) else "iso3"
    wanted = normalise_language(code, style)
    codes, _ = _known()
    for label in labels:
        meanings = (label,) if style == "script" else _LID176_MEANING.get(label, (label,))
        if wanted in (normalise_language(meaning, style) for meaning in meanings if meaning in codes):
            return label
    raise ValueError(_unknown(code, labels, "labels of the language model"))


def _has_scripts(labels: tuple[str, ...]) -> bool:
    return all(re.fullmatch(r"[^_]+_[^_]+", label) for label in labels)


class LanguageFilter(CountedFilter, DatatroveLanguageFilter):
    """Keeps documents in the wanted languages; writes `language` and `language_score` into the metadata of every one.

    Args:
        languages: codes in any style that `normalise_language` reads; None keeps every language.
        threshold: a document is kept when the score of a wanted language (0 to 1) is above it. 0.65 is FineWeb's value
            for lid.176 (datatrove examples/fineweb.py).
        model: path of a fastText model with `__label__xx` or `__label__xxx_Yyyy` (GlotLID) labels; None is the bundled
            lid.176.ftz.
        label_only: write the metadata, drop nothing.
        exclusion_writer: datatrove writer for the dropped documents.

    Metadata: `language` (the best label: ISO 639-1 where it exists for lid.176; ISO 639-3 for GlotLID, which also sets
    `language_script`), `language_score` (float, of that label).

    Reasons: `not_wanted` (another language scored best), `low_score`, `empty` (nothing but white space),
    `lone_surrogate` (not encodable as UTF-8: the model cannot read it and no writer could write it).

    Raises:
        ValueError: an unknown code or one that the model has no label for, an empty list, a threshold outside 0 to 1,
            no model at the path.
    """

    family = "language"

    def __init__(
        self,
        *,
        languages: list[str] | None = None,
        threshold: float = 0.65,
        model: str | None = None,
        label_only: bool = False,
        exclusion_writer: DiskWriter | None = None,
    ) -> None:
        if languages is not None and (isinstance(languages, str) or not languages):
            raise ValueError(f"languages is {languages!r}: give a list such as [en, vi], or leave it out to keep all")
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold is {threshold}: scores are between 0 and 1")
        path = Path(model) if model is not None else bundled_model()
        labels = model_labels(path)
        wanted = None if languages is None else list(dict.fromkeys(label_of(code, labels) for code in languages))
        backend: Literal["ft176", "glotlid"] = "glotlid" if _has_scripts(labels) else "ft176"
        super().__init__(wanted, threshold, exclusion_writer, backend, label_only)
        self.model = FileLID(path, wanted)

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """True, or (False, reason). Never raises, whatever the text."""
        try:
            kept = self._judge(doc.text, doc)
        except (TypeError, UnicodeEncodeError):  # fastText's and the native core's error for a lone surrogate
            encodable = doc.text.encode("utf-8", "replace").decode("utf-8")
            if encodable == doc.text:
                raise
            self._judge(encodable, doc)
            return True if self.label_only else (False, "lone_surrogate")
        if kept:
            return True
        if not doc.text.strip():
            return False, "empty"
        best = doc.metadata["language"]
        if self.backend == "glotlid":
            best = f"{best}_{doc.metadata['language_script']}"
        return False, "low_score" if self.languages is None or best in self.languages else "not_wanted"

    def _judge(self, text: str, doc: Document) -> bool:
        """Whether datatrove keeps the text; writes the metadata of `doc`."""
        fast = self.model.fast
        found = fast.best(text) if self.keep_top_pairs_threshold == -1 else None
        if found is None:
            return bool(super().filter(Document(text=text, id=doc.id, metadata=doc.metadata)))
        best, score = found
        lang = best
        if self.backend == "glotlid":
            lang, doc.metadata["language_script"] = best.split("_")
        doc.metadata["language"] = lang
        doc.metadata["language_score"] = score
        if self.label_only:
            return True
        # No label scores higher than the best one.
        if score <= self.language_threshold:
            return False
        if self.languages is None or best in self.languages:
            return True
        return fast.any_above(text, self.languages, self.language_threshold)
