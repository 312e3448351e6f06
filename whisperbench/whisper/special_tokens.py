"""From a checkpoint's files to its tokens: read, derived from the vocabulary, or refused. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from whisperbench.errors import ModelError, one_line
from whisperbench.whisper.suppressed_tokens import non_speech
from whisperbench.whisper.tokens import ENGLISH_END_OF_TEXT, MULTILINGUAL_VOCABULARY, Tokens

Fields = Mapping[str, Any]
"""A JSON object."""

_DEFAULT_FIRST = [220, 50256]
_LANGUAGE = re.compile(r"<\|([a-z]{2,3})\|>")
_TASKS = ("transcribe", "translate")


def read_tokens(
    name: str,
    where: str,
    size: int,
    config: Fields,
    generation: Fields | None,
    vocabulary: Mapping[str, int],
) -> tuple[Tokens, list[str]]:
    """Read the ids from a checkpoint's files, which must agree.

    Args:
        name: of the model, for remarks.
        where: its name and folder, for errors.
        size: of the model's vocabulary.
        config: config.json.
        generation: generation_config.json; None where there is none.
        vocabulary: ids of the tokenizer's tokens, special ones among them.

    Returns:
        The ids, and what was derived or is odd, in sentences.

    Raises:
        ModelError: the files contradict each other, or do not say what cannot be derived.
    """
    said = _Said(name, where, generation, config, vocabulary)
    return said.tokens(size), said.remarks


class _Said:
    """What a checkpoint's files say of its tokens, held against its vocabulary."""

    def __init__(
        self,
        name: str,
        where: str,
        generation: Fields | None,
        config: Fields,
        vocabulary: Mapping[str, int],
    ) -> None:
        self._name = name
        self._where = where
        self._generation = generation or {}
        self._without_file = generation is None
        self._config = config
        self._vocabulary = vocabulary
        self._derived: list[str] = []
        self.remarks: list[str] = []

    def tokens(self, size: int) -> Tokens:
        """Put the ids together, and say what was derived."""
        end_of_text = self._required("eos_token_id", "<|endoftext|>")
        start = self._required("decoder_start_token_id", "<|startoftranscript|>")
        no_timestamps = self._required("no_timestamps_token_id", "<|notimestamps|>")
        languages, tasks = self._languages(size, end_of_text)
        suppressed, suppressed_first = self._suppressed(size, end_of_text)
        found = Tokens(
            vocabulary=size,
            end_of_text=end_of_text,
            start=start,
            no_timestamps=no_timestamps,
            previous=self._id("prev_sot_token_id", "<|startofprev|>"),
            languages=languages,
            tasks=tasks,
            suppressed=suppressed,
            suppressed_first=suppressed_first,
            latest_first_timestamp=self._latest_first_timestamp(),
        )
        self._require_inside(found)
        self._remark()
        return found

    def _required(self, setting: str, token: str) -> int:
        found = self._id(setting, token)
        if found is None:
            raise ModelError(
                f"{self._where}: generation_config.json does not say {setting}, and the tokenizer "
                f"has no {token}; take both from the model that it was made from"
            )
        return found

    def _id(self, setting: str, token: str) -> int | None:
        """Return a token's id, on which the tokenizer and generation_config.json must agree."""
        known = self._vocabulary.get(token)
        said = self._generation.get(setting)
        if setting == "eos_token_id" and isinstance(said, list) and known in said:
            return known
        if said is not None and type(said) is not int:
            raise self._malformed(setting, said, "a token's id")
        if said is not None and known is not None and said != known:
            raise self._contradiction(setting, said, token, known)
        if said is None and known is not None:
            self._derived.append(setting)
        return known if known is not None else said

    def _languages(self, size: int, end_of_text: int) -> tuple[dict[str, int], dict[str, int]]:
        """Return the ids of languages and tasks; none of a model that knows English alone."""
        listed = self._generation.get("lang_to_id")
        if listed is not None and not _is_ids(listed):
            raise self._malformed("lang_to_id", listed, "ids by language token")
        large = size >= MULTILINGUAL_VOCABULARY and end_of_text != ENGLISH_END_OF_TEXT
        multilingual = self._generation.get("is_multilingual")
        if multilingual is not None and type(multilingual) is not bool:
            raise self._malformed("is_multilingual", multilingual, "true or false")
        if multilingual is None:
            multilingual = large or bool(listed)
            self._derived.append("is_multilingual")
        if multilingual != (large or bool(listed)):
            raise ModelError(
                f"{self._where}: generation_config.json says is_multilingual: "
                f"{shown(multilingual)}, and "
                + (
                    "knows no language, with a vocabulary that is of one language"
                    if multilingual
                    else f"a vocabulary of {size} tokens is a multilingual one"
                )
                + "; correct it, or take it out to have it derived"
            )
        if not multilingual:
            return {}, {}
        known = {token: at for token, at in self._vocabulary.items() if _LANGUAGE.fullmatch(token)}
        if listed:
            self._require_agreement("lang_to_id", listed, known)
            if strange := [token for token in listed if not _LANGUAGE.fullmatch(token)]:
                self.remarks.append(
                    f"{self._name}: lang_to_id has {one_line(', '.join(strange))}, which no "
                    "language of Whisper's is, and which is left out."
                )
                listed = {token: at for token, at in listed.items() if token not in strange}
        else:
            self._derived.append("lang_to_id")
        languages = {token[2:-2]: at for token, at in (listed or known).items()}
        if not languages:
            raise ModelError(
                f"{self._where}: is multilingual, and neither generation_config.json (lang_to_id) "
                "nor the tokenizer knows a language; take both from the model that it was made from"
            )
        return languages, self._tasks()

    def _tasks(self) -> dict[str, int]:
        listed = self._generation.get("task_to_id")
        if listed is not None and not _is_ids(listed):
            raise self._malformed("task_to_id", listed, "ids by task")
        tokens = {task: f"<|{task}|>" for task in _TASKS}
        known = {
            task: self._vocabulary[token]
            for task, token in tokens.items()
            if token in self._vocabulary
        }
        listed = {task: at for task, at in (listed or {}).items() if task in _TASKS}
        self._require_agreement("task_to_id", listed, known)
        if known.keys() - listed.keys():
            self._derived.append("task_to_id")
        found = {task: (known | listed)[task] for task in _TASKS if task in known | listed}
        if "transcribe" not in found:
            raise ModelError(
                f"{self._where}: neither generation_config.json (task_to_id) nor the tokenizer "
                "knows the task transcribe; take both from the model that it was made from"
            )
        return found

    def _suppressed(
        self, size: int, end_of_text: int
    ) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
        """Return what is never decoded, and what is not decoded first."""
        never, first = (
            self._ids(setting, size) for setting in ("suppress_tokens", "begin_suppress_tokens")
        )
        # Of another vocabulary than Whisper's own, what it must not decode is its maker's to say.
        if size >= MULTILINGUAL_VOCABULARY - 1 and "Ġthe" in self._vocabulary:
            own = non_speech(self._vocabulary)

            def texts(ids: Iterable[int]) -> set[int]:
                return {each for each in ids if each < end_of_text}

            space = self._vocabulary.get("Ġ", end_of_text)
            if never is None:
                never = own
                self._derived.append("suppress_tokens")
            elif texts(never) != texts(own):
                self.remarks.append(
                    f"{self._name}: suppress_tokens names {len(texts(never))} pieces of text that "
                    f"are never decoded, others than Whisper's own {len(texts(own))}."
                )
            if first is None:
                first = (space, end_of_text)
                self._derived.append("begin_suppress_tokens")
            elif set(first) != {space, end_of_text}:
                self.remarks.append(
                    f"{self._name}: begin_suppress_tokens names other tokens than Whisper's own, a "
                    "space and the end of text."
                )
        return never or None, first or None

    def _ids(self, setting: str, size: int) -> tuple[int, ...] | None:
        """Read a list of ids, which stood in config.json until 2023."""
        for file, fields in (
            ("generation_config.json", self._generation),
            ("config.json", self._config),
        ):
            said = fields.get(setting)
            # transformers writes its default into every config.json; it is that of English.
            if said is None or (fields is self._config and said == _DEFAULT_FIRST):
                continue
            if not isinstance(said, list) or not all(type(each) is int for each in said):
                raise self._malformed(setting, said, "a list of ids", file)
            if wrong := [each for each in said if not 0 <= each < size]:
                raise self._malformed(setting, wrong[0], f"ids below {size}", file)
            return tuple(said)
        return None

    def _latest_first_timestamp(self) -> int | None:
        setting = "max_initial_timestamp_index"
        said = self._generation.get(setting)
        if said is not None and (type(said) is not int or said < 0):
            raise self._malformed(setting, said, "a whole number")
        return said

    def _require_inside(self, found: Tokens) -> None:
        """Refuse ids beyond the vocabulary, or no time stamps after the last other token."""
        ids = [found.end_of_text, found.start, found.no_timestamps, found.previous or 0]
        ids += [*found.languages.values(), *found.tasks.values()]
        if wrong := [each for each in ids if not 0 <= each < found.vocabulary]:
            raise ModelError(
                f"{self._where}: the token {wrong[0]} is none of the {found.vocabulary} that "
                "config.json says the model has (vocab_size); the tokenizer is not this model's"
            )
        if len(set(ids)) < len(ids):
            raise ModelError(
                f"{self._where}: two special tokens have one id; take generation_config.json and "
                "the tokenizer from the model that it was made from"
            )

    def _require_agreement(
        self, setting: str, listed: Mapping[str, int], known: Mapping[str, int]
    ) -> None:
        for token, at in listed.items():
            if known.get(token, at) != at:
                raise self._contradiction(setting, at, token, known[token])

    def _contradiction(self, setting: str, said: object, token: str, known: int) -> ModelError:
        return ModelError(
            f"{self._where}: generation_config.json says {setting}: {shown(said)}, and in the "
            f"tokenizer {token} is {known}; take both from the model that it was made from, or "
            f"take {setting} out to have it derived"
        )

    def _malformed(
        self, setting: str, said: object, wanted: str, file: str = "generation_config.json"
    ) -> ModelError:
        return ModelError(
            f"{self._where}: {file} says {setting}: {shown(said)}, which must be {wanted}; "
            "correct it, or take it out"
        )

    def _remark(self) -> None:
        """Say what was derived."""
        if self._without_file:
            self.remarks.append(
                f"{self._name}: there is no generation_config.json; languages, tasks, special "
                "tokens and lengths were derived from its vocabulary."
            )
        elif self._derived:
            self.remarks.append(
                f"{self._name}: generation_config.json does not say {', '.join(self._derived)}; "
                "that was derived from its vocabulary."
            )


def _is_ids(value: object) -> bool:
    return isinstance(value, dict) and all(type(each) is int for each in value.values())


def shown(value: object) -> str:
    """Write a value of a JSON file, short."""
    text = "nothing" if value is None else one_line(json.dumps(value))
    return text if len(text) <= 60 else f"{text[:57]}..."
