"""Options, profiles and the plan that they make."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from whisperbench.asked.checkout import SUITE_FILE
from whisperbench.asked.plan import make_plan
from whisperbench.asked.suite import Suite, read_suite
from whisperbench.errors import InputError


@pytest.fixture(scope="module")
def suite() -> Suite:
    """The suite.toml that ships."""
    return read_suite()


def test_default_profiles(suite: Suite) -> None:
    """A dummy is timed and nano heard on the CPU; pinned large-v3 is both on a GPU."""
    cpu = make_plan(suite, "cpu", {})
    assert list(cpu.checkpoints) == [
        "dummy:tiny-fp32",
        "dummy:tiny-int8",
        "nano-fp32",
        "nano-bf16",
        "nano-int8",
        "nano-nf4",
    ]
    assert cpu.timed == {"dummy:tiny-fp32", "dummy:tiny-int8"}
    assert cpu.listening == cpu.checkpoints.keys() - cpu.timed
    cuda = make_plan(suite, "cuda", {})
    name = "openai/whisper-large-v3@06f233fe"
    assert list(cuda.checkpoints) == [f"{name}-fp16", f"{name}-int8"]
    assert cuda.timed == cuda.listening == cuda.checkpoints.keys()
    assert cuda.profile.reference == "fp16"


def test_options_override_the_profile(suite: Suite) -> None:
    """Each option replaces its part of the profile; commas and repetition both list values."""
    plan = make_plan(
        suite,
        "cpu",
        {
            "model": ["dummy:base,dummy:small"],
            "precision": ["nf4", "bf16,nf4"],
            "clip": ["yes,mountain"],
            "batch-size": ["1,4,01"],
            "attention": ["eager"],
            "tokens": ["444"],
            "rounds": ["1"],
            "language": ["de"],
        },
    )
    assert list(plan.checkpoints) == [
        "dummy:base-nf4-eager",
        "dummy:base-bf16-eager",
        "dummy:small-nf4-eager",
        "dummy:small-bf16-eager",
    ]
    assert list(plan.clips) == ["yes", "mountain"]
    assert plan.profile.batch_sizes == (1, 4)
    profile = plan.profile
    assert (profile.tokens, profile.rounds, profile.stage_rounds, profile.startup_rounds) == (
        444,
        1,
        1,
        1,
    )
    assert {clip.language for clip in plan.clips.values()} == {"de"}


@pytest.mark.parametrize(
    ("options", "timed", "listening"),
    [
        ({"model": ["nano"]}, "nano-fp32 nano-int8", "nano-fp32 nano-int8"),
        ({"precision": ["nf4"]}, "dummy:tiny-nf4", "nano-nf4"),
        ({"model": ["dummy:base"], "precision": ["nf4"]}, "dummy:base-nf4", "dummy:base-nf4"),
        (
            {"clip": ["yes"], "language": ["en"], "precision": ["fp32"]},
            "dummy:tiny-fp32",
            "nano-fp32",
        ),
        ({"clip": ["{}/mine.wav"], "precision": ["fp32"]}, "dummy:tiny-fp32", "dummy:tiny-fp32"),
        ({"data": ["{}"], "precision": ["fp32"]}, "dummy:tiny-fp32", "dummy:tiny-fp32"),
        ({"language": ["de"], "precision": ["fp32"]}, "dummy:tiny-fp32", "dummy:tiny-fp32"),
        ({"model": ["nano"], "data": ["{}"], "precision": ["fp32"]}, "nano-fp32", "nano-fp32"),
    ],
)
def test_what_is_named_is_timed_and_heard_alike(
    suite: Suite, tmp_path: Path, options: dict[str, list[str]], timed: str, listening: str
) -> None:
    """--model takes nano's place, and what nano cannot know leaves it out unless it is named."""
    for name, text in (("mine.wav", ""), ("mine.txt", "Yes.")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    given = {name: [text.format(tmp_path) for text in texts] for name, texts in options.items()}
    plan = make_plan(suite, "cpu", given)
    assert plan.timed == set(timed.split())
    assert plan.listening == set(listening.split())
    assert plan.checkpoints.keys() == plan.timed | plan.listening


def test_a_model_that_is_timed_and_heard_is_in_the_plan_once(suite: Suite) -> None:
    """Where its lists of precisions differ, they are one, with the reference first."""
    profile = msgspec.structs.replace(
        suite.profile["cpu"],
        models=("nano",),
        precisions=("int8-t0", "int8"),
        quality_precisions=("int8", "fp32"),
        quality_on_request=(),
    )
    plan = make_plan(msgspec.structs.replace(suite, profile={"cpu": profile}), "cpu", {})
    assert list(plan.checkpoints) == ["nano-fp32", "nano-int8-t0", "nano-int8"]
    assert plan.timed == {"nano-int8-t0", "nano-int8"}
    assert plan.listening == {"nano-fp32", "nano-int8"}


@pytest.mark.parametrize("text", ["en-US", "EN", "en_GB", "English"])
def test_language_is_read_as_manifests_are(suite: Suite, text: str) -> None:
    """A region, capitals or the name of a language say what its code says, of nano's clips too."""
    plan = make_plan(suite, "cpu", {"language": [text]})
    assert {clip.language for clip in (*plan.clips.values(), *plan.heard)} == {"en"}
    assert plan == make_plan(suite, "cpu", {"language": ["en"]})


def test_language_comes_from_the_clip(suite: Suite) -> None:
    """Without --language a clip's own language holds."""
    assert make_plan(suite, "cpu", {"clip": ["yes"]}).clips["yes"].language == "en"


@pytest.mark.parametrize(
    ("option", "text", "word"),
    [
        ("rounds", "0", "at least 1"),
        ("rounds", "-3", "at least 1"),
        ("rounds", "two", "at least 1"),
        ("rounds", "٣", "at least 1"),
        ("tokens", "0", "from 1 to 444"),
        ("tokens", "445", "from 1 to 444"),
        ("batch-size", "0", "at least 1"),
        ("batch-size", "1,,2", "empty value"),
        ("precision", "int9", "choose from fp32"),
        ("precision", "", "empty value"),
        ("attention", "flash", "choose from sdpa"),
        ("clip", "missing.wav", "no such file"),
        ("model", "dummy:tiny,dummy:", "no such size"),
    ],
)
def test_bad_options_name_themselves_and_the_remedy(
    suite: Suite, option: str, text: str, word: str
) -> None:
    """A bad value is one line that names the option and what it may be."""
    with pytest.raises(InputError, match=word) as caught:
        make_plan(suite, "cpu", {option: [text]})
    assert str(caught.value).startswith(f"--{option}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["data", "tokens", "rounds", "language"])
@pytest.mark.parametrize(
    ("texts", "word"),
    [
        (["1", "2"], "was given 2 times"),
        (["1", "1"], "was given 2 times"),
        ([""], "an empty value"),
        (["de\n"], r"the name de\\n cannot be printed"),
    ],
)
def test_an_option_of_one_value_takes_one(
    suite: Suite, option: str, texts: list[str], word: str
) -> None:
    """None of two values is forgotten, not even of equal ones; and a value is no nothing."""
    with pytest.raises(InputError, match=f"^--{option}: {word}"):
        make_plan(suite, "cpu", {option: texts})


@pytest.mark.parametrize("name", ["new\nline", "caf\udce9", "tab\t", "lrm\u200e", "red\x1b[31m"])
@pytest.mark.parametrize("option", ["model", "clip", "data"])
def test_names_that_cannot_be_printed(suite: Suite, tmp_path: Path, option: str, name: str) -> None:
    """No result can hold them: they are refused in a line that can be printed."""
    path = tmp_path / name
    path.mkdir()
    with pytest.raises(InputError, match="cannot be printed; rename it") as caught:
        make_plan(suite, "cpu", {option: [str(path)]})
    assert str(caught.value).isprintable()


def test_data_is_one_path(suite: Suite, tmp_path: Path) -> None:
    """Two with a comma between them are none; one that has a comma in its name is one."""
    with pytest.raises(InputError, match="it takes one alone"):
        make_plan(suite, "cpu", {"data": [f"{tmp_path},{tmp_path}"]})
    folder = tmp_path / "a,b"
    folder.mkdir()
    with pytest.raises(InputError, match="holds no"):
        make_plan(suite, "cpu", {"data": [str(folder)]})


def test_a_path_may_have_a_comma(suite: Suite, tmp_path: Path) -> None:
    """A value that exists as a path is taken whole."""
    clip = tmp_path / "yes, really.wav"
    clip.write_bytes(b"")
    plan = make_plan(suite, "cpu", {"clip": [str(clip), "yes,bridge"]})
    assert list(plan.clips) == ["yes, really", "yes", "bridge"]


def test_models_of_one_name_are_refused(suite: Suite, tmp_path: Path) -> None:
    """Two folders of the same name would be one row in every table."""
    for parent in ("a", "b"):
        (tmp_path / parent / "same").mkdir(parents=True)
    with pytest.raises(InputError, match="same name"):
        make_plan(suite, "cpu", {"model": [f"{tmp_path}/a/same,{tmp_path}/b/same"]})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("schema = 1", "schema = 2"),
        ("rounds = 5", "rounds = 0"),
        ("rounds = 5", "roundz = 5"),
        ('reference = "fp32"', 'reference = "fp31"'),
        ('attention = ["sdpa"]', 'attention = ["quick"]'),
        ("[profile.cpu]", "[profile.C-P-U]"),
        ("tokens = 32", "tokens = 999"),
        ('models = ["dummy:tiny"]', "models = []"),
        ('quality_models = ["nano"]', "quality_models = []"),
        ('quality_precisions = ["fp32", "bf16"', 'quality_precisions = ["fp32", "bf17"'),
        ("schema = 1", "schema = "),
        ('quality_on_request = ["bf16"', 'quality_on_request = ["int8-t0"'),
        ('on_request = ["test_startup.py"', 'on_request = ["../test_startup.py"'),
        ("known_within = 0.05", "known_within = 0"),
        ("fewest_rounds = 3", "fewest_rounds = 0"),
    ],
)
def test_suite_file_mistakes_are_errors(tmp_path: Path, old: str, new: str) -> None:
    """An unknown key, precision or schema, or a value out of range, is refused, not ignored."""
    text = SUITE_FILE.read_text(encoding="utf-8")
    assert old in text
    broken = tmp_path / "suite.toml"
    broken.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError):
        read_suite(broken)


