"""Sentences of the project's own: a grammar over its word list, and words in other orders."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Literal

GRAMMAR = Path(__file__).with_name("grammar.toml")

Kind = Literal["sentence", "pair", "patchwork", "scramble", "twister", "word"]
"""One sentence of the grammar or two, parts of some, words in random order or that sound alike, or
a single word."""

# Of so many words that begin alike, the likest is taken.
_CANDIDATES = 4

LONGEST = 36
"""Words of the longest sentence: a quarter of a minute."""

_SLOT = re.compile(r"\{(\w+)(?:\+(\w+))?\}")
_WORD = re.compile(r"[A-Za-z']+")
# The letter decides but for these, whose first sound is not what it looks like.
_LIKE_A_VOWEL = ("hour", "honest")
_LIKE_A_CONSONANT = ("one", "use", "uni", "eu")


def plural(noun: str) -> str:
    """Return the plural of a noun that follows the rules."""
    if re.search(r"(s|x|z|ch|sh)$", noun):
        return noun + "es"
    return noun[:-1] + "ies" if re.search(r"[^aeiou]y$", noun) else noun + "s"


def verb_forms(verb: str) -> dict[str, str]:
    """Return the forms of a verb that follows the rules, by their suffix in the grammar."""
    if verb.endswith("e"):
        past, going = verb + "d", verb[:-1] + "ing"
    elif re.search(r"[^aeiou]y$", verb):
        past, going = verb[:-1] + "ied", verb + "ing"
    else:
        past, going = verb + "ed", verb + "ing"
    return {"": verb, "s": plural(verb), "ed": past, "en": past, "ing": going}


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """The rules and the word list, as grammar.toml gives them."""

    choices: dict[str, tuple[str, ...]]
    """By slot, such as "thing+s" or "clause": what may stand there."""
    ambiguous: frozenset[str]
    """Words that are not understood outside of a sentence."""

    @classmethod
    def load(cls, path: Path = GRAMMAR) -> Grammar:
        """Read a grammar; every slot that a rule names must exist."""
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        choices: dict[str, tuple[str, ...]] = {}
        for name, text in data["nouns"].items():
            pairs = [noun.partition("/") for noun in text.split()]
            choices[name] = tuple(one for one, _, _ in pairs)
            choices[f"{name}+s"] = tuple(many or plural(one) for one, _, many in pairs)
        for name, text in data["verbs"].items():
            forms = [_forms(verb) for verb in text.split()]
            for suffix in forms[0]:
                slot = f"{name}+{suffix}" if suffix else name
                choices[slot] = tuple(form[suffix] for form in forms)
        choices |= {name: tuple(text.split()) for name, text in data["words"].items()}
        choices |= {name: tuple(text.strip().splitlines()) for name, text in data["rules"].items()}
        used = {
            f"{slot}+{suffix}" if suffix else slot
            for lines in choices.values()
            for line in lines
            for slot, suffix in _SLOT.findall(line)
        }
        if missing := used - choices.keys():
            raise ValueError(f"{path}: a rule names {{{min(missing)}}}, which nothing defines")
        return cls(choices=choices, ambiguous=frozenset(data["ambiguous"].split()))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Every word that a sentence can have, in alphabetical order."""
        return tuple(
            sorted(
                {
                    # A sentence's first word has a capital that is not its own.
                    word[0].lower() + word[1:] if word not in self._proper else word
                    for lines in self.choices.values()
                    for line in lines
                    for word in _WORD.findall(_SLOT.sub(" ", line))
                    if word not in {"'s", "s"}
                }
            )
        )

    @cached_property
    def _proper(self) -> frozenset[str]:
        """Words that are always written with a capital."""
        lists = ("name", "weekday", "weekdays", "month")
        return frozenset(word for name in lists for word in self.choices[name]) | {"I"}

    def sentence(self, random: Random) -> str:
        """Make one sentence."""
        return tidy(self._expand("sentence", random))

    @cached_property
    def clear_words(self) -> tuple[str, ...]:
        """The words that are understood without a sentence around them."""
        return tuple(word for word in self.words if word not in self.ambiguous)

    def scramble(self, random: Random) -> str:
        """Put three to twelve words one after the other, as if they were a sentence."""
        chosen = random.sample(self.clear_words, random.randint(3, 12))
        if len(chosen) > 5 and random.random() < 0.3:
            chosen[len(chosen) // 2] += ","
        return tidy(" ".join(chosen) + random.choice(("." * 4) + "?"))

    def twister(self, random: Random) -> str:
        """Put four to ten words one after the other, most of which sound like the one before."""
        chosen = [random.choice(self.clear_words)]
        for _ in range(random.randint(3, 9)):
            last = chosen[-1]
            alike = self._by_letter[last[0].lower()]
            pool = alike if len(alike) > _CANDIDATES and random.random() < 0.8 else self.clear_words
            some = [word for word in random.sample(pool, _CANDIDATES) if word != last]
            chosen.append(max(some, key=lambda word: SequenceMatcher(a=last, b=word).ratio()))
        return tidy(" ".join(chosen) + ".")

    @cached_property
    def _by_letter(self) -> dict[str, Sequence[str]]:
        letters = {word[0].lower() for word in self.clear_words}
        return {
            letter: [word for word in self.clear_words if word[0].lower() == letter]
            for letter in letters
        }

    def pair(self, random: Random) -> str:
        """Make two sentences that are spoken in one go, with the synthesizer's own pause."""
        return f"{self.sentence(random)} {self.sentence(random)}"

    def patchwork(self, random: Random) -> str:
        """Put parts of two to four sentences one after the other, cut wherever it falls."""
        words: list[str] = []
        for _ in range(random.randint(2, 4)):
            said = self._lower(self.sentence(random)).rstrip(".?").split()
            start = random.randrange(max(1, len(said) - 2))
            words += said[start : start + random.randint(3, 8)]
        # Nobody hears how often a word was said twice.
        kept = [
            one
            for one, after in zip(words, [*words[1:], ""], strict=True)
            if normal(one) != normal(after)
        ]
        return tidy(" ".join(kept).rstrip(",") + random.choice(("." * 4) + "?"))

    def _expand(self, slot: str, random: Random) -> str:
        def fill(match: re.Match[str]) -> str:
            name, suffix = match.groups()
            return self._expand(f"{name}+{suffix}" if suffix else name, random)

        return _SLOT.sub(fill, self._lower(random.choice(self.choices[slot])))

    def _lower(self, line: str) -> str:
        """Take the capital from a line's first word: the line may stand inside another."""
        first = _WORD.match(line)
        if first and first[0].removesuffix("'s") in self._proper:
            return line
        return line[:1].lower() + line[1:]


def _forms(verb: str) -> dict[str, str]:
    given = verb.split("/")
    if len(given) == 1:
        return verb_forms(verb)
    return dict(zip(("", "s", "ed", "en", "ing"), given, strict=True))


def tidy(text: str) -> str:
    """Give a sentence its capital, and "an" before a vowel."""

    def article(match: re.Match[str]) -> str:
        letter, word = match.groups()
        low = word.lower()
        vowel = low.startswith(_LIKE_A_VOWEL) or (
            low[0] in "aeiou" and not low.startswith(_LIKE_A_CONSONANT)
        )
        return f"{letter}{'n' if vowel else ''} {word}"

    text = re.sub(r"\b([Aa])n? (\w+)", article, text)
    return text[0].upper() + text[1:]


def normal(text: str) -> str:
    """Return what is compared when two sentences are asked to differ: words in small letters."""
    return " ".join(_WORD.findall(text.lower()))


def split_sentences(text: str) -> list[str]:
    """Split a text where a sentence ends."""
    return re.split(r"(?<=[.?!])\s+", text.strip())


def make_texts(
    grammar: Grammar, counts: Mapping[Kind, int], *, seed: int, taken: set[str]
) -> list[tuple[Kind, str]]:
    """Make texts to be spoken, the same ones for a seed, in random order.

    Args:
        grammar: what they are made of.
        counts: how many different ones of each kind, and how often each clear word is said.
        seed: of the random choices.
        taken: sentences, as `normal` returns them, that must not be said; grows by those made.
    """
    random = Random(f"whisperbench nano texts {seed}")
    makers: dict[Kind, Callable[[Random], str]] = {
        "sentence": grammar.sentence,
        "pair": grammar.pair,
        "patchwork": grammar.patchwork,
        "scramble": grammar.scramble,
        "twister": grammar.twister,
    }
    texts: list[tuple[Kind, str]] = []
    if repeats := counts.get("word"):
        alone = [tidy(word + ".") for word in grammar.clear_words]
        texts += [("word", text) for text in alone if normal(text) not in taken] * repeats
        taken.update(map(normal, alone))
    for kind, make in makers.items():
        made = 0
        while made < counts.get(kind, 0):
            text = make(random)
            said = taken_by([text])
            if not said & taken and len(text.split()) <= LONGEST:
                taken |= said
                texts.append((kind, text))
                made += 1
    random.shuffle(texts)
    return texts


def taken_by(texts: Collection[str]) -> set[str]:
    """Return the sentences of these texts, and the whole texts, as `normal` writes them."""
    return {normal(part) for text in texts for part in (text, *split_sentences(text))}
