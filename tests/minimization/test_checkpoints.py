"""A synthesis goes on from its checkpoints as if it had never been interrupted."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest

from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.devices import Devices
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.synthesis.synthesize import synthesize_many

SEEDS = (0, 1, 2, 3, 4)
# Five seeds in three lanes: lanes are given to others, and in the end the batch is cut.
OPTIONS = {"max_steps": 20, "memory": 5, "chunk_steps": 4, "batch_size": 3}


@pytest.fixture(scope="module")
def whole(target, pyramid):
    return synthesize_many(target, pyramid, SEEDS, **OPTIONS)


def interrupted(target, pyramid, folder, chunks, seeds=SEEDS, every=4, **changes):
    """Run until so many chunks are done; what is on disk then is as after a kill."""
    seen = []

    def stop(progress):
        seen.append(progress)
        if len(seen) == chunks:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        synthesize_many(
            target,
            pyramid,
            seeds,
            **OPTIONS | changes,
            checkpoints=Checkpoints(folder, every_steps=every, every_minutes=None),
            callback=stop,
        )
    return folder


def resumed(target, pyramid, folder, seeds=SEEDS, **changes):
    checkpoints = Checkpoints(folder, every_steps=4, every_minutes=None)
    return synthesize_many(target, pyramid, seeds, **OPTIONS | changes, checkpoints=checkpoints)


def assert_same(found, expected):
    assert found.seeds == expected.seeds and found.status == expected.status
    for name in ("map", "loss", "losses", "evaluations", "steps"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("chunks", [1, 4, 6, 9])
def test_resumed_synthesis_is_the_uninterrupted_one_bit_for_bit(
    target, pyramid, whole, tmp_path, chunks
):
    folder = interrupted(target, pyramid, tmp_path / "kept", chunks)
    assert len(Checkpoints(folder).steps()) == min(chunks, 2)
    assert_same(resumed(target, pyramid, folder), whole)


@pytest.mark.parametrize(
    "limits",
    [
        {"max_evaluations": 11},
        {"stagnation": 0.9, "max_steps": 60},
        {"stagnation": 0.7, "max_evaluations": 30, "max_steps": 60},
    ],
    ids=str,
)
def test_further_limits_are_resumed_too(target, pyramid, tmp_path, limits):
    options = OPTIONS | limits
    whole = synthesize_many(target, pyramid, SEEDS, **options)
    assert set(whole.status) <= {"stagnated", "evaluation limit", "step limit"}
    for chunks in (2, 5):
        folder = interrupted(target, pyramid, tmp_path / str(chunks), chunks, **limits)
        assert_same(resumed(target, pyramid, folder, **limits), whole)


def test_checkpoints_that_are_not_due_are_not_written(target, pyramid, tmp_path):
    folder = interrupted(target, pyramid, tmp_path / "kept", 5, every=9)
    assert Checkpoints(folder).steps() == [9, 21]  # at the first looks after nine evaluations
    late = Checkpoints(tmp_path / "late", every_minutes=60)
    synthesize_many(target, pyramid, 1, **OPTIONS, checkpoints=late)
    assert late.steps() == []
    soon = Checkpoints(tmp_path / "soon", every_minutes=1e-9)
    synthesize_many(target, pyramid, 1, **OPTIONS, checkpoints=soon)
    assert soon.steps() == [17, 21]


def test_ctrl_c_keeps_the_state(target, pyramid, whole, tmp_path):
    checkpoints = Checkpoints(tmp_path / "kept")
    seen = []

    def interrupt(progress):
        seen.append(progress)
        if len(seen) == 3:
            raise KeyboardInterrupt

    part = synthesize_many(
        target, pyramid, SEEDS, **OPTIONS, checkpoints=checkpoints, callback=interrupt
    )
    assert part.status == ("interrupted",) * 3
    assert checkpoints.steps() == [13]
    assert_same(resumed(target, pyramid, tmp_path / "kept"), whole)


@pytest.mark.parametrize("chunk", [2, 5])
def test_a_signal_during_the_evaluations_keeps_the_state(
    target, pyramid, whole, tmp_path, monkeypatch, chunk
):
    """The former lanes are gone by then, and the new ones are not known yet."""
    advance, calls = Devices.advance, []

    def signalled(self, *operands):
        found = advance(self, *operands)
        calls.append(found)
        if len(calls) == chunk:
            os.kill(os.getpid(), signal.SIGINT)
        return found

    before = signal.signal(signal.SIGINT, late_interrupt)
    monkeypatch.setattr(Devices, "advance", signalled)
    try:
        part = synthesize_many(
            target, pyramid, SEEDS, **OPTIONS, checkpoints=Checkpoints(tmp_path / "kept")
        )
    finally:
        signal.signal(signal.SIGINT, before)
        monkeypatch.setattr(Devices, "advance", advance)
    assert "interrupted" in part.status
    # The first call is one evaluation, every other is four.
    assert Checkpoints(tmp_path / "kept").steps() == [1 + 4 * (chunk - 1)]
    assert_same(resumed(target, pyramid, tmp_path / "kept"), whole)


def late_interrupt(*_):
    """Interrupt when the results are waited for: a signal that comes then is heeded then."""

    def raise_once(frame, event, argument):
        if event == "call" and frame.f_code.co_name == "_recorded":
            sys.setprofile(None)
            raise KeyboardInterrupt

    sys.setprofile(raise_once)


def test_numbers_of_numpy_are_as_good(target, pyramid, whole, tmp_path):
    options = {name: np.int64(value) for name, value in OPTIONS.items()}
    checkpoints = Checkpoints(tmp_path / "kept", every_steps=np.int64(4), every_minutes=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = synthesize_many(target, pyramid, SEEDS, **options, checkpoints=checkpoints)
    assert_same(found, whole)
    assert checkpoints.steps() != []


def test_an_identity_that_cannot_be_written_is_refused_at_once(tmp_path):
    with pytest.raises(ValueError, match="identity: got what JSON cannot hold"):
        Checkpoints(tmp_path, identity={"map": np.zeros(3)})


def test_starts_that_were_given_belong_to_the_identity(target, pyramid, tmp_path):
    starts = np.random.default_rng(3).normal(size=(5, 192))
    options = OPTIONS | {"start": starts}
    checkpoints = Checkpoints(tmp_path, every_steps=1, every_minutes=None)
    synthesize_many(target, pyramid, SEEDS, **options, checkpoints=checkpoints)
    with pytest.raises(ValueError, match=r"got starts of seeds = .*, expected"):
        resumed(target, pyramid, tmp_path, start=starts + 1)


def test_a_checkpoint_that_cannot_be_read_now_is_not_damaged(
    target, pyramid, whole, tmp_path, monkeypatch
):
    folder = interrupted(target, pyramid, tmp_path / "kept", 4)
    kept = Checkpoints(folder).steps()

    def failing(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("numpy.load", failing)
        with pytest.raises(OSError, match="Too many open files"):
            resumed(target, pyramid, folder)
    assert Checkpoints(folder).steps() == kept
    assert_same(resumed(target, pyramid, folder), whole)


def file_of(folder, step):
    return folder / f"{step:09}.npz"


def truncate(path, keep):
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * keep))


@pytest.mark.parametrize("keep", [0, 0.5])
def test_a_truncated_checkpoint_gives_way_to_the_one_before(target, pyramid, whole, tmp_path, keep):
    folder = interrupted(target, pyramid, tmp_path / "kept", 4)
    before, last = Checkpoints(folder).steps()
    truncate(file_of(folder, last), keep)
    with pytest.warns(UserWarning, match=rf"checkpoint {last} in .* is damaged .* {before}$"):
        found = resumed(target, pyramid, folder)
    assert_same(found, whole)


def test_a_changed_checkpoint_is_noticed(target, pyramid, whole, tmp_path):
    folder = interrupted(target, pyramid, tmp_path / "kept", 4)
    path = file_of(folder, Checkpoints(folder).steps()[-1])
    with np.load(path) as file:
        arrays = dict(file)
    arrays["parameters"] = np.nextafter(arrays["parameters"], 9)
    np.savez(path.open("wb"), **arrays)
    with pytest.warns(UserWarning, match="has changed since it was saved"):
        assert_same(resumed(target, pyramid, folder), whole)


def test_damaged_checkpoints_only_are_an_error(target, pyramid, tmp_path):
    folder = interrupted(target, pyramid, tmp_path / "kept", 3)
    for step in Checkpoints(folder).steps():
        truncate(file_of(folder, step), 0.9)
    with pytest.raises(ValueError, match=r"^checkpoints in .*: got 2, all of them damaged"):
        resumed(target, pyramid, folder)


def test_a_checkpoint_of_something_else_is_refused_by_name(monkeypatch, target, pyramid, tmp_path):
    folder = interrupted(target, pyramid, tmp_path / "kept", 1)
    for changes, message in [
        ({"max_steps": 30}, "got max_steps = 20, expected 30"),
        ({"seeds": SEEDS[::-1]}, r"got seeds = \[0, 1, 2, 3, 4\], expected \[4, 3"),
        ({"batch_size": 2}, "got batch_size = 3, expected 2"),
        ({"stagnation": 0.1}, "got stagnation = None, expected 0.1"),
        ({"max_evaluations": 9}, "got max_evaluations = None, expected 9"),
    ]:
        with pytest.raises(ValueError, match=rf"^checkpoint in '{folder}': {message}"):
            resumed(target, pyramid, folder, **changes)
    other = build_pyramid(4, dtype="float64", geometry="foscat")
    with pytest.raises(ValueError, match=r"got pyramid = \{.*expected \{"):
        resumed(target, other, folder)
    named = Checkpoints(folder, identity={"data": "another map"})
    with pytest.raises(ValueError, match="got data = None, expected 'another map'"):
        synthesize_many(target, pyramid, SEEDS, **OPTIONS, checkpoints=named)
    monkeypatch.setattr("importlib.metadata.version", lambda _: "9.9")
    with pytest.raises(ValueError, match=r"got version = '.*', expected '9.9'"):
        resumed(target, pyramid, folder)


def test_coupled_maps_are_resumed_too(target, pyramid, tmp_path):
    options = {"max_steps": 9, "memory": 5, "chunk_steps": 4, "coupled": True}
    kept = Checkpoints(tmp_path / "kept", every_steps=4, every_minutes=None)
    expected = synthesize_many(target, pyramid, 2, **options, checkpoints=kept)
    file_of(tmp_path / "kept", kept.steps()[-1]).unlink()
    again = Checkpoints(tmp_path / "kept", every_steps=4, every_minutes=None)
    assert_same(synthesize_many(target, pyramid, 2, **options, checkpoints=again), expected)


def test_a_place_that_cannot_be_written_is_an_error_before_anything_is_compiled(
    monkeypatch, target, pyramid, tmp_path
):
    monkeypatch.setattr("jaxscat.minimization.lanes.begin", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file/kept"):
        resumed(target, pyramid, tmp_path / "file" / "kept")


FULL = """
    import resource, sys
    import numpy as np
    from jaxscat import Checkpoints, build_pyramid, make_target, synthesize_many

    pyramid = build_pyramid(1)
    target = make_target(np.arange(12.0), pyramid)
    kept = Checkpoints(sys.argv[1], every_steps=1, every_minutes=None)
    seen = []

    def fill(progress):
        seen.append(progress)
        if len(seen) == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (256, resource.RLIM_INFINITY))

    def run(checkpoints, callback=None):
        return synthesize_many(target, pyramid, 3, max_steps=9, chunk_steps=2,
                               checkpoints=checkpoints, callback=callback)

    try:
        run(kept, fill)
    except OSError as error:
        print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        print("after 3, 5:", kept.steps() == [3, 5])
        print("resumed:", (run(Checkpoints(sys.argv[1])).map == run(None).map).all())
"""


def test_a_full_disk_is_an_error_and_former_checkpoints_are_kept(tmp_path):
    """A limit on the size of files stands for the disk."""
    script = textwrap.dedent(FULL)
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "kept"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("checkpoint 7 could not be written to"), done.stdout
    assert "File too large); those before are as they were" in done.stdout
    assert done.stdout.endswith("after 3, 5: True\nresumed: True\n"), done.stdout


@pytest.mark.parametrize("options", [{"every_steps": 0}, {"every_minutes": -1.0}])
def test_intervals_are_positive(tmp_path, options):
    with pytest.raises(ValueError, match=r"^every_(steps|minutes): got"):
        Checkpoints(tmp_path, **options)
    with pytest.raises(ValueError, match="got None for both"):
        Checkpoints(tmp_path, every_minutes=None)
