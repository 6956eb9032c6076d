"""Files in which a reconstruction keeps where it stands, from one renewal to the next."""

import dataclasses
import hashlib
import shutil
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxscat.io.archive import read_archive, write_archive
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.objectives.scattering import Scattering
from jaxscat.reconstruction.field_term import StackScattering

_CONTENT, _FORMAT, _NAME = "reconstruction", 1, "renewals.npz"


class RenewalFiles:
    """Keeps the state before every renewal, and what a minimization keeps in between.

    A resumed reconstruction measures the targets of its state again, and goes on from the newest
    checkpoint of the minimization: bit for bit as if it had not been interrupted.

    Args:
        checkpoints: folder and intervals.
        identity: what a reconstruction must share with the files to go on from them, as JSON can
            hold it.

    Source: `docs/reconstruction.md`, "Renewals".
    """

    def __init__(self, checkpoints: Checkpoints, identity: Mapping[str, Any]) -> None:
        self._checkpoints = checkpoints.of(identity)
        self._path = checkpoints.folder / _NAME

    def of_renewal(self, number: int) -> Checkpoints:
        """Return the checkpoints of the minimization after a renewal; former ones are removed."""
        for old in self._checkpoints.folder.glob("renewal-*"):
            if old.name != f"renewal-{number}":
                shutil.rmtree(old, ignore_errors=True)
        return self._checkpoints.inside(f"renewal-{number}")

    def save(self, state: Any) -> None:
        """Write a state: a named tuple of arrays, numbers, strings and dictionaries of arrays.

        Raises:
            OSError: it cannot be written; the one before is as it was.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        arrays, header = {}, {}
        for name, value in state._asdict().items():
            if isinstance(value, np.ndarray):
                arrays[name] = value
            elif isinstance(value, Mapping):
                arrays |= {f"{name} {key}": np.asarray(of) for key, of in value.items()}
            else:
                header[name] = value
        header = {"state": header, "identity": self._checkpoints.identity}
        write_archive(self._path, _CONTENT, _FORMAT, header, arrays)

    def load(self) -> dict[str, Any] | None:
        """Return the fields of the state that was kept, or None if there is none.

        Raises:
            ValueError: the file is damaged, or of another reconstruction.
            OSError: it cannot be read.
        """
        if not self._path.exists():
            return None
        header, arrays = read_archive(self._path, _CONTENT, _FORMAT)
        self._checkpoints.check_identity(header["identity"])
        fields: dict[str, Any] = dict(header["state"])
        for name, array in arrays.items():
            field, _, key = name.partition(" ")
            if key:
                fields.setdefault(field, {})[key] = array
            else:
                fields[field] = array
        return fields


def describe_terms(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Return how terms measure maps, as JSON can hold it: the pyramid, masks and templates."""
    found: dict[str, Any] = {}
    for name, term in terms.items():
        if isinstance(term, StackScattering):
            found["pyramid"] = dataclasses.asdict(term.term.pyramid.spec)
            pairs = [list(pair) for pair in term.term.target.pairs]
            found[f"measurement of {name}"] = [digest_of(term.known), list(term.fields), pairs]
        if not isinstance(term, Scattering):
            continue
        target = term.target
        parts = (
            target.mask,
            target.second,
            target.second_offset,
            target.mask_threshold,
            target.normalization,
            target.alignment,
        )
        shapes = {group: list(of.shape) for group, of in target.mean.groups().items()}
        kinds = [target.hidden, target.weights, repr(target.reduction), target.mean.both_triangles]
        found["pyramid"] = dataclasses.asdict(term.pyramid.spec)
        found[f"measurement of {name}"] = [digest_of(parts), kinds, shapes]
    return found


def digest_of(tree: Any) -> str:
    """Return a checksum of all arrays of a pytree."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
