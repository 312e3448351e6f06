"""What trains nano: its sentences, sound, windows, tokenizer, and that a break changes nothing."""

from __future__ import annotations

import json
import tomllib
import xml.etree.ElementTree
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from training.card import card, parameters_in
from training.config import CONFIG, Config, read_config
from training.corpus import Corpus, Utterance, write_corpus
from training.curve import curve
from training.evaluate import Listener, Report, score, table
from training.features import log_mel, mel_filters
from training.model import IGNORED, export
from training.sentences import (
    GRAMMAR,
    Grammar,
    Kind,
    make_texts,
    normal,
    plural,
    taken_by,
    tidy,
    verb_forms,
)
from training.sound import augment, lay_out, mask_mel, pad_mel
from training.speech import Setting, draw_settings, missing_synthesizers, speak, trim
from training.tokenizer import Vocabulary, train_tokenizer, write_tokenizer
from training.train import Trainer, learning_rate, read_log, trained
from training.windows import Plan, Planner
from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import read_manifest
from whisperbench.asked.models import ModelSpec
from whisperbench.whisper import transformers_config
from whisperbench.whisper.blueprint import EVERY_WHISPER
from whisperbench.whisper.checkpoints import resolve_checkpoint
from whisperbench.whisper.processors import FRONT_END

TEXTS = ("Yes.", "The rain fell.", "Anna sang again.", "It was nine o'clock.", "Nobody came home.")
WINDOW = 3 * 16_000
replace = msgspec.structs.replace

needs_synthesizers = pytest.mark.skipif(
    bool(missing_synthesizers()), reason="flite and espeak-ng are not installed"
)


def clip_texts() -> list[str]:
    """Return what the clips say."""
    return [clip.text or "" for clip in read_manifest(CLIPS_FOLDER).values()]


def written(seed: int, taken: set[str], sentences: int = 3000) -> list[tuple[Kind, str]]:
    """Make a small set of texts."""
    counts: dict[Kind, int] = {
        "sentence": sentences,
        "pair": 100,
        "patchwork": 100,
        "scramble": 100,
        "twister": 100,
        "word": 1,
    }
    return make_texts(Grammar.load(), counts, seed=seed, taken=taken)


def tiny_config() -> Config:
    """Return nano's configuration, but of a model that a CPU trains in a second."""
    config = read_config()
    return replace(
        config,
        model=replace(
            config.model,
            width=64,
            heads=1,
            encoder_layers=1,
            decoder_layers=1,
            pieces=270,
            window_s=3,
            max_tokens=100,
        ),
        training=replace(
            config.training, batch=2, steps=4, warmup_steps=2, log_every=1, evaluate_every=3
        ),
    )


def write_tones(folder: Path, *, kind: Kind = "sentence") -> Corpus:
    """Write a corpus whose utterances are tones, so that no synthesizer is needed."""

    def spoken() -> Any:
        start = 0
        for at, text in enumerate(TEXTS):
            seconds = np.arange(8_000 + 3_000 * at) / 16_000
            samples = (8_000 * np.sin(2 * np.pi * 200 * (at + 1) * seconds)).astype(np.int16)
            yield (
                Utterance(
                    text=text,
                    kind="word" if at == 0 else kind,
                    speaker=f"tone {at % 2}",
                    rate=1.0,
                    pitch=1.0,
                    start=start,
                    samples=len(samples),
                ),
                samples,
            )
            start += len(samples)

    write_corpus(folder, "tones", spoken(), {"flite": "none"})
    return Corpus.load(folder)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Keep threads from waiting for each other over work that is tiny."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a training and a held-out corpus of tones."""
    folder = tmp_path_factory.mktemp("corpora")
    for part in ("train", "heldout"):
        write_tones(folder / part)
    return folder


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    """Make a tokenizer of the tones' texts."""
    return Vocabulary(train_tokenizer(TEXTS, 270, 3))


