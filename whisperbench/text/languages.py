"""The languages that Whisper knows, by every name that people and manifests give them."""

from __future__ import annotations

from collections.abc import Mapping

from whisperbench.errors import InputError, printable

_ROWS = """
af, afr, afrikaans
am, amh, amharic
ar, ara, arb, arabic
as, asm, assamese
az, aze, azj, azerbaijani
ba, bak, bashkir
be, bel, belarusian
bg, bul, bulgarian
bn, ben, bengali, bangla
bo, bod, tib, tibetan
br, bre, breton
bs, bos, bosnian
ca, cat, catalan, valencian
cs, ces, cze, czech
cy, cym, wel, welsh
da, dan, danish
de, deu, ger, german
el, ell, gre, greek
en, eng, english
es, spa, spanish, castilian
et, est, ekk, estonian
eu, eus, baq, basque
fa, fas, per, pes, persian, farsi
fi, fin, finnish
fo, fao, faroese
fr, fra, fre, french
gl, glg, galician
gu, guj, gujarati
ha, hau, hausa
haw, hawaiian
he, heb, iw, hebrew
hi, hin, hindi
hr, hrv, croatian
ht, hat, haitian creole, haitian
hu, hun, hungarian
hy, hye, arm, armenian
id, ind, in, indonesian
is, isl, ice, icelandic
it, ita, italian
ja, jpn, japanese
jw, jv, jav, javanese
ka, kat, geo, georgian
kk, kaz, kazakh
km, khm, khmer
kn, kan, kannada
ko, kor, korean
la, lat, latin
lb, ltz, luxembourgish, letzeburgesch
ln, lin, lingala
lo, lao
lt, lit, lithuanian
lv, lav, lvs, latvian
mg, mlg, plt, malagasy
mi, mri, mao, maori
mk, mkd, mac, macedonian
ml, mal, malayalam
mn, mon, khk, mongolian
mr, mar, marathi
ms, msa, may, zsm, malay
mt, mlt, maltese
my, mya, bur, myanmar, burmese
ne, nep, npi, nepali
nl, nld, dut, dutch, flemish
nn, nno, nynorsk
no, nor, nb, nob, norwegian
oc, oci, occitan
pa, pan, punjabi, panjabi
pl, pol, polish
ps, pus, pbt, pashto, pushto
pt, por, portuguese
ro, ron, rum, mo, romanian, moldavian, moldovan
ru, rus, russian
sa, san, sanskrit
sd, snd, sindhi
si, sin, sinhala, sinhalese
sk, slk, slo, slovak
sl, slv, slovenian
sn, sna, shona
so, som, somali
sq, sqi, alb, als, albanian
sr, srp, serbian
su, sun, sundanese
sv, swe, swedish
sw, swa, swh, swahili
ta, tam, tamil
te, tel, telugu
tg, tgk, tajik
th, tha, thai
tk, tuk, turkmen
tl, tgl, fil, tagalog, filipino
tr, tur, turkish
tt, tat, tatar
uk, ukr, ukrainian
ur, urd, urdu
uz, uzb, uzn, uzbek
vi, vie, vietnamese
yi, yid, ydd, ji, yiddish
yo, yor, yoruba
yue, cantonese
zh, zho, chi, cmn, chinese, mandarin
"""

KEYS = ("lang", "language", "target_lang")
"""What tools call the language of a recording in a line of JSON; of several, the first holds."""

CODES = {name: row.split(", ")[0] for row in _ROWS.strip().splitlines() for name in row.split(", ")}
"""Whisper's code of each language, by the code itself, those of ISO 639 (the old ones too, and of
a group the member that is meant), and the English names that Whisper knows."""


def language_code(text: str, where: str = "") -> str:
    """Return Whisper's code of a language: of its name, an ISO 639 code, or either with a region.

    >>> [language_code(text) for text in ("en_US", "German", "hin")]
    ['en', 'de', 'hi']

    Args:
        text: what a person or a file calls the language.
        where: what an error begins with: the option, or the line of a file.

    Raises:
        InputError: it is no language that Whisper knows.
    """
    name = text.strip().lower().replace("_", "-")
    code = CODES.get(name) or CODES.get(name.partition("-")[0])
    if code is None:
        begin = f"{where}: " if where else ""
        known = " ".join(sorted(set(CODES.values())))
        raise InputError(
            f"{begin}'{printable(text)[:40]}' is no language that Whisper knows; write a name "
            f"such as German, or one of {known}"
        )
    return code


def language_told(row: Mapping[str, object], where: str) -> str | None:
    """Return Whisper's code of the language that a line of JSON says; None where it says none.

    Raises:
        InputError: it is no text, or no language that Whisper knows.
    """
    told = next((row[key] for key in KEYS if row.get(key)), None)
    if told is None:
        return None
    if not isinstance(told, str):
        raise InputError(f"{where}: its language is no text")
    return language_code(told, where)
