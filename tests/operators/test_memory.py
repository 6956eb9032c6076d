import os
import re
import time

import healpy
import jax
import numpy as np
import pytest

from jaxscat.operators import memory, pyramid
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.operators.spec import check_spec


@pytest.mark.parametrize(
    ("orientations", "dtype", "geometry"),
    [(4, "float32", "exact"), (8, "float64", "exact"), (3, "float32", "exact"),
     (1, "float32", "exact"), (4, "float32", "foscat")],
)  # fmt: skip
def test_estimate_is_near_what_the_tables_take(orientations, dtype, geometry):
    operators = build_pyramid(32, orientations=orientations, dtype=dtype, geometry=geometry)
    taken = sum(leaf.nbytes for leaf in jax.tree.leaves(operators))
    assert memory.table_bytes(operators.spec) == pytest.approx(taken, rel=0.25)


def disc(nside, count):
    """Some pixels around one place, in no order."""
    centre = healpy.ang2vec(1.0, 2.0)
    found = healpy.query_disc(nside, centre, 1.3 * np.sqrt(4 / 12 * count) / nside, nest=True)
    return np.random.default_rng(0).permutation(found[:count])


@pytest.mark.parametrize(
    ("kernel_size", "nside", "patch", "orientations"),
    [
        (5, 16, None, 4),
        (7, 16, None, 4),
        (5, 16, None, 3),
        (3, 512, 4000, 4),
        (5, 512, 1000, 4),
        (7, 512, 1000, 4),
    ],
)
def test_estimate_of_larger_kernels_and_of_patches(kernel_size, nside, patch, orientations):
    operators = build_pyramid(
        nside,
        kernel_size=kernel_size,
        orientations=orientations,
        cell_ids=None if patch is None else disc(nside, patch),
    )
    taken = sum(leaf.nbytes for leaf in jax.tree.leaves(operators))
    assert memory.table_bytes(operators.spec) == pytest.approx(taken, rel=0.25)


def test_estimate_of_a_patch_is_that_of_its_pixels(monkeypatch):
    ids = disc(8192, 64)
    patch = check_spec(8192, cells=np.sort(ids), scales=2)
    assert memory.table_bytes(patch) == memory.table_bytes(
        check_spec(64, cells=np.arange(64), scales=2)
    )
    monkeypatch.setattr(memory, "available_bytes", lambda: 10**7)
    assert build_pyramid(8192, cell_ids=ids).spec.npix == 64
    with pytest.raises(ValueError, match="build_pyramid.nside=8192.: its tables take"):
        build_pyramid(8192, scales=1)


def test_larger_kernels_need_more():
    needed = [memory.table_bytes(check_spec(64, kernel_size=size)) for size in (3, 5, 7)]
    # Twice the nside has four times the pixels; blocks of 5 and 7 read that many more.
    assert 4 * 1.9 * needed[0] < needed[1] < 4 * 2.1 * needed[0]
    assert 1.5 * needed[1] < needed[2] < 1.7 * needed[1]


# Larger kernels have their finest scale at twice the nside.
@pytest.mark.parametrize(("kernel_size", "nside"), [(3, 64), (5, 32), (7, 32)])
def test_estimate_of_larger_maps_is_within_a_few_percent(kernel_size, nside):
    operators = build_pyramid(nside, kernel_size=kernel_size, layout="rows")
    taken = sum(leaf.nbytes for leaf in jax.tree.leaves(operators))
    assert memory.table_bytes(operators.spec) == pytest.approx(taken, rel=0.04)