@pytest.fixture(scope="module")
def unbroken(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a tiny model in one go."""
    folder = tmp_path_factory.mktemp("unbroken")
    assert Trainer(tiny_config(), corpora, folder, "cpu").run(max_seconds=60, workers=0)
    return folder


def plan_of(corpora: Path, vocabulary: Vocabulary, config: Config, step: int) -> Plan:
    """Plan a step over the tones."""
    return Planner(config, Corpus.load(corpora / "train").utterances, vocabulary)[step]


def lay(corpora: Path, plan: Plan) -> torch.Tensor:
    """Play a plan."""
    samples = torch.from_numpy(np.array(Corpus.load(corpora / "train").samples))
    return lay_out(samples, plan, int(plan.count.sum()), WINDOW)


def test_sentences_follow_from_the_seed() -> None:
    """The same seed makes the same texts, another one makes others."""
    first = written(1, set(), 200)
    assert first == written(1, set(), 200)
    assert first != written(2, set(), 200)


@pytest.mark.parametrize("kind", ["patchwork", "scramble", "twister"])
def test_what_has_no_grammar_is_of_the_same_words(kind: str) -> None:
    """Its words are of the list, none twice in a row, with one capital and one mark at the end."""
    grammar, random = Grammar.load(), Random(0)
    words = {word.lower() for word in grammar.words}
    for _ in range(300):
        text = getattr(grammar, kind)(random)
        said = normal(text).split()
        assert {word.removesuffix("'s") for word in said} <= words
        assert all(one != other for one, other in pairwise(said))
        assert text[0].isupper()
        assert text[-1] in ".?"
        assert not set(text[:-1]) & set(".?")


def test_a_twister_is_of_words_that_begin_alike() -> None:
    """Over half of the words of many twisters begin as the one before; of scrambles few do."""
    grammar, random = Grammar.load(), Random(0)

    def alike(make: Callable[[Random], str]) -> float:
        texts = [normal(make(random)).split() for _ in range(300)]
        pairs = [pair for text in texts for pair in pairwise(text)]
        return sum(one[0] == other[0] for one, other in pairs) / len(pairs)

    assert alike(grammar.twister) > 0.5
    assert alike(grammar.scramble) < 0.2


def test_sentences_of_the_clips_and_held_out_ones_are_never_trained_on() -> None:
    """Training texts, held-out texts and the clips' sentences have none in common."""
    clips = taken_by(clip_texts())
    assert {"he nodded", "yes of course"} <= clips
    taken = set(clips)
    train = {normal(text) for _, text in written(20, taken)}
    heldout = {normal(text) for kind, text in written(21, taken) if kind != "word"}
    assert len(heldout) == 3400
    assert all(
        not taken_by([text]) & clips for kind, text in written(22, set(clips)) if kind == "pair"
    )
    assert not clips & (train | heldout)
    assert not train & heldout


def test_the_word_list_has_the_clips_words_and_all_are_said() -> None:
    """Every word of the clips is in the list, and every word of the list in the training."""
    grammar = Grammar.load()
    words = {word.lower() for word in grammar.words}
    assert 1200 <= len(words) <= 1800
    assert set(" ".join(map(normal, clip_texts())).split()) <= words
    counts: dict[Kind, int] = {"sentence": 12_000, "scramble": 8000, "word": 1}
    said = {
        word
        for _, text in make_texts(grammar, counts, seed=20, taken=set())
        for word in normal(text).replace("'s", "").split()
    }
    assert said == words
    assert grammar.ambiguous <= set(grammar.words)


def test_a_rule_that_names_nothing_is_refused(tmp_path: Path) -> None:
    """A slot that nothing defines is an error that names it."""
    path = tmp_path / "grammar.toml"
    path.write_text(GRAMMAR.read_text("utf-8").replace("{handle+ed}", "{handel+ed}"), "utf-8")
    with pytest.raises(ValueError, match=r"names \{handel\+ed\}, which nothing defines"):
        Grammar.load(path)


def test_forms() -> None:
    """Plurals, verb forms, articles and capitals follow English's common rules."""
    assert [plural(noun) for noun in ("cup", "bus", "box", "city", "key", "match")] == [
        "cups",
        "buses",
        "boxes",
        "cities",
        "keys",
        "matches",
    ]
    assert verb_forms("carry") == {
        "": "carry",
        "s": "carries",
        "ed": "carried",
        "en": "carried",
        "ing": "carrying",
    }
    assert verb_forms("like")["ing"] == "liking"
    assert tidy("a hour, a useful a orange.") == "An hour, a useful an orange."


def test_the_configuration_is_strict() -> None:
    """Unknown keys, shares that make no whole and held-out settings that are trained on fail."""
    text = CONFIG.read_text(encoding="utf-8")
    for wrong, why in (
        (text.replace("[model]", "[model]\nlayers = 3"), "unknown field `layers`"),
        (text.replace("silence = 0.05", "silence = 0.1"), "must add up to 1"),
        (text.replace("heldout_rates = [0.88", "heldout_rates = [0.85"), "is a training one"),
        (text.replace('heldout_variants = ["m3"', 'heldout_variants = ["m1"'), "training one"),
    ):
        assert wrong != text
        with pytest.raises(msgspec.ValidationError, match=why):
            msgspec.toml.decode(wrong.encode(), type=Config)


def test_features_are_whispers() -> None:
    """The log-mel spectrogram on the training device is the standard extractor's."""
    from transformers import WhisperFeatureExtractor

    random = np.random.default_rng(0)
    waves = (0.1 * random.standard_normal((2, 480_000))).astype(np.float32)
    waves[0, 200_000:] = 0
    expected = WhisperFeatureExtractor()(list(waves), sampling_rate=16_000).input_features
    made = log_mel(torch.from_numpy(waves), mel_filters(80, "cpu"))
    assert made.shape == (2, 80, 3000)
    assert np.abs(made.numpy() - np.stack(expected)).max() < 1e-4


def test_the_tokenizer_is_whispers(vocabulary: Vocabulary, tmp_path: Path) -> None:
    """WhisperTokenizer reads it, makes the same ids, and writes text and time stamps back."""
    from transformers import WhisperTokenizer

    write_tokenizer(vocabulary.tokenizer, tmp_path)
    tokenizer: Any = WhisperTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) == vocabulary.size
    # Unknown letters are written in bytes.
    for text in (*TEXTS, "Größe — 10 €?"):
        ids = vocabulary.encode(text)
        assert max(ids) < vocabulary.pieces
        assert tokenizer(f" {text}", add_special_tokens=False).input_ids == ids
        stamped = [vocabulary.stamp(0.0), *ids, vocabulary.stamp(1.58), vocabulary.end]
        assert tokenizer.decode(stamped, skip_special_tokens=True) == f" {text}"
        read = tokenizer.decode(stamped, skip_special_tokens=True, output_offsets=True)
        assert read["offsets"] == [{"text": f" {text}", "timestamp": (0.0, 1.58)}]


