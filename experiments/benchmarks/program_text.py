"""What a compiled program consists of, read from its text."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

# Kinds of instructions that are always reported, in this order; of others, those there are.
KINDS = ("fusion", "gather", "scatter", "dot", "convolution", "while", "copy", "transpose")
# Gathers and scatters that read or write more than this are worth a look.
LARGE_BYTES = 1_000_000

_DEFINITION = re.compile(r"^\s*(?:ROOT )?%?([\w.-]+) = (.+?) ([a-z][a-z0-9-]*)\(")
_ARRAY = re.compile(r"\b(pred|bf16|[a-z]+\d+)\[([\d,]*)\]")
_NAME = re.compile(r"%([\w.-]+)")


class Instruction(NamedTuple):
    """One line of a program: its name, kind, bytes of its result, and names of its operands."""

    name: str
    kind: str
    bytes: int
    operands: tuple[str, ...]


def shape_bytes(shape: str) -> int:
    """Return the bytes of an array or of all arrays of a tuple, such as `(f32[2,3]{1,0}, s32[])`.

    Padding of the layout does not count.
    """
    return sum(
        math.prod(int(size) for size in sizes.split(",") if size) * _item_bits(kind) // 8
        for kind, sizes in _ARRAY.findall(shape)
    )


def _item_bits(kind: str) -> int:
    # A truth value takes a byte.
    return 8 if kind == "pred" else int(kind.lstrip("abcdefghijklmnopqrstuvwxyz"))


def read_instructions(text: str) -> Iterator[Instruction]:
    """Yield the instructions of a program, those inside of fusions and loops too."""
    for line in text.splitlines():
        found = _DEFINITION.match(line)
        if found is None:
            continue
        name, shape, kind = found.groups()
        inside = line[found.end() : _closing(line, found.end())]
        operands = tuple(_NAME.findall(inside))
        if not operands:  # names without a sign, after the shapes of what they name
            operands = tuple(part.split()[-1] for part in inside.split(", ") if part.split())
        yield Instruction(name, kind, shape_bytes(shape), operands)


def _closing(line: str, start: int) -> int:
    """Return where the parenthesis closes that opens just before a place."""
    depth = 1
    for place in range(start, len(line)):
        depth += {"(": 1, ")": -1}.get(line[place], 0)
        if depth == 0:
            return place
    return len(line)


def describe_program(text: str) -> dict[str, Any]:
    """Count the instructions of a program by kind, and list its gathers and scatters.

    Returns:
        `instructions`: numbers by kind. `gathers` and `scatters`: their number, the largest bytes
        of one operand or result, and how many exceed `LARGE_BYTES`.
    """
    instructions = list(read_instructions(text))
    kinds = Counter(instruction.kind for instruction in instructions)
    sizes = {instruction.name: instruction.bytes for instruction in instructions}
    found: dict[str, Any] = {
        "instructions": {kind: kinds.get(kind, 0) for kind in KINDS} | dict(kinds.most_common()),
        "characters": len(text),
    }
    for kind in ("gather", "scatter"):
        largest = [
            max(one.bytes, *(sizes.get(name, 0) for name in one.operands), 0)
            for one in instructions
            if one.kind == kind
        ]
        found[f"{kind}s"] = {
            "count": len(largest),
            "largest_bytes": max(largest, default=0),
            "large": sum(size > LARGE_BYTES for size in largest),
        }
    return found
