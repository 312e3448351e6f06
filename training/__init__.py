"""How nano, the small Whisper that ships with the project, is made: speech, training, export."""