@pytest.mark.parametrize("geometry", ["exact", "foscat"])
@pytest.mark.parametrize("integer", [int, np.int32])
def test_sizes_beyond_32_bits_are_exact(geometry, integer):
    def finest(nside):
        spec, coarser = (
            check_spec(integer(n), integer(8), geometry=geometry) for n in (nside, nside // 2)
        )
        return memory.table_bytes(spec) - memory.table_bytes(coarser)

    large = finest(8192)
    assert type(memory.table_bytes(check_spec(integer(8192)))) is int
    # Every orientation, pixel and entry of the table: more than an int32 or even a uint32 counts.
    assert large > 8 * 12 * 8192**2 * 9 > 2**32
    assert large == 128**2 * finest(64)


def test_rows_can_be_counted_in_int32_up_to_the_largest_tables():
    spec = check_spec(8192, geometry="foscat")
    assert spec.npix // spec.sectors == 805_306_368 < 2**31


def test_nside_that_cannot_fit_is_refused_at_once_with_the_figure(monkeypatch):
    def never(*_, **__):
        raise AssertionError("something was built")

    monkeypatch.setattr(pyramid, "build_stencil", never)
    monkeypatch.setattr(pyramid, "build_downsampling", never)
    figure = f"{memory.table_bytes(check_spec(16384)) / 2**30:.1f} GiB"
    start = time.monotonic()
    with pytest.raises(ValueError, match=rf"nside=16384.*{figure}.*are free") as caught:
        build_pyramid(16384)
    assert time.monotonic() - start < 1
    # The estimates at the ends of what is said to fit, from outside of the module.
    largest = int(re.search(r"at most nside (\d+)", str(caught.value))[1])
    free = memory.available_bytes()
    assert 2 * memory.table_bytes(check_spec(largest // 2)) < free
    assert 2 * memory.table_bytes(check_spec(largest * 4)) > free


def test_limit_is_twice_the_tables(monkeypatch):
    spec = check_spec(256)
    monkeypatch.setattr(memory, "available_bytes", lambda: 2 * memory.table_bytes(spec))
    memory.require(spec)
    monkeypatch.setattr(memory, "available_bytes", lambda: 2 * memory.table_bytes(spec) - 1)
    with pytest.raises(ValueError, match="nside=256.: its tables take 0.3 GiB"):
        memory.require(spec)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"scales": 3},
        {"orientations": 8, "dtype": "float64"},
        {"kernel_size": 7},
        {"geometry": "foscat"},
        {"layout": "faces"},
    ],
    ids=str,
)
@pytest.mark.parametrize("fitting", [1, 4, 64])
def test_largest_nside_that_fits_is_named(monkeypatch, arguments, fitting):
    def needed(nside):
        scales = min(arguments.get("scales", 99), check_spec(nside, **named).scales)
        return 2 * memory.table_bytes(check_spec(nside, **named, scales=scales))

    named = {name: value for name, value in arguments.items() if name != "scales"}
    for free in (needed(fitting), needed(2 * fitting) - 1):
        monkeypatch.setattr(memory, "available_bytes", lambda free=free: free)
        with pytest.raises(ValueError, match=rf"expected at most nside {fitting}, fewer"):
            memory.require(check_spec(1024, **arguments))
    monkeypatch.setattr(memory, "available_bytes", lambda: needed(1) - 1)
    with pytest.raises(ValueError, match="expected more memory: not even nside 1 fits"):
        memory.require(check_spec(1024, **arguments))


def test_number_of_pixels_of_a_patch_that_fits_is_named(monkeypatch):
    cells = np.arange(10**6)
    for free in (10**6, 10**7, 10**8):
        monkeypatch.setattr(memory, "available_bytes", lambda free=free: free)
        with pytest.raises(ValueError, match="a patch of at most") as caught:
            build_pyramid(1024, cell_ids=cells, scales=2)
        most = int(re.search(r"at most (\d+) pixels", str(caught.value))[1])
        memory.require(check_spec(1024, cells=cells[:most], scales=2))
        with pytest.raises(ValueError, match="nside=1024"):
            memory.require(check_spec(1024, cells=cells[: 2 * most], scales=2))
    monkeypatch.setattr(memory, "available_bytes", lambda: 1)
    with pytest.raises(ValueError, match="expected fewer orientations"):
        build_pyramid(1024, cell_ids=cells)


def test_building_asks_for_the_memory_of_all_scales(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 2 * memory.table_bytes(check_spec(8)))
    build_pyramid(8)
    monkeypatch.setattr(
        memory, "available_bytes", lambda: 2 * memory.table_bytes(check_spec(8)) - 1
    )
    with pytest.raises(ValueError, match="build_pyramid.nside=8."):
        build_pyramid(8)
    build_pyramid(8, orientations=2)


