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
