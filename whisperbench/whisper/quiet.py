"""Silence for a few known messages that come once a call, and for a trace that nobody asked for.

They would bury a run's output, and making them would land in the measured time. Every entry
names one message; a test holds that the same loggers' other messages still come through.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# bitsandbytes says of every Linear, in every call, that activations that are not fp16 are cast.
# Making a record that a filter then drops costs some 5 us, which is 0.5 % of a decode on a CPU,
# so this logger's level is raised: the message is the only one that it has below an error.
_CAST_LOGGER = "bitsandbytes.autograd._functions"

_GENERATE_LOGGER = "transformers.generation.utils"
_GENERATE_MESSAGES = (
    # The token count is fixed on purpose, whatever lengths the checkpoint's own settings name.
    "Both `max_new_tokens`",
    "Both `min_new_tokens`",
    # Whisper's generate() passes its suppressed tokens on to the general generate() itself; the
    # wording is that of transformers from 5.4 on, then of those before.
    "Passing `generation_config` together with generation-related arguments",
    "A custom logits processor of type <class 'transformers.generation.logits_process.Suppress",
)


# torch.compile writes down all that it does where this logger has a handler: TORCH_TRACE's, or one
# of pytest's, which since 9.1 gives one to each logger that does not propagate. It then compiles
# longer, and a test that fails shows thousands of records without a text.
_TRACE_LOGGER = "torch.__trace"
_ASK_FOR_TRACES = ("TORCH_TRACE", "TORCH_DTRACE", "TORCH_COMPILE_DEBUG")


class _DropKnown(logging.Filter):
    """Drops the messages of `_GENERATE_MESSAGES`."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record may pass."""
        return not str(record.msg).startswith(_GENERATE_MESSAGES)


_DROP_KNOWN = _DropKnown()


def quieten() -> None:
    """Silence the known messages, and transformers' progress bars. May be called twice."""
    from transformers.utils import logging as transformers_logging

    logging.getLogger(_CAST_LOGGER).setLevel(logging.ERROR)
    logging.getLogger(_GENERATE_LOGGER).addFilter(_DROP_KNOWN)
    if not any(map(os.environ.get, _ASK_FOR_TRACES)):
        trace = logging.getLogger(_TRACE_LOGGER)
        trace.propagate = True  # pytest then gives it no handler
        trace.handlers.clear()
    transformers_logging.disable_progress_bar()


# Written by torch's libraries straight to the file behind standard error, whatever the log level:
# that the profiler starts and stops, and that a block is older than the profile.
_PROFILER_START = "USDT:"
_PROFILER_WARNING = "Memory block of unknown size was allocated before the profiling started"

# Before torch 2.13 also for a profiler that knows but one cycle.
_PROFILER_CYCLES = "Warning: Profiler clears events at the end of each cycle"


@contextmanager
def quiet_profiler() -> Iterator[list[str]]:
    """Hold standard error back while the profiler runs, and let through all but what is known.

    Yields:
        A list that holds the lines that were let through, once the block has ended.
    """
    through: list[str] = []
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", _PROFILER_CYCLES)
                yield through
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            for line in said.read().splitlines(keepends=True):
                text = line.decode(errors="replace")
                if not text.startswith(_PROFILER_START) and _PROFILER_WARNING not in text:
                    os.write(2, line)
                    through.append(text.strip())