def test_free_memory_is_some_of_what_there_is():
    free = memory.available_bytes()
    assert type(free) is int
    assert 0 < free <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_machine_that_does_not_tell_its_free_memory_still_builds(monkeypatch, tmp_path):
    other = tmp_path / "meminfo"  # missing, as on macOS, then without the figure
    monkeypatch.setattr(memory, "_MEMORY_FIGURES", other)
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "none")
    assert memory.available_bytes() is None
    assert build_pyramid(2).spec.nside == 2
    other.write_text("MemTotal: 3 kB\n")
    assert memory.available_bytes() is None
    other.write_text("MemTotal: 3 kB\nMemAvailable:     2 kB\n")
    assert memory.available_bytes() == 2048


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with 8 GiB free and no limits; returns how to write a file of its system."""
    for name in ("_MEMORY_FIGURES", "_OWN_GROUPS", "_GROUPS", "_OWN_PAGES"):
        monkeypatch.setattr(memory, name, tmp_path / name)
    (tmp_path / "_MEMORY_FIGURES").write_text(f"MemFree: 1 kB\nMemAvailable: {8 * 2**20} kB\n")

    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"{text}\n")

    return write


MIB = 2**20


def test_limit_of_a_container_counts(machine):
    machine("_OWN_GROUPS", "0::/")
    machine("_GROUPS/memory.max", 900 * MIB)
    machine("_GROUPS/memory.current", 300 * MIB)
    machine("_GROUPS/memory.stat", f"anon {150 * MIB}\ninactive_file {100 * MIB}\nslab 7")
    assert memory.available_bytes() == 700 * MIB  # file caches can be dropped
    with pytest.raises(ValueError, match=r"build_pyramid.nside=512.: .* 0.7 GiB are free"):
        build_pyramid(512)
    machine("_GROUPS/memory.max", "max")
    assert memory.available_bytes() == 8 * 2**30
    machine("_GROUPS/memory.high", 500 * MIB)  # beyond it a process is slowed down to a crawl
    assert memory.available_bytes() == 300 * MIB
    machine("_GROUPS/memory.high", 100 * MIB)
    assert memory.available_bytes() == 0


def test_limit_of_any_group_above_counts(machine):
    machine("_OWN_GROUPS", "0::/slurm/job_7/step_0")
    machine("_GROUPS/slurm/job_7/memory.max", 2048 * MIB)
    machine("_GROUPS/slurm/job_7/memory.current", 48 * MIB)
    machine("_GROUPS/slurm/job_7/step_0/memory.max", "max")
    machine("_GROUPS/slurm/job_7/step_0/memory.current", 40 * MIB)
    assert memory.available_bytes() == 2000 * MIB


@pytest.mark.parametrize("own", ["/docker/0a1b", "/"])
@pytest.mark.parametrize("place", ["", "docker/0a1b/"])
def test_limit_of_the_first_version_counts(machine, own, place):
    """A container sees its group under its path on the machine, or at the root."""
    machine("_OWN_GROUPS", f"12:cpuset:/\n5:memory:{own}\n3:cpu,cpuacct:/\n0::/")
    machine("_GROUPS/memory/memory.limit_in_bytes", 2**63 - 4096)  # its word for none
    machine("_GROUPS/memory/memory.usage_in_bytes", 2**33)
    machine(f"_GROUPS/memory/{place}memory.limit_in_bytes", 1000 * MIB)
    machine(f"_GROUPS/memory/{place}memory.usage_in_bytes", 400 * MIB)
    machine(f"_GROUPS/memory/{place}memory.stat", f"cache 9\ntotal_inactive_file {50 * MIB}")
    seen = own.startswith("/docker") or not place
    assert memory.available_bytes() == (650 * MIB if seen else 8 * 2**30)


def test_limit_of_the_process_counts(machine, monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (3 * 2**30, 2**62))
    assert memory.available_bytes() == 8 * 2**30  # how much it has taken is not known
    machine("_OWN_PAGES", f"{2**30 // resource.getpagesize()} 5 5 5 0 5 0")
    assert memory.available_bytes() == 2 * 2**30


def test_limit_of_a_container_counts_for_batches_on_a_cpu(machine):
    from jaxscat.minimization.devices import Devices

    machine("_OWN_GROUPS", "0::/")
    machine("_GROUPS/memory.max", 900 * MIB)
    machine("_GROUPS/memory.current", 300 * MIB)
    assert Devices().free_bytes() == 600 * MIB


def test_files_of_the_system_that_are_strange_are_passed_over(machine):
    machine("_OWN_GROUPS", "nonsense\n0::/../above\n7:memory")
    machine("_GROUPS/memory.max", "many")
    machine("_GROUPS/memory.current", "some")
    assert memory.available_bytes() == 8 * 2**30