def test_the_pieces_follow_from_the_texts() -> None:
    """The same texts make the same tokenizer."""
    texts = [text for _, text in written(1, set(), 500)]
    made = [train_tokenizer(texts, 600, 30).to_str() for _ in range(2)]
    assert made[0] == made[1]


def test_a_plan_follows_from_the_step(corpora: Path, vocabulary: Vocabulary) -> None:
    """A step's windows are the same, whichever steps came before; another step has others."""
    config = tiny_config()
    first, again, other = (plan_of(corpora, vocabulary, config, step) for step in (4, 4, 5))
    assert torch.equal(first.tokens, again.tokens)
    assert torch.equal(first.target, again.target)
    assert first.lengths.tolist() != other.lengths.tolist()


@pytest.mark.parametrize("stamps", [0.0, 1.0])
def test_a_window_is_labelled_with_what_it_plays(
    corpora: Path, vocabulary: Vocabulary, stamps: float
) -> None:
    """Labels are the tokens one further on; time stamps are where sound begins and ends."""
    config = tiny_config()
    config = replace(
        config,
        windows=replace(
            config.windows, timestamps=stamps, cut=0.5, tails=0.0, stretched=0.0, misheard=0.0
        ),
        training=replace(config.training, batch=40),
    )
    plan = plan_of(corpora, vocabulary, config, 3000)
    waves = lay(corpora, plan)
    kinds = set()
    for row in range(40):
        given, said = plan.tokens[row].tolist(), plan.labels[row].tolist()
        said = said[: said.index(vocabulary.end) + 1]
        assert given[0] == vocabulary.start
        assert given[2 : len(said)] == said[1:-1]
        assert (given[1] == vocabulary.no_timestamps) is (stamps == 0.0)
        assert said[0] == (IGNORED if stamps == 0.0 else given[1])
        text = [token for token in said[1:] if token < vocabulary.pieces]
        heard = plan.heard[row, : plan.heard_lengths[row]].tolist()
        assert text == heard
        sounding = waves[row].nonzero()
        assert bool(plan.speechless[row]) is (len(sounding) == 0)
        if stamps and len(sounding):
            times = [0.02 * (id_ - vocabulary.first_stamp) for id_ in said if id_ > vocabulary.end]
            assert times == sorted(times)
            assert times[0] == pytest.approx(float(sounding[0]) / 16_000, abs=0.011)
            cut = said[-2] >= vocabulary.first_stamp and said[-3] >= vocabulary.first_stamp
            if cut:
                assert plan.lengths[row] == WINDOW
                assert float(plan.heard_s[row]) == pytest.approx(times[-1], abs=0.011)
            else:
                assert times[-1] == pytest.approx(float(sounding[-1] + 1) / 16_000, abs=0.011)
            kinds.add("cut" if cut else "whole")
    assert kinds == ({"cut", "whole"} if stamps else set())


