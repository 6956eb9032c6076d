"""What another library or a file says, as one line of a message."""

from __future__ import annotations

# A library may quote all of a damaged file.
_LONGEST = 400


def one_line(text: str, longest: int = _LONGEST) -> str:
    """Return a text that may hold anything as one line of printable characters, cut off if long."""
    text = text if len(text) <= longest else f"{text[:longest]}..."
    return "".join(part if part.isprintable() else repr(part)[1:-1] for part in text)


def reason_of(error: BaseException) -> str:
    """Return the first line of an error, or the name of its kind if it says nothing."""
    return one_line(str(error).partition("\n")[0].strip()) or type(error).__name__


def kind_and_reason(error: BaseException) -> str:
    """Return the kind of an error and its first line, such as "OSError: file is truncated"."""
    kind, reason = type(error).__name__, reason_of(error)
    return kind if reason == kind else f"{kind}: {reason}"
