"""People's own code behind `--transcriber`: found, imported and called, with a line for each fault.

docs/transcribers.md is for those who write it.
"""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from whisperbench.errors import InputError, ModelError, WhisperbenchError, one_line
from whisperbench.paths import ASKED_FROM_VARIABLE
from whisperbench.whisper.residency import is_out_of_memory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class OwnTranscriber(Protocol):
    """The least that a factory gives.

    It may have as well: a parameter `language` of `transcribe`, which then is the language's code;
    `close()`, which is called when it is needed no more; and `weight_bytes`, what its weights take.
    """

    def transcribe(self, samples: NDArray[np.float32], rate: int) -> str:
        """Return the text of a recording.

        Args:
            samples: of one channel, between -1 and 1.
            rate: of the samples, in Hz: 16000.
        """
        ...


OwnFactory = Callable[[Path, str], OwnTranscriber]
"""Takes the folder of the checkpoint that `--model` names, and torch's name of the device."""


def factory_of(name: str) -> OwnFactory:
    """Import a factory.

    Modules are found in the folder that the command was given in, and wherever Python looks.

    Args:
        name: as in "package.module:factory".

    Raises:
        InputError: there is no such module or function, the module fails when it is imported, or
            the function cannot be called.
    """
    module, _, function = name.partition(":")
    _look_where_it_was_asked()
    what = f"--transcriber {name}"
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            raise InputError(
                f"{what}: there is no module {error.name}; it is looked for in the current folder "
                f"({Path.cwd()}) and where Python looks: check the spelling"
            ) from error
        raise InputError(f"{what}: {module} imports {error.name}, which is not there") from error
    except (Exception, SystemExit) as error:
        raise InputError(f"{what}: {module} cannot be imported: {_told(error)}") from error
    factory = getattr(found, function, None)
    if factory is None:
        raise InputError(f"{what}: {module} ({_place(found)}) has no {function}")
    if not callable(factory):
        raise InputError(
            f"{what}: {function} is of type {type(factory).__name__}, which cannot be called; name "
            "a function that returns a transcriber"
        )
    return cast("OwnFactory", factory)


def made_by(name: str, folder: Path, device: str) -> OwnTranscriber:
    """Call a factory, and look at what it gives.

    Args:
        name: as in "package.module:factory".
        folder: of the checkpoint.
        device: as torch calls it.

    Raises:
        InputError: as `factory_of`; or what it gives transcribes nothing.
        ModelError: it raises something.
    """
    factory = factory_of(name)
    with own_errors(f"--transcriber {name}: the factory"):
        made = factory(folder, device)
    if not callable(getattr(made, "transcribe", None)):
        raise InputError(
            f"--transcriber {name}: the factory gives an object of type {type(made).__name__}, "
            "which has no method transcribe(samples, rate); docs/transcribers.md has an example"
        )
    return made


def takes_language(transcribe: Callable[..., str]) -> bool:
    """Whether it wants to know the language: it has a parameter of that name."""
    try:
        return "language" in inspect.signature(transcribe).parameters
    except (TypeError, ValueError):  # as of a function in C
        return False


@contextmanager
def own_errors(what: str) -> Iterator[None]:
    """Turn what people's code raises into one line that says where.

    Args:
        what: was called, as the subject of a sentence.

    Raises:
        ModelError: it raised something. Running out of memory comes as it is.
    """
    try:
        yield
    except WhisperbenchError:  # an alarm of ours, that it did not end
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, Exception) and is_out_of_memory(error):
            raise
        raise ModelError(f"{what} raised {_told(error)}") from error


def _told(error: BaseException) -> str:
    """Name an error, and the last line of people's code that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if not each.filename.startswith(("<frozen", __file__))]
    where = f" (line {own[-1].lineno} of {Path(own[-1].filename).name})" if own else ""
    return one_line(f"{type(error).__name__}: {error}") + where


def _place(module: Any) -> str:
    return Path(getattr(module, "__file__", None) or "built in").name


def _look_where_it_was_asked() -> None:
    """Let modules of the current folder be found, behind all that are found already.

    Commands that start processes elsewhere hand on where they were asked.
    """
    for folder in (str(Path.cwd()), os.environ.get(ASKED_FROM_VARIABLE, "")):
        if folder and folder not in sys.path:
            sys.path.append(folder)
