"""Why another library has failed, in a few words of its own."""

from __future__ import annotations

# A library may quote all of a damaged file.
_LONGEST = 200


def reason_of(error: BaseException) -> str:
    """Return the first line of an error, cut off where it is long, or the name of its kind."""
    line = (str(error).splitlines() or [""])[0].strip() or type(error).__name__
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def kind_and_reason(error: BaseException) -> str:
    """Return the kind of an error and its first line, such as "OSError: file is truncated"."""
    kind, reason = type(error).__name__, reason_of(error)
    return kind if reason == kind else f"{kind}: {reason}"
