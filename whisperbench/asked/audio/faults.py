"""What is said of a file that does not hold what it says."""

from __future__ import annotations

LOSS_S = 0.1
"""What may be missing of a file: an encoder's last frame."""

FETCH = "copy it again from where it came from"
CONVERT = "convert it to flac or wav with ffmpeg"


def several(where: str) -> str:
    """Say that a file is several, one behind the other."""
    return (
        f"{where} is several recordings, one behind the other, of which libsndfile reads the "
        "first; make one file of each, or one of them all, with ffmpeg or sox"
    )


def breaks_off(where: str, seconds: float) -> str:
    """Say that a file breaks off that does not say how long it should be."""
    return (
        f"{where} breaks off or is damaged after {seconds:.3f} s, and does not say how long it "
        f"should be; {FETCH}, or convert what there is to flac or wav with ffmpeg"
    )
