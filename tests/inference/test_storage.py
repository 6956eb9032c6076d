"""Files of simulations are whole, whenever what writes them ends."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

from jaxscat.inference import Summary, load_simulations, measure_many, save_simulations


def test_a_process_killed_between_two_stores_leaves_both(pyramid, tmp_path):
    pytest.importorskip("zarr", reason="zarr is not installed (extra `xarray`)")
    pytest.importorskip("xarray", reason="xarray is not installed (extra `xarray`)")
    summary = Summary(groups=("S1", "S2"))
    maps = np.random.default_rng(0).normal(size=(2, 192))
    former = measure_many(maps, pyramid, summary=summary)
    save_simulations(tmp_path / "new.npz", former._replace(vectors=former.vectors + 1))
    save_simulations(tmp_path / "maps.zarr", former)
    script = """
        import os
        from jaxscat.inference import load_simulations, save_simulations
        rename, calls = os.rename, []
        def killed(*names):
            calls.append(names)
            if len(calls) == 2:
                os._exit(9)
            rename(*names)
        new = load_simulations("new.npz")
        os.rename = killed
        save_simulations("maps.zarr", new)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path)
    assert done.returncode == 9 and not (tmp_path / "maps.zarr").exists()
    (draft,) = tmp_path.glob(".maps.zarr.*")
    np.testing.assert_array_equal(
        load_simulations((draft / "replaced").rename(tmp_path / "former.zarr")).vectors,
        former.vectors,
    )
    np.testing.assert_array_equal(load_simulations(draft / "maps.zarr").vectors, former.vectors + 1)
