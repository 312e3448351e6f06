"""Make the clips of fixtures/clips: spoken English from a free synthesizer, and their manifest.

    apt-get install flite          # Debian 12's flite 2.2 made the committed files
    python scripts/make_clips.py   # rewrites fixtures/clips; commit what changed

The sentences are the project's own and are dedicated to the public domain (CC0-1.0). flite's
voices (Carnegie Mellon University, BSD-like licence) put no claim on what they speak.
The seconds and the SHA-256 in the manifest are those of the files that this script wrote.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile

CLIPS = Path(__file__).resolve().parents[1] / "fixtures" / "clips"
LICENCE = "CC0-1.0"

# name: (flite voice, text)
SENTENCES = {
    "yes": ("rms", "Yes, of course."),
    "bridge": ("awb", "The old bridge is closed, so please take the road along the river."),
    "library": (
        "slt",
        "The library opens at nine in the morning and closes at seven. On Sundays the reading "
        "room stays shut, but the garden is open to everyone. Please return your books to the "
        "desk on the first floor.",
    ),
    "harbour": (
        "rms",
        "The harbour was quiet before sunrise. Three fishing boats waited beside the old stone "
        "wall while their crews checked the nets and filled the water tanks. A light rain had "
        "fallen during the night, and the wooden deck was still wet. Anna carried a small radio "
        "in her coat pocket. She listened to the weather report twice, wrote down the wind "
        "speed, and told her brother that they could be home again by six o'clock in the evening. "
        "He nodded.",
    ),
    "mountain": (
        "awb",
        "We left the village at five in the morning and followed the stream up the valley. After "
        "two hours the path became steep, and the trees gave way to grass and grey stones. Near "
        "the top we met an old farmer with eleven sheep and a very friendly dog. He told us that "
        "the weather would change before noon, and that the hut on the other side had fresh "
        "bread and hot soup. We thanked him, put on our coats, and walked on. From the summit we "
        "could see three lakes, a railway bridge, and the towers of the city far away in the "
        "south. The rain began just as we reached the door of the hut. An hour later the sun came "
        "out again, and we slept on the warm stones until the bus arrived.",
    ),
}


def speak(voice: str, text: str, target: Path) -> float:
    """Speak a text into a 16-bit FLAC file at the synthesizer's own rate; return its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(wav)], check=True)
        samples, rate = soundfile.read(wav, dtype="int16")
    soundfile.write(target, samples, rate, format="FLAC", subtype="PCM_16")
    return float(len(samples) / rate)


def main() -> None:
    """Write every clip and the manifest."""
    rows = [
        "# Written by scripts/make_clips.py: change that, not this.",
        "# Each row is checked when the clip is loaded.",
    ]
    for name, (voice, text) in SENTENCES.items():
        path = CLIPS / f"{name}.flac"
        seconds = speak(voice, text, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rows += [
            "",
            "[[clip]]",
            f'name = "{name}"',
            f'file = "{path.name}"',
            f"seconds = {seconds:.3f}",
            f'text = "{text}"',
            'language = "en"',
            f'voice = "flite {voice}"',
            f'licence = "{LICENCE}"',
            f'sha256 = "{digest}"',
        ]
        print(f"{path.name}: {seconds:.2f} s, {path.stat().st_size / 2**10:.0f} KiB")
    (CLIPS / "clips.toml").write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    main()
