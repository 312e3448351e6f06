"""A run over several processes: its split, one process a card of this host, and its merging."""