def test_the_decoder_is_given_wrong_pieces_and_told_the_right_ones(
    corpora: Path, vocabulary: Vocabulary
) -> None:
    """So many pieces differ from what is to be said; time stamps and the rest never do."""
    config = replace(tiny_config(), training=replace(tiny_config().training, batch=400))
    windows = replace(config.windows, timestamps=1.0, misheard=0.25)
    plan = plan_of(corpora, vocabulary, replace(config, windows=windows), 3000)
    given, said = plan.tokens[:, 1:], plan.labels[:, :-1]
    pieces = (said >= 0) & (said < vocabulary.pieces)
    others = (said > vocabulary.end) & (given != vocabulary.end)
    assert float((given != said)[pieces].float().mean()) == pytest.approx(0.25, abs=0.03)
    assert others.any()
    assert torch.equal(given[others], said[others])


def test_the_end_of_a_word_is_not_written(corpora: Path, vocabulary: Vocabulary) -> None:
    """A window may begin with the end of an utterance, of which its transcript has nothing."""
    config = tiny_config()
    windows = replace(
        config.windows, timestamps=1.0, tails=1.0, passage=0, sentence=0, word=0, silence=1
    )
    plan = plan_of(corpora, vocabulary, replace(config, windows=windows), 0)
    waves = lay(corpora, plan)
    ends = [one.start + one.samples for one in Corpus.load(corpora / "train").utterances]
    for row in range(len(plan.lengths)):
        assert 0.02 < int(plan.count[row]) / 16_000 <= 0.25
        assert int(plan.source[row] + plan.count[row]) in ends
        assert bool(waves[row, : plan.count[row]].any())
        assert plan.labels[row, :3].tolist() == [vocabulary.stamp(0.0), vocabulary.end, IGNORED]
    assert not plan.heard_lengths.any()


def test_utterances_are_played_as_they_are(corpora: Path, vocabulary: Vocabulary) -> None:
    """At its own speed an utterance is copied; played faster, it is shorter and higher."""
    corpus = Corpus.load(corpora / "train")
    samples = torch.from_numpy(np.array(corpus.samples))
    plan = plan_of(corpora, vocabulary, tiny_config(), 0)
    for name, value in {
        "source": [corpus.utterances[1].start] * 2,
        "count": [11_000, 10_000],
        "target": [500, WINDOW],
        "speed": [1.0, 1.1],
        "gain": [1.0, 0.5],
    }.items():
        setattr(plan, name, torch.tensor(value))
    waves = lay_out(samples, plan, 21_000, WINDOW)
    tone = torch.from_numpy(corpus.audio(corpus.utterances[1]))
    assert torch.equal(waves[0, 500:11_500], tone)
    assert not waves[0, :500].any()
    assert not waves[0, 11_500:].any()
    higher = torch.fft.rfft(waves[1, :10_000]).abs().argmax() * 16_000 / 10_000
    assert float(higher) == pytest.approx(440, abs=2)
    assert float(waves[1].abs().max()) == pytest.approx(0.5 * float(tone.abs().max()), rel=0.01)


