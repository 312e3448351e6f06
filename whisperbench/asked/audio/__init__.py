"""Files of audio: what they hold, and what they say that they hold."""
