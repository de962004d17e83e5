"""What hostile texts are made of: every spaCy special case, affixes, addresses, white space, marks, emoji, controls.

Gives up: prose. Real documents are in the data pack; these are the places where splitters disagree.
"""

import unicodedata
from functools import lru_cache

# Every language whose words the core splits itself, and one whose words it takes from datatrove.
LANGUAGES = ["eng", "vie", "deu", "spa", "ita", "por", "rus", "fas", "ell", "arb_Arab", "ind", "fra"]

WORDS = """
    the a I don't can't won't e.g. i.e. U.S. U.S.A. Mr. Dr. hello World 3.5 10,000 2+2 a,b x:y C++ A.B.C. it's we'd've
    gonna 5km 10% $5 #tag end.Next lower.Upper one-two three—four naïve 中文 日本語 한국 ไทย हिन्दी Привет т.е. т. е. EE.
    UU. l'homme qu'il z.B. dell'arte İ ß ẞ Σ ΟΔΟΣ ǅ ﬁ ŉ IS_ALPHA IS_PUNCT NOUN LOWER \\n <space> ==> -> >> ... …
""".split()  # noqa: SIM905
ADDRESSES = """
    http://x.com https://www.a.co.uk/q?x=1&y=%20#z ftp://u:p@h.org:21/~a/b_(c) www.a.b.c mailto:a@b.c //x.y http://
    foo@bar.com a.b+c@d-e.co.uk x@y @x x@ 10.0.0.1 10.0.0.1:80/x 256.1.1.1 [::1] localhost:8080 xn--a.com ünï.de/ä
    a.b.c.d.e.f.g.h.i.j.museum C:\\x\\y /usr/bin/x.py file.tar.gz example.com. (example.com) "example.com", a..b a.-b
""".split()  # noqa: SIM905
SMILEYS = ":) :( :-) ;-D (-: 8) XD o_O (*_*) (╯°□°）╯︵┻━┻ ¯\\(ツ)/¯ <3 </3 :'( >.< ^_^ ಠ_ಠ".split()  # noqa: SIM905
EMOJI = ["👍", "👍🏽", "👨‍👩‍👧", "🇻🇳", "🇺🇸🇬", "❤️", "☺", "1️⃣", "🏴‍☠️", "\U0001f9d1\u200d\U0001f4bb", "⚡", "©️"]
AFFIXES = [*"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~§—–…“”‘’«»°²€ก¡¿、。「」،؛؟।", "...", "....", "'s", "’s", "'S", "n't"]
AFFIXES += ["km", "°C.", "USD", "%", "--", "''", "``", "…", "・", "№", "±", "™", "kg.", "m²", "pm", "a.m.", "'re", "-"]
SPACES = [" "] * 8 + ["\n", "\n\n", "  ", "\t", "\xa0", "\u2028", "\u2029", "\x85", "\x1c", "\x1f", "\u3000", "\r\n"]
SPACES += [" \n", "\x0b", "\x0c", "\u2003", "\u202f", "\u205f", "\u1680", "\n \n", "\u200b", "\ufeff", "\u2060", ""]
MARKS = ["\u0301", "\u0323", "\u0302\u0301", "\u20dd", "\ufe0f", "\u200d", "\u200c", "\u0e31", "\u094d", "\u064b"]
CONTROLS = ["\0", "\x01", "\x7f", "\x9f", "\ud800", "\udfff", "\ud83d", "\U0010ffff", "\ufffe", "\ue000", "\U000e0041"]
DIGITS = ["٣٫١٤", "۱۲۳", "१२३", "๓", "１２３", "Ⅻ", "½", "²³", "𝟙𝟚", "①", "3٣", "1.٢", "九"]
_SYLLABLES = """
    việt nam học sinh quốc gia thành phố hồ chí minh nghiêng khuỷu thuở quyển đường Đà Nẵng HÀ NỘI TP.HCM tp. ông bà
    không được những người nước ngoài 20/11 kg/m² VN-Index Th.S GS.TS ư ơ ê ă â đ ð Ð
""".split()  # noqa: SIM905
SYLLABLES = _SYLLABLES + [unicodedata.normalize("NFD", syllable) for syllable in _SYLLABLES]
LONG = ["a" * 300, "ab." * 200, "(" * 120, "a-" * 150, ".a" * 150, "1," * 90, "x" * 9_999, "é" * 10_001, "http://" * 60]
LONG += ["🙂" * 70, "'" * 99, "a.b" * 99 + ".com", "中" * 250, "\u0301" * 64, "x" * 10_000]

GROUPS = [WORDS, ADDRESSES, SMILEYS, EMOJI, AFFIXES, MARKS, CONTROLS, DIGITS, SYLLABLES]


@lru_cache(maxsize=16)
def special_cases(word_code: str) -> list[str]:
    """All of spaCy's special cases of a language (English ones for Vietnamese, which has none)."""
    import spacy
    from datatrove.utils.word_tokenizers import load_word_tokenizer

    language = getattr(load_word_tokenizer(word_code), "language", "xx")
    rules = getattr(spacy.blank("en" if language == "vi" else language).tokenizer, "rules", None)
    return sorted(rules or spacy.blank("en").tokenizer.rules)