def test_augmentation_is_seeded_and_ends_with_the_recording(
    corpora: Path, vocabulary: Vocabulary
) -> None:
    """The same generator makes the same sound, padding stays empty, clean windows stay clean."""
    config = replace(tiny_config(), training=replace(tiny_config().training, batch=40))
    plan = plan_of(corpora, vocabulary, config, 0)
    waves = lay(corpora, plan)

    def made(clean: float) -> torch.Tensor:
        settings = replace(config.augmentation, clean=clean, clipped=0.3)
        return augment(waves, plan, settings, torch.Generator().manual_seed(3))

    noisy = made(0.0)
    assert torch.equal(noisy, made(0.0))
    assert bool(torch.isfinite(noisy).all())
    assert float(noisy.abs().max()) == 1.0
    for row, length in enumerate(plan.lengths.tolist()):
        assert not noisy[row, length:].any()
    assert not torch.allclose(noisy, waves, atol=1e-3)
    # A clean window went through two Fourier transforms, and nothing else.
    spoken = ~plan.speechless
    assert torch.allclose(made(1.0)[spoken], waves[spoken].clamp(-1, 1), atol=1e-5)


def test_a_mel_mask_hides_one_band() -> None:
    """At most twelve neighbouring bins are silenced, in the asked share of the windows."""
    mel = torch.rand(64, 80, 30)
    masked = mask_mel(mel, 0.5, torch.Generator().manual_seed(0))
    hidden = (masked != mel).all(2).sum(1)
    assert 0.2 < float((hidden > 0).float().mean()) < 0.7
    assert int(hidden.max()) <= 12


def test_a_recordings_last_window_is_padded_as_transformers_does(
    corpora: Path, vocabulary: Vocabulary
) -> None:
    """Some windows have zeros after the recording, and the same spectrogram before its end."""
    plan = plan_of(corpora, vocabulary, tiny_config(), 0)
    plan.lengths = torch.tensor([16_000, 24_001])
    mel = torch.full((2, 80, 300), -1.0)
    padded = pad_mel(mel, plan, 1.0, torch.Generator())
    assert (padded[0, :, :100] == -1).all()
    assert not padded[0, :, 100:].any()
    assert (padded[1, :, :151] == -1).all()
    assert not padded[1, :, 151:].any()
    assert torch.equal(pad_mel(mel, plan, 0.0, torch.Generator()), mel)


def test_the_learning_rate_rises_and_falls() -> None:
    """It rises over the warm-up, and ends near zero."""
    settings = read_config().training
    rates = [learning_rate(step, settings) for step in range(settings.steps)]
    assert max(rates) == settings.learning_rate == rates[settings.warmup_steps]
    assert rates[0] < 0.01 * max(rates)
    assert rates[-1] < 1e-4 * max(rates)


