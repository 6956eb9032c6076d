"""Named maps: found locally, downloaded with a checksum, or refused with what to do."""

import dataclasses
import hashlib
import http.server
import os
import threading

import numpy as np
import pytest

from jaxscat.datasets import registry as datasets
from jaxscat.datasets.download_bar import DownloadBar
from jaxscat.datasets.registry import (
    DatasetError,
    dataset_names,
    dataset_path,
    describe,
    find_dataset,
    load_dataset,
)
from jaxscat.io.maps import load_map

LSS = find_dataset("lss")


@pytest.fixture
def small_lss(monkeypatch, tmp_path):
    """Stand a small map in for the LSS map: its bytes, an empty cache, and no JAXSCAT_DATA."""
    values = np.random.default_rng(4).standard_normal(768).astype(np.float32)
    served = tmp_path / "served"
    served.mkdir()
    np.save(served / LSS.file, values)
    digest = hashlib.sha256((served / LSS.file).read_bytes()).hexdigest()
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.delenv("JAXSCAT_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def register(url):
        entry = dataclasses.replace(LSS, nside=8, url=url, sha256=digest)
        monkeypatch.setitem(datasets._DATASETS, "lss", entry)
        return served, values

    return register


@pytest.fixture
def server(tmp_path):
    """Serve the folder `served` on this machine; yields the address and the requests seen."""
    seen = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path / "served"))

        def log_message(self, format, *arguments):
            seen.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}", seen
        running.shutdown()
        thread.join()


def test_names_and_the_real_entry():
    assert dataset_names() == ("cosmic-web", "polarized-dust", "lss")
    assert LSS.url == (
        "https://raw.githubusercontent.com/jmdelouis/FOSCAT_DEMO/main/data/LSS_map_nside128.npy"
    )
    assert LSS.sha256 == "eed2d821be68de0317e0c0c8b8d15c4e5eeb9b960c70e27d88672fb40162bddd"


def test_unknown_name_is_refused():
    for call in (find_dataset, dataset_path, load_dataset):
        with pytest.raises(
            ValueError, match=r"dataset: got 'cmb', expected one of cosmic-web, polarized-dust, lss"
        ):
            call("cmb")


def test_cosmic_web_is_part_of_the_package(monkeypatch):
    monkeypatch.setenv("JAXSCAT_DATA", "/nowhere")
    assert dataset_path("cosmic-web") is None
    first = load_dataset("cosmic-web")
    assert first.shape == (12 * 64**2,)
    first[:] = 0  # a caller's change must not reach the next one
    assert load_dataset("cosmic-web").std() == pytest.approx(1)
    assert load_map("cosmic-web", 16).shape == (3072,)
    assert row("cosmic-web").location == "part of jaxscat"


def test_data_folder_comes_first(small_lss, monkeypatch):
    served, values = small_lss("http://127.0.0.1:9/never-asked.npy")
    monkeypatch.setenv("JAXSCAT_DATA", str(served))
    assert dataset_path("lss") == served / LSS.file
    loaded = load_map("lss")
    assert loaded.dtype == np.float64
    np.testing.assert_array_equal(loaded, values)


def test_changed_file_in_the_data_folder_is_refused(small_lss, monkeypatch):
    served, values = small_lss("http://127.0.0.1:9/never-asked.npy")
    np.save(served / LSS.file, values + 1)
    monkeypatch.setenv("JAXSCAT_DATA", str(served))
    digest = hashlib.sha256((served / LSS.file).read_bytes()).hexdigest()
    with pytest.raises(DatasetError, match=f"JAXSCAT_DATA: .* has sha256 {digest}, expected "):
        load_dataset("lss")
    assert not row("lss").available
    assert "wrong checksum" in row("lss").location


def test_data_folder_that_is_none_is_refused(small_lss, monkeypatch):
    small_lss("http://127.0.0.1:9/never-asked.npy")
    monkeypatch.setenv("JAXSCAT_DATA", "/no/such/folder")
    with pytest.raises(
        DatasetError, match="JAXSCAT_DATA: got '/no/such/folder', expected a folder"
    ):
        load_dataset("lss")


