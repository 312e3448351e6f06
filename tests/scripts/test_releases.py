"""docs/releases.md says what was recorded, and no figure in it was typed."""

from __future__ import annotations

import json

from scripts import releases, releases_page


def test_the_page_is_the_recordings() -> None:
    """The page's tables and sentences are those that the script makes of its recording."""
    found = json.loads(releases.RECORDING.read_text(encoding="utf-8"))
    text = releases.PAGE.read_text(encoding="utf-8")
    assert releases_page.page_with(text, found) == text
    for package, (first, last) in releases.RANGES.items():
        known = [*found[package]["releases"], *found[package]["skipped"]]
        assert not set(known) & set(found[package]["not measured"])
        assert {first, last} <= set(known)


def test_how_a_change_is_told() -> None:
    """A change is a sentence with its amount by precision and its cause; equal rows are one."""
    counts = dict.fromkeys(releases_page.COLUMNS, 8.0)
    more = counts | {"decode_aten_ops": 9.25, "encoder_python_calls": 6.0}
    data: dict[str, object] = {
        "over": {"python": "3.11.7"},
        "releases": {
            "1.0": {"fp32": counts, "int8": counts},
            "1.1": {"fp32": counts, "int8": counts},
            "1.2": {"fp32": more, "int8": more | {"decode_aten_ops": 8.5}},
        },
        "not measured": ["0.9", "1.1.1", "1.4"],
        "skipped": {"1.3": "x 1.3: pip cannot install it: no wheel"},
        "changes": [
            {
                "from": "1.1",
                "to": "1.2",
                "causes": {"encoder_python_calls": [], "decode_aten_ops": ["+1.25 aten::to"]},
            }
        ],
    }
    lines = list(releases_page.tables({"transformers": data}))
    assert "| 1.0 to 1.1 | 8 | 8 | 8 | 8 | 8 | 8 |" in lines
    assert "| 1.2 | 8 | 8 | 6 | 9.25 | 8 | 8 |" in lines
    assert (
        "- Compared with 1.1, **1.1.1 to 1.2**, of which only 1.2 was measured, take 2 fewer "
        "Python calls in the encoder in fp32 and in int8; 0.5 more aten ops a token in int8 and "
        "1.25 more in fp32 (+1.25 aten::to)."
    ) in lines
    assert "Not measured yet: 0.9, 1.1.1, 1.4." in lines
    data["not measured"] = ["1.0.1"]
    lines += releases_page.tables({"transformers": data})
    assert "| 1.0 | 8 | 8 | 8 | 8 | 8 | 8 |" in lines, "its row ends where one was not measured"
    assert any("- Compared with 1.1, **1.2** takes 2 fewer" in line for line in lines)
    assert "- 1.3: x 1.3: pip cannot install it: no wheel" in lines
