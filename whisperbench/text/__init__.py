"""Words: languages, and transcripts normalized and held against each other."""
