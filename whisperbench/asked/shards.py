"""The split of a run into shards: what stays together, what it takes, and which shard has what.

The split is a function of the benchmarks and of the times alone, so that all machines make the same
one. Cells are handed out longest first, each to the shard that would be done with it first (Graham
1969, "longest processing time"), and then moved one by one, or all of one checkpoint, while that
shortens the longest shard. A shard that has cells of a checkpoint takes the time to load it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

import msgspec

from whisperbench.errors import InputError
from whisperbench.results.records import Run

WORK_VARIABLE = "WHISPERBENCH_WORK"
"""Environment variable by which `whisperbench plan` tells pytest where to write the `Work`."""

MOST = 1000
"""Shards that a run may be split into."""


class Asked(NamedTuple):
    """Which shard is asked for, from 1 on, as `--shard 2/4` says it."""

    number: int
    of: int


def read_shard(text: str) -> Asked:
    """Read the value of `--shard`.

    Raises:
        InputError: it is not I/N with 1 <= I <= N <= 1000.
    """
    found = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
    asked = Asked(*map(int, found.groups())) if found else None
    if asked is None or not 1 <= asked.number <= asked.of <= MOST:
        raise InputError(
            f"--shard {text}: must be I/N, the number of a shard from 1 on and how many there are, "
            f"up to {MOST}, as in --shard 2/4"
        )
    return asked


class Member(msgspec.Struct, frozen=True):
    """A benchmark of one cell."""

    name: str
    """Its id in pytest."""
    checkpoint: str
    """The id of the checkpoint that its process loads for it; empty where it loads none."""
    took_s: float
    """Without the loading."""
    reference: str = ""
    """The id of a checkpoint that is loaded besides, for what it is held against."""


class Part(msgspec.Struct, frozen=True):
    """Benchmarks that must be measured by one process, because limits compare their figures."""

    members: tuple[Member, ...]

    @property
    def took_s(self) -> float:
        """Of all of them, without loading."""
        return sum(member.took_s for member in self.members)

    @property
    def checkpoints(self) -> frozenset[str]:
        """What they load."""
        loaded = (name for each in self.members for name in (each.checkpoint, each.reference))
        return frozenset(filter(None, loaded))


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """All of a run, as it can be split."""

    parts: tuple[Part, ...]
    loads_s: dict[str, float]
    """Seconds that loading takes, by the id of the checkpoint."""
    process_s: float | None
    """Seconds that each process takes beside its benchmarks; None where no times are known."""
    guessed: int
    """Benchmarks that the times do not have, and that count as others do."""
    source: str = ""
    """The baseline that the times are of, where no file of times was named and there is one."""

    @property
    def has_times(self) -> bool:
        """Whether anything is known of what it takes. Without, all benchmarks count alike."""
        return self.process_s is not None or self.guessed < self.benchmarks()

    def benchmarks(self) -> int:
        """Return how many there are."""
        return sum(len(part.members) for part in self.parts)

    def seconds(self, parts: Iterable[Part]) -> float:
        """Return what measuring some parts in one process takes, with loading."""
        chosen = list(parts)
        loaded = frozenset[str]().union(*(part.checkpoints for part in chosen))
        took_s = sum(part.took_s for part in chosen) + (self.process_s or 0.0)
        return took_s + sum(self.loads_s.get(each, 0.0) for each in sorted(loaded))


def usual_s(took_s: Mapping[str, float], name: str) -> float | None:
    """Return what a benchmark usually takes, or the middle one of its function; None of neither.

    Args:
        took_s: seconds of known benchmarks, by their ids in pytest.
        name: the id of one.
    """
    if name in took_s:
        return took_s[name]
    function = name.partition("[")[0]
    alike = [seconds for known, seconds in took_s.items() if known.partition("[")[0] == function]
    return median(alike) if alike else None


class Times:
    """What the benchmarks of a run took, which predicts what they will."""

    def __init__(self, run: Run | None) -> None:
        """Take the times from a run.

        Args:
            run: a run or a baseline; None where every benchmark counts alike.

        Raises:
            InputError: it does not say what its benchmarks took.
        """
        entries = run.info.manifest if run is not None else ()
        self._took_s = {row.benchmark: row.took_s for row in entries if row.took_s is not None}
        self._setup_s = {row.benchmark: row.setup_s for row in entries if row.setup_s is not None}
        if run is not None and not self._took_s:
            raise InputError(
                "it does not say how long its benchmarks took, as files of older versions: measure "
                "a new one"
            )
        known = sum(self._took_s.values()) + sum(self._setup_s.values())
        whole_s = run.info.process_s if run is not None else None
        self.process_s = None if whole_s is None else max(0.0, whole_s - known)

    @property
    def digest(self) -> str:
        """What tells these times from others; empty where every benchmark counts alike."""
        if not self._took_s:
            return ""
        said = msgspec.json.encode([sorted(self._took_s.items()), sorted(self._setup_s.items())])
        return hashlib.sha256(said).hexdigest()[:16]

    def knows(self, name: str) -> bool:
        """Whether the run had a benchmark."""
        return name in self._took_s

    def took_s(self, name: str) -> float:
        """Return what a benchmark takes.

        One that the run did not have counts as the middle one of its function, or else of all;
        where there are no times, as 1.
        """
        usual = usual_s(self._took_s, name)
        return _middle(self._took_s.values()) if usual is None else usual

    def load_s(self, names: Iterable[str]) -> float:
        """Return what loading a checkpoint takes: the longest set-up of its benchmarks.

        The first that needed it has waited for it. Where the run had none of them, it counts as the
        middle one of what others waited for.
        """
        known = [self._setup_s[name] for name in names if name in self._setup_s]
        if known:
            return max(known)
        if not self._took_s:
            return 1.0
        # Most benchmarks find theirs loaded, and waited for nothing.
        return _middle([each for each in self._setup_s.values() if each >= 0.5] or [0.0])


def _middle(known: Iterable[float]) -> float:
    found = list(known)
    return median(found) if found else 1.0


def tied(
    names: Sequence[str], ties: Iterable[tuple[str, str]], member: Callable[[str], Member]
) -> tuple[Part, ...]:
    """Put benchmarks that are compared with each other into one part.

    Args:
        names: of all benchmarks.
        ties: pairs of them that must stay together.
        member: makes the member of a name.
    """
    leader = dict(zip(names, names, strict=True))

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for one, other in ties:
        first, last = sorted((find(one), find(other)))
        leader[last] = first
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(find(name), []).append(name)
    return tuple(Part(tuple(map(member, group))) for group in groups.values())


def split(work: Work, shards: int) -> list[tuple[Part, ...]]:
    """Split a run.

    Returns:
        The parts of each shard; none of them has none.

    Raises:
        InputError: there are fewer parts than shards.
    """
    if shards > len(work.parts):
        together = " (some are compared with each other and stay together)"
        raise InputError(
            f"--shard: {shards} shards of a run of {len(work.parts)} parts that can be measured "
            f"apart{together if len(work.parts) < work.benchmarks() else ''}: ask for at most "
            f"{len(work.parts)}"
        )
    by_part = [[part] for part in work.parts]
    by_checkpoint: dict[tuple[str, ...], list[Part]] = {}
    for part in work.parts:
        by_checkpoint.setdefault(tuple(sorted(part.checkpoints)), []).append(part)
    candidates = [
        _improved(work, _greedy(work, groups, shards))
        for groups in (list(by_checkpoint.values()), by_part)
    ]
    best = min(candidates, key=lambda found: _length(work, found))
    return [tuple(sorted(shard, key=lambda part: part.members[0].name)) for shard in best]


def _length(work: Work, shards: Sequence[Sequence[Part]]) -> list[float]:
    """Return what a split is judged by: its longest shard, then the next, to a microsecond."""
    return sorted((round(work.seconds(shard), 6) for shard in shards), reverse=True)


def _greedy(work: Work, groups: Sequence[list[Part]], shards: int) -> list[list[Part]]:
    """Hand out groups of parts, the longest first, to the shard that is done with it first."""
    found: list[list[Part]] = [[] for _ in range(shards)]
    ordered = sorted(
        groups, key=lambda group: (-round(work.seconds(group), 6), group[0].members[0].name)
    )
    for group in ordered:
        done_s = [round(work.seconds([*shard, *group]), 6) for shard in found]
        found[done_s.index(min(done_s))] += group
    for empty in found:
        if not empty:
            fullest = max(found, key=len)
            empty.append(fullest.pop())
    return found


def _improved(work: Work, shards: list[list[Part]]) -> list[list[Part]]:
    """Move parts from the longest shard to others while that makes the split shorter."""
    while (better := _moved(work, shards)) is not None:
        shards = better
    return shards


def _moved(work: Work, shards: list[list[Part]]) -> list[list[Part]] | None:
    """Return the best split that is one move shorter; None where no move makes it shorter."""
    lengths = [round(work.seconds(shard), 6) for shard in shards]
    source = lengths.index(max(lengths))
    own = shards[source]
    by_checkpoint: dict[frozenset[str], list[Part]] = {}
    for part in own:
        by_checkpoint.setdefault(part.checkpoints, []).append(part)
    best, best_length = None, sorted(lengths, reverse=True)
    for moving in [*([part] for part in own), *by_checkpoint.values()]:
        left = [part for part in own if part not in moving]
        if not left:
            continue
        left_s, moving_s = round(work.seconds(left), 6), sum(part.took_s for part in moving)
        for target in range(len(shards)):
            # The new shard would be at least so long, loading left out.
            if target == source or lengths[target] + moving_s >= lengths[source]:
                continue
            changed = dict(enumerate(lengths))
            changed[source] = left_s
            changed[target] = round(work.seconds([*shards[target], *moving]), 6)
            length = sorted(changed.values(), reverse=True)
            if length < best_length:
                best_length = length
                best = [list(shard) for shard in shards]
                best[source], best[target] = left, [*shards[target], *moving]
    return best


def owners(shards: Sequence[Sequence[Part]]) -> Mapping[str, int]:
    """Return the number of the shard, from 1 on, that each benchmark belongs to."""
    return {
        member.name: index
        for index, shard in enumerate(shards, start=1)
        for part in shard
        for member in part.members
    }