def test_a_text_without_words_is_refused(suite: Suite, tmp_path: Path) -> None:
    """By --clip and by --data in the same words, when the plan is made."""
    (tmp_path / "a.wav").touch()
    (tmp_path / "a.txt").write_text("...", encoding="utf-8")
    for given in ({"clip": [str(tmp_path / "a.wav")]}, {"data": [str(tmp_path)]}):
        with pytest.raises(InputError, match=r"^the text of a.*, '\.\.\.', has no words"):
            make_plan(suite, "cpu", given)


def test_rounds_that_are_named_are_taken(suite: Suite) -> None:
    """--rounds N is neither more nor fewer; without it a figure that is known ends its rounds."""
    default = make_plan(suite, "cpu", {}).profile
    assert default.fewest_rounds < default.rounds < default.stage_rounds
    named = make_plan(suite, "cpu", {"rounds": ["20"]}).profile
    assert named.fewest_rounds == named.rounds == named.stage_rounds == 20


def test_only_the_profile_s_own_model_has_precisions_on_request(suite: Suite) -> None:
    """What an option names is measured: nothing of it waits for --all."""
    assert make_plan(suite, "cpu", {}).on_request == {"nano-bf16", "nano-nf4"}
    for named in ({"precision": ["fp32,bf16"]}, {"model": ["nano"]}, {"language": ["de"]}):
        assert not make_plan(suite, "cpu", named).on_request
    assert not make_plan(suite, "cuda", {}).on_request


def test_durations_are_rows_of_their_manifest(suite: Suite) -> None:
    """A profile that names another speech is refused, and so is a clip that is called like one."""
    profile = suite.profile["cpu"]
    assert [*make_plan(suite, "cpu", {}).speech] == [*profile.durations]
    odd = msgspec.structs.replace(profile, durations=("speech-2s",))
    with pytest.raises(InputError, match="no speech is called speech-2s; choose from speech-1s"):
        make_plan(msgspec.structs.replace(suite, profile={"cpu": odd}), "cpu", {})


def test_a_clip_is_not_called_like_a_speech(suite: Suite, tmp_path: Path) -> None:
    """One of the two would hide the other."""
    clip = tmp_path / "speech-1s.wav"
    clip.write_bytes(b"RIFF")
    with pytest.raises(InputError, match="speech-1s is what the suite calls a speech; rename it"):
        make_plan(suite, "cpu", {"clip": [str(clip)]})