def test_download_once_with_a_bar(small_lss, server, monkeypatch, tmp_path, capfd):
    address, seen = server
    _, values = small_lss(f"{address}/{LSS.file}")
    monkeypatch.setenv("JAXSCAT_DATA", str(tmp_path))  # a folder without the file
    assert not row("lss").available
    np.testing.assert_array_equal(load_dataset("lss"), values)
    assert "LSS_map_nside128.npy" in capfd.readouterr().err
    assert row("lss").available
    assert row("lss").location == str(tmp_path / "cache" / "jaxscat" / LSS.file)
    np.testing.assert_array_equal(load_dataset("lss"), values)
    assert seen == [f"/{LSS.file}"]


def test_download_with_another_checksum_is_refused(small_lss, server, tmp_path):
    address, _ = server
    served, values = small_lss(f"{address}/{LSS.file}")
    np.save(served / LSS.file, values + 1)
    with pytest.raises(DatasetError, match="the download failed .*hash.*does not match"):
        load_dataset("lss")
    assert not any(path.is_file() for path in (tmp_path / "cache").rglob("*"))


def test_missing_address_is_refused(small_lss, server):
    address, _ = server
    small_lss(f"{address}/gone.npy")
    with pytest.raises(DatasetError, match="the download failed .*404"):
        load_dataset("lss")


def test_offline_says_what_to_do(small_lss):
    url = "http://127.0.0.1:9/LSS_map_nside128.npy"
    small_lss(url)
    with pytest.raises(ValueError, match="no connection to 127.0.0.1:9") as caught:
        load_map("lss")
    message = str(caught.value)
    for part in (url, LSS.file, find_dataset("lss").sha256, "set JAXSCAT_DATA to that folder"):
        assert part in message
    assert "\n" not in message


def row(name):
    return next(line for line in describe() if line.name == name)


def test_describe_lists_every_dataset(small_lss):
    small_lss("http://127.0.0.1:9/never-asked.npy")
    assert tuple(line.name for line in describe()) == dataset_names()
    web, dust, lss = describe()
    assert (web.nside, web.available, web.licence) == (64, True, "BSD-3-Clause")
    assert (dust.nside, dust.available, dust.location) == (64, True, "made on demand")
    assert (lss.nside, lss.available, lss.location) == (8, False, "downloaded on first use")
    assert "FOSCAT_DEMO" in lss.source
    assert "GPL-3" in lss.licence


def test_download_bar_without_a_length(capfd):
    with DownloadBar("map.npy") as bar:
        assert capfd.readouterr().err == ""  # nothing is drawn before the server answers
        bar.total = 0
        assert bar.total is None
        bar.update(1024)
        bar.reset()
        bar.close()
    assert "map.npy" in capfd.readouterr().err


def test_real_lss_map():
    folder = os.environ.get("JAXSCAT_DATA", "")
    if not os.path.isfile(os.path.join(folder, LSS.file)):
        pytest.skip(f"{LSS.file} is not in $JAXSCAT_DATA")
    values = load_map("lss")
    assert values.shape == (12 * 128**2,)
    assert values.std() == pytest.approx(1, abs=1e-4)
    assert row("lss").available


@pytest.mark.parametrize("cache", ["raises", "~/.cache/jaxscat"])
def test_without_a_home_folder_the_list_stands_and_a_download_is_refused(
    small_lss, monkeypatch, tmp_path, cache
):
    served, values = small_lss("http://127.0.0.1:9/never")

    def os_cache(project):
        if cache == "raises":
            raise RuntimeError("Could not determine home directory.")
        return cache  # as some versions of platformdirs

    monkeypatch.setattr("pooch.os_cache", os_cache)
    monkeypatch.chdir(tmp_path)
    assert row("lss").location == "downloaded on first use"
    with pytest.raises(DatasetError, match="'lss': there is no home folder .* JAXSCAT_DATA"):
        load_dataset("lss")
    monkeypatch.setenv("JAXSCAT_DATA", str(served))
    np.testing.assert_array_equal(load_dataset("lss"), values)
    assert not (tmp_path / "~").exists()


def test_a_cache_that_cannot_be_searched_is_no_cache(small_lss, monkeypatch):
    small_lss("http://127.0.0.1:9/never")

    def refused(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.is_file", refused)
    assert row("lss").location == "downloaded on first use"
