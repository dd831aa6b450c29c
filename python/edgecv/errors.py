"""The exceptions edgecv raises. Every one derives from :class:`Error`."""

from __future__ import annotations


class Error(Exception):
    """Base of every error edgecv raises on purpose; the message is one clear line."""


class FormatError(Error):
    """A file is not what it claims to be: damaged, truncated or of another format.

    ``status`` is one of the words of docs/format.md: ``not_ecv``, ``version``, ``truncated``,
    ``checksum``, ``corrupt``, ``limit``.
    """

    def __init__(self, message: str, status: str = "corrupt") -> None:
        super().__init__(message)
        self.status = status


class UnsupportedModelError(Error):
    """A model uses nodes or forms that edgecv cannot lower; the message lists all of them."""


class CalibrationError(Error):
    """The calibration data cannot be used: empty, of the wrong shape or not finite."""


class DownloadError(Error):
    """A package file could not be fetched, or is not the pinned one."""


class InputError(Error, ValueError):
    """An argument has the wrong shape, name or value, or a float input holds a NaN."""


class InputTypeError(InputError, TypeError):
    """An array has a dtype the model does not take, or an argument is no array at all."""


class FileError(Error, OSError):
    """The operating system could not open, read or map a file."""


class OutOfMemoryError(Error, MemoryError):
    """There is not enough memory for the model or a run of it."""


class StateError(Error, RuntimeError):
    """Calls in the wrong order, or on a model that is closed."""


_BY_STATUS = {
    "invalid_argument": InputError,
    "nan_input": InputError,
    "io": FileError,
    "out_of_memory": OutOfMemoryError,
    "unsupported": UnsupportedModelError,
    "wrong_state": StateError,
}


def from_status(status: str, text: str) -> Error:
    """Return the exception for a status name of the core (edgecv.h) and its line of text."""
    if status in ("not_ecv", "version", "truncated", "checksum", "corrupt", "limit"):
        return FormatError(text, status)
    return _BY_STATUS.get(status, Error)(text)
