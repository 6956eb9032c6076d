"""Signals are noted when they come, and end a command where it can end."""

import os
import signal
import subprocess
import sys
import time
import weakref

import pytest

from jaxscat.cli.interrupts import Interrupts
from jaxscat.progress import Observer

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def interrupts():
    """Listens, until the test ends."""
    former = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    woken = signal.set_wakeup_fd(-1)
    made = Interrupts()
    made.listen()
    yield made
    signal.set_wakeup_fd(woken)
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("sent", SIGNALS)
def test_a_signal_raises_where_it_is_looked_for_and_once(interrupts, sent):
    interrupts.look()
    signal.raise_signal(sent)
    assert interrupts.came
    with pytest.raises(KeyboardInterrupt):
        interrupts.look()
    # Closing a terminal sends several, while the maps so far are being written.
    signal.raise_signal(signal.SIGHUP)
    interrupts.look()


def test_a_signal_while_others_are_waited_for_raises_at_once(interrupts):
    with pytest.raises(KeyboardInterrupt), interrupts.at_once():
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("it went on")
    interrupts.look()
    interrupts._pending = True
    with pytest.raises(KeyboardInterrupt), interrupts.at_once():
        pytest.fail("it was not looked for at the beginning")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_python_swallows_is_not_lost(interrupts):
    """What a callback raises goes nowhere: here of a weak reference, in JAX of the collector."""

    class Thing:
        pass

    thing = Thing()
    reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
    seen = []
    with pytest.raises(KeyboardInterrupt), interrupts.at_once():
        del thing
        seen.append(reference())
    assert seen == [None]  # it did go on


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_signals_that_the_caller_ignores_are_ignored(interrupts, number):
    signal.signal(number, signal.SIG_IGN)  # as nohup and a shell's background jobs have it
    interrupts.listen()
    signal.raise_signal(number)
    interrupts.look()
    assert not interrupts.came


class Told(Observer):
    def __init__(self):
        self.events = []

    def stage(self, name):
        self.events.append(name)

    def building(self, done, total):
        self.events.append(done)

    def step(self, progress):
        self.events.append(progress)


def test_an_observer_looks_at_every_event(interrupts):
    told = Told()
    observer = interrupts.watched(told)
    events = [
        lambda: observer.building(1, 2),
        lambda: observer.step(3),
        lambda: observer.stage("b"),
    ]
    observer.stage("a")
    for event in events:
        event()
        interrupts.came, interrupts._pending = True, True
        with pytest.raises(KeyboardInterrupt):
            event()
    assert told.events == ["a", 1, 1, 3, 3, "b"]


def test_maps_that_are_made_are_written_whatever_comes(interrupts):
    observer = interrupts.watched(Told())
    observer.stage("synthesizing seed 1")
    observer.step(1)
    signal.raise_signal(signal.SIGTERM)
    for name in ("waiting for the other processes", "validating", "writing"):
        observer.stage(name)
        observer.building(1, 2)
    with pytest.raises(KeyboardInterrupt):  # the command says so at its end
        interrupts.look()


WAITING = """
import time
from jaxscat.cli.interrupts import interrupts
interrupts.listen()
print("ready", flush=True)
time.sleep(100)
"""


def test_a_command_that_goes_on_says_so_and_ends_at_a_second_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    signal.signal(signal.SIGINT, before)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)  # some programs pass a signal on twice
    assert process.stderr.readline() == b"\n"
    assert b"interrupted; ends when what is being computed is done" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130


COMMAND = """
import sys, time
class Slow:
    def find_spec(self, name, path, target=None):
        if name == "jaxscat":
            print("importing", flush=True)
            time.sleep(100)
sys.meta_path.insert(0, Slow())
import jaxscat_command
jaxscat_command.main()
"""


@pytest.mark.parametrize("sent", SIGNALS)
def test_a_signal_before_the_package_is_imported_ends_the_command(sent):
    former = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    for number, handler in former.items():
        signal.signal(number, handler)
    assert process.stdout.readline() == b"importing\n"
    process.send_signal(sent)
    assert process.wait(timeout=30) == 130
    assert process.stderr.read() == b"interrupted; nothing is written\n"
