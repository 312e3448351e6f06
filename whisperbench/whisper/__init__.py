"""Whisper itself: checkpoints, dummies, loading, and the transcription path under test."""
