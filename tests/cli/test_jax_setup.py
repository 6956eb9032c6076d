import os
import socket
import subprocess
import sys
import threading
import time

import jax
import pytest

from jaxscat.cli.jax_setup import reach_coordinator, read_cluster, require_devices


@pytest.mark.parametrize(
    "address",
    ["localhost", "localhost:", ":1234", "localhost:0", "localhost:65536", "localhost:x", "::1:80",
     "[::1]", "a b:80", "localhost:-1", "localhost:1 ", "http://localhost:80", "localhost:٣"],
)  # fmt: skip
@pytest.mark.parametrize("process", [0, 1])
def test_an_address_without_host_or_port_is_refused(address, process):
    with pytest.raises(ValueError, match="^--coordinator: got .*, expected HOST:PORT with a port"):
        read_cluster(False, address, 2, process)


def test_a_host_that_is_not_known_is_refused(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    with pytest.raises(ValueError, match="which cannot be used: Name or service not known$"):
        read_cluster(False, "nowhere:1234", 2, 1)


@pytest.mark.parametrize("host", ["", "127.0.0.1"])
def test_a_port_in_use_is_refused_by_the_process_that_serves(host):
    with socket.create_server((host, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match="which cannot be used: Address already in use$"):
            read_cluster(False, f"localhost:{port}", 2, 0)
        read_cluster(False, f"localhost:{port}", 2, 1)  # a port that listens is what it needs
    expected = {
        "coordinator_address": f"[::1]:{port}",
        "num_processes": 2,
        "process_id": 0,
    }
    assert read_cluster(False, f"[::1]:{port}", 2, 0) == expected  # and is free again


def free_port():
    with socket.create_server(("localhost", 0)) as server:
        return server.getsockname()[1]


def test_a_first_process_that_never_begins_is_one_error():
    cluster = {"coordinator_address": f"localhost:{free_port()}", "process_id": 1}
    begin = time.monotonic()
    with pytest.raises(ValueError, match=r"no process 0 listens at 'localhost:\d+' \(.*refused"):
        reach_coordinator(cluster, seconds=0.3)
    assert 0.3 <= time.monotonic() - begin < 10
    reach_coordinator(cluster | {"process_id": 0})
    reach_coordinator({})
    reach_coordinator(None)


def test_a_first_process_that_begins_late_is_waited_for():
    port, servers = free_port(), []
    late = threading.Timer(0.3, lambda: servers.append(socket.create_server(("localhost", port))))
    late.start()
    reach_coordinator({"coordinator_address": f"localhost:{port}", "process_id": 1}, seconds=60)
    late.join()
    servers[0].close()


@pytest.mark.parametrize("error", [AssertionError(), AttributeError("'NoneType' object has no")])
def test_devices_that_jax_does_not_have_are_named_by_who_asks_for_them(monkeypatch, error):
    def none():
        raise error

    monkeypatch.setattr(jax, "devices", none)
    for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME", "JAX_NUM_CPU_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="^devices: JAX has no such device here$"):
        require_devices()
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(ValueError, match="^JAX_PLATFORMS = 'cuda': JAX has no such device here$"):
        require_devices()
    with pytest.raises(ValueError, match="^run.platform = 'tpu': JAX has no such device here$"):
        require_devices("tpu")
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "0")
    with pytest.raises(ValueError, match="^JAX_PLATFORMS = 'cuda', JAX_NUM_CPU_DEVICES = '0': "):
        require_devices()


@pytest.mark.parametrize(
    ("optimized", "variable", "value"),
    [
        (False, "JAX_PLATFORMS", "cuda"),
        (True, "JAX_PLATFORMS", "cuda"),
        (False, "JAX_PLATFORMS", "nonsense"),
        (False, "JAX_ENABLE_X64", "maybe"),
    ],
)
def test_info_names_the_variable_that_jax_cannot_use(optimized, variable, value):
    options = ["-O"] if optimized else []
    done = subprocess.run(
        [sys.executable, *options, "-m", "jaxscat_command", "info"],
        capture_output=True,
        text=True,
        env=os.environ
        | {variable: value, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        | {"CUDA_VISIBLE_DEVICES": ""},  # also where there is a GPU
    )
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]
    assert line.startswith(f"error: {variable} = {value!r}: ") and "Traceback" not in done.stderr
