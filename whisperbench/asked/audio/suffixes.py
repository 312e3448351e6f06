"""How the names of audio files end."""

from __future__ import annotations

SUFFIXES = (".flac", ".mp3", ".ogg", ".opus", ".wav")
"""What is taken for audio in a folder; libsndfile reads all of it."""

OTHER_SUFFIXES = (
    *(".3g2", ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".alac", ".amr", ".ape", ".asf"),
    *(".au", ".avi", ".awb", ".caf", ".dsf", ".dss", ".dts", ".eac3", ".flv", ".gsm", ".m2a"),
    *(".m4a", ".m4b", ".m4r", ".m4v", ".mka", ".mkv", ".mov", ".mp1", ".mp2", ".mp4", ".mpc"),
    *(".mpeg", ".mpg", ".mpga", ".oga", ".ogv", ".ra", ".rf64", ".shn", ".snd", ".sph", ".spx"),
    *(".tak", ".tta", ".voc", ".w64", ".weba", ".webm", ".wma", ".wmv", ".wv"),
)
"""Audio too, and so not to be passed over: what libsndfile does not read is named."""
