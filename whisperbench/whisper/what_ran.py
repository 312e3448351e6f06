"""What ran of a loaded model, held against what its row says must be true of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from whisperbench.errors import InvalidMeasurementError
from whisperbench.whisper.must import departures

if TYPE_CHECKING:
    from whisperbench.results.ran import Ran
    from whisperbench.whisper.loading import LoadedModel


def what_ran(loaded: LoadedModel, *, generated: bool, **seen: Any) -> Ran:
    """Return what ran, when a pass is through with a model.

    Args:
        loaded: the model, as it is now.
        generated: whether the pass has gone through the transcriber's whole path: what compiles at
            the first call has compiled.
        seen: what the pass saw beside the model, by fields of `Ran`.

    Raises:
        InvalidMeasurementError: it is not what the row says; with all that ran instead.
    """
    ran = msgspec.structs.replace(loaded.ran(), **seen)
    if not loaded.must.compiled:
        ran = msgspec.structs.replace(ran, compiled_calls=None)
    if not generated:
        ran = msgspec.structs.replace(ran, compiled_graphs=None)
    if wrong := list(departures(loaded.must, loaded.key.attention, ran)):
        raise InvalidMeasurementError(
            f"{loaded.key.id}: what ran is not what it is called: {'; '.join(wrong)}"
        )
    return ran
