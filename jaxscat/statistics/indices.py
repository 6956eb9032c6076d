"""Which scales go together in S3 and S4, and in which order."""


def scale_pairs(scales: int) -> list[tuple[int, int]]:
    """Return the scales `(j2, j3)` of S3 in the order of its first axis.

    Source: `docs/conventions.md`, "Order of coefficients".
    """
    return [(j2, j3) for j3 in range(scales) for j2 in range(j3 + 1)]


def scale_triples(scales: int) -> list[tuple[int, int, int]]:
    """Return the scales `(j1, j2, j3)` of S4 in the order of its first axis.

    Source: `docs/conventions.md`, "Order of coefficients".
    """
    return [(j1, j2, j3) for j3 in range(scales) for j2 in range(j3 + 1) for j1 in range(j2 + 1)]
