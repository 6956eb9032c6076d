"""The combinations of scales in S3 and S4, and their order."""


def scale_pairs(scales: int) -> list[tuple[int, int]]:
    """Return the scales `(j2, j3)` of S3 in the order of its first axis.

    Source: `docs/conventions.md`, "Order of coefficients".
    """
    return [(j2, j3) for j3 in range(scales) for j2 in range(j3 + 1)]


def scale_triples(scales: int, both_triangles: bool = False) -> list[tuple[int, int, int]]:
    """Return the scales `(j1, j2, j3)` of S4 in the order of its first axis.

    With `both_triangles`, j1 runs up to j3 instead of j2.

    Source: `docs/conventions.md`, "Order of coefficients".
    """
    return [
        (j1, j2, j3)
        for j3 in range(scales)
        for j2 in range(j3 + 1)
        for j1 in range((j3 if both_triangles else j2) + 1)
    ]


def covariance_scales(pairs: int) -> int:
    """Return the number of scales of S3 from the length of its first axis."""
    return next(j for j in range(pairs + 1) if j * (j + 1) // 2 == pairs)