def test_a_training_goes_on_as_if_unbroken(corpora: Path, unbroken: Path, tmp_path: Path) -> None:
    """Stopped after two of four steps and taken up again, it ends with the same weights."""
    config = tiny_config()
    assert not Trainer(config, corpora, tmp_path, "cpu").run(
        max_seconds=60, workers=0, most_steps=2
    )
    # A process that died after its checkpoint leaves lines that are made again.
    with (tmp_path / "log.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"step": 4, "loss": 99.0}) + "\n")
    assert Trainer(config, corpora, tmp_path, "cpu").run(max_seconds=60, workers=0)
    (whole, _, _), (broken, _, _) = trained(config, unbroken), trained(config, tmp_path)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, broken.state_dict()[name]), name
    losses = [
        [line["loss"] for line in read_log(folder) if "loss" in line]
        for folder in (unbroken, tmp_path)
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 4


def test_a_training_stops_in_time(corpora: Path, tmp_path: Path) -> None:
    """When the time is up no step is begun, and a checkpoint is written all the same."""
    assert not Trainer(tiny_config(), corpora, tmp_path, "cpu").run(max_seconds=-1, workers=0)
    assert trained(tiny_config(), tmp_path)[2]["step"] == 0


def test_another_configuration_does_not_go_on(corpora: Path, unbroken: Path) -> None:
    """A folder that holds a training of other settings is refused, and says so."""
    other = replace(tiny_config(), seed=1)
    with pytest.raises(ValueError, match="holds a training of another configuration"):
        Trainer(other, corpora, unbroken, "cpu")


def test_the_checkpoint_loads_and_transcribes(
    unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exported folder is a Whisper to transformers and to the suite, short and long form."""
    # But for a window of 3 s and 100 positions, which no Whisper has, and which are quick.
    monkeypatch.setitem(EVERY_WHISPER, "max_source_positions", 150)
    monkeypatch.setitem(EVERY_WHISPER, "max_target_positions", 100)
    monkeypatch.setattr(transformers_config, "POSITIONS", 100)
    monkeypatch.setitem(FRONT_END, "chunk_length", 3)
    whisper, vocabulary, _ = trained(tiny_config(), unbroken)
    folder = tmp_path / "tiny"
    export(whisper, vocabulary, folder)
    checkpoint = resolve_checkpoint(ModelSpec.parse(str(folder)))
    assert checkpoint.fingerprint.startswith("sha256:")
    listener = Listener(folder, "fp32", "cpu")
    assert listener.loaded.model.dtype == torch.float32
    for name, tensor in whisper.state_dict().items():
        assert torch.equal(tensor.half().float(), listener.loaded.model.state_dict()[name]), name
    assert parameters_in(folder) == sum(part.numel() for part in listener.loaded.model.parameters())
    random = np.random.default_rng(0)
    short = (0.1 * random.standard_normal(20_000)).astype(np.float32)
    assert len(listener.transcribe([short, short[:1_600]])) == 2
    assert len(listener.transcribe([np.tile(short, 6)])) == 1
    # The prompt is that of OpenAI's English-only checkpoints, and a fixed count is kept.
    features = listener.loaded.processor(
        short, sampling_rate=16_000, return_tensors="pt"
    ).input_features
    ids = listener.loaded.model.generate(features, min_new_tokens=60, max_new_tokens=60)
    assert ids.shape[1] in (60, 62)
    assert listener.loaded.model.generation_config.is_multilingual is False
    assert listener.loaded.processor.tokenizer.prefix_tokens == [
        vocabulary.start,
        vocabulary.no_timestamps,
    ]


def test_scores_and_their_table() -> None:
    """Word errors are counted after Whisper's normalizer, and precisions stand side by side."""
    made = score("clip", ["Yes, of course.", "He nodded."], ["yes of course", "he nods often"])
    assert (made.words, made.errors, made.recordings) == (5, 2, 2)
    assert made.examples == [("He nodded.", "he nods often")]
    reports = [Report(precision=name, device="cpu", scores=[made]) for name in ("fp32", "int8")]
    assert table(reports).splitlines()[-1] == "| clip | 2 | 5 | 40.00 | 40.00 |"


def test_the_curve_is_a_picture() -> None:
    """The curve is well-formed SVG, whether or not anything was logged yet."""
    log = [
        {"step": 50, "said": 5.0, "aligned": 6.0},
        {"step": 100, "said": 1.0, "aligned": 0.5},
        {"step": 100, "heldout_wer": 0.0},
    ]
    for lines in (log, []):
        root = xml.etree.ElementTree.fromstring(curve(lines))  # noqa: S314 - our own text
        assert root.tag.endswith("svg")
    assert curve(log).count("<polyline") == 3


def test_the_card_says_what_it_cannot_do(corpora: Path) -> None:
    """The card has data, licence, word error rate and limits, and says that it knows no people."""
    about = {part: Corpus.load(corpora / part).about for part in ("train", "heldout")}
    made = score("held-out sentences", ["Yes."], ["Yes."])
    text = card(
        read_config(),
        about,
        [Report(precision="fp32", device="cpu", scores=[made])],
        words=1500,
        parameters=7_450_000,
        steps=100,
        seconds=60.0,
        device="a CPU",
    )
    for heading in ("Data", "Training", "Word error rate", "Limits", "Licence"):
        assert f"\n## {heading}\n" in text
    assert "nothing\nmore" in text
    assert "| held-out sentences | 1 | 1 | 0.00 |" in text


def test_silence_around_speech_is_taken_away() -> None:
    """Speech is what rises above a hundredth of its peak, and 20 ms around it."""
    samples = np.zeros(16_000, dtype=np.int16)
    samples[5_000:6_000] = 10_000
    samples[8_000] = 90
    assert len(trim(samples)) == 1_000 + 2 * 320 - 1
    assert len(trim(np.zeros(100, dtype=np.int16))) == 0


def test_held_out_voices_have_settings_of_their_own() -> None:
    """No rate, pitch or variant of a held-out utterance is one that was trained on."""
    from random import Random

    voices = read_config().voice
    train = draw_settings(voices, 3000, Random(1), heldout=False)
    heldout = draw_settings(voices, 300, Random(2), heldout=True)
    assert train[:10] == draw_settings(voices, 3000, Random(1), heldout=False)[:10]
    for engine in ("flite", "espeak-ng"):
        of_one = [[one for one in some if one.engine == engine] for some in (train, heldout)]
        assert not {one.rate for one in of_one[0]} & {one.rate for one in of_one[1]}
        assert not {one.pitch for one in of_one[0]} & {one.pitch for one in of_one[1]}
    variants = [{one.variant for one in some if one.variant} for some in (train, heldout)]
    assert variants[1]
    assert not variants[0] & variants[1]


@needs_synthesizers
def test_the_synthesizers_speak_as_asked() -> None:
    """The same setting speaks the same samples; a higher rate is shorter."""
    for engine, name in (("flite", "rms"), ("flite", "kal"), ("espeak-ng", "en-gb")):
        variant = "f2" if engine == "espeak-ng" else ""
        slow, fast = (
            Setting(engine=engine, name=name, variant=variant, rate=rate, pitch=1.1)
            for rate in (0.9, 1.2)
        )
        spoken = speak("The rain fell before noon.", slow)
        assert spoken.dtype == np.int16
        assert np.array_equal(spoken, speak("The rain fell before noon.", slow))
        assert len(speak("The rain fell before noon.", fast)) < 0.9 * len(spoken)
        assert 0.5 < len(spoken) / 16_000 < 4
        assert np.abs(spoken.astype(int)).max() > 2_000


def test_the_corpus_tells_whose_it_is(tmp_path: Path) -> None:
    """A corpus is complete for the configuration that it was made by, and for no other."""
    corpus = write_tones(tmp_path)
    assert Corpus.is_complete(tmp_path, "tones")
    assert not Corpus.is_complete(tmp_path, "others")
    assert corpus.about.utterances == len(TEXTS)
    assert sum(one.samples for one in corpus.utterances) == len(corpus.samples)


def test_what_is_carried_is_pinned() -> None:
    """Every wheel that carry.sh fetches has its version in constraints.txt."""
    root = CONFIG.parents[1]
    script = (root / "training" / "carry.sh").read_text(encoding="utf-8")
    wheels = [line.split()[2:] for line in script.splitlines() if line.startswith("wheel .carry")]
    pins = (root / "constraints.txt").read_text(encoding="utf-8").lower()
    assert [len(names) for names in wheels] == [7, 3, 1]
    for name in (name for names in wheels for name in names):
        assert f"\n{name.lower()}==" in pins
    assert tomllib.loads(GRAMMAR.read_text(encoding="utf-8"))["words"]["clock"]
    assert Tokenizer is not None
