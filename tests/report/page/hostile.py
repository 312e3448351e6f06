"""A made-up run whose names and sentences try to be more than text."""

from __future__ import annotations

import msgspec

from tests.report.charts.small import make_small
from whisperbench.judge.comparison import Comparison, hold_against
from whisperbench.report.charts.all import Pictured
from whisperbench.results.records import ManifestEntry

HOSTILE = (
    "</td></style></svg><img src=x onerror=alert(1)><script>alert(2)</script>{{ 7*7 }} {% raw %}"
    "\"' onload=alert(3) javascript:alert(4) &lt;b&gt; --> ]]> @name #1 ::error:: "
    "<a href='https://example.org/'>x</a>"
)


def make_hostile(text: str) -> Pictured:
    """Make a run, its base and their comparison, with a text wherever a file has one."""
    head = make_small(model=text, clip=text, precisions=("fp16", text), slower=1.5)
    base = make_small(model=text, clip=text, precisions=("fp16", text))
    machine = msgspec.structs.replace(
        head.machine, device=text, cpu=text, os=text, driver=text, versions={text: text}
    )
    failed = ManifestEntry(benchmark=text, cell=text, outcome="failed", reason=text)
    info = msgspec.structs.replace(
        head.info, remarks=(text,), manifest=(*head.info.manifest, failed)
    )
    head = msgspec.structs.replace(head, machine=machine, info=info)
    return Pictured(run=head, base=base, compared=_told(hold_against(base, head, None), text))


def _told(found: Comparison, text: str) -> Comparison:
    return Comparison(
        judged=[
            each._replace(verdict=msgspec.structs.replace(each.verdict, sentence=text))
            for each in found.judged
        ],
        unmeasured=[*found.unmeasured, text],
        circumstances=[*found.circumstances, text],
        remedy=text,
    )
