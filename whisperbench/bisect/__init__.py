"""Which release of a package made Whisper cost more: a search by counts, which do not wobble."""
