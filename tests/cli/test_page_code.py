"""What the pages of docs/ tell people to type runs as it stands there, only smaller."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import healpy
import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import jaxscat
from jaxscat.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "start.md", *sorted((ROOT / "docs" / "how-to").glob("*.md"))]
NSIDE = 8
# All that is changed: a lower resolution, fewer steps and fewer maps.
SMALLER = {
    r"\bnside=32\b": f"nside={NSIDE}",
    r"\bbuild_pyramid\(32\b": f"build_pyramid({NSIDE}",
    r"--(data\.)?nside 32\b": rf"--\g<1>nside {NSIDE}",
    r"\bmax_steps=\d+\b": "max_steps=3",
    r"\bseeds=[48]\b": "seeds=2",
}
# Commands of configs whose maps are larger, and which have no limit in the command itself.
ADDED = {
    "run": ["--data.nside", str(NSIDE)],
    "synthesis": ["--synthesis.max_steps", "3"],
}
# What blocks of a page print, from top to bottom; of a page that is not here they print nothing.
PRINTED = {
    "denoise": r"(converged|start accepted|renewal limit) .+(\n[\w -]+ \d\.\d+)+\n\(2, 768\) .+",
    "fill-gaps": r"\('renewals done', 'renewals done'\)\nTrue",
    "from-foscat": r"[\d.e+-]+",
    "gpu-and-tpu": r"cpu \[CpuDevice.*\]\n\{CpuDevice\(id=0\)\}",
    "heavy-tails": r"[\d.e+-]+ [\d.e+-]+",
    "jax-pipeline": r"[\d.e+-]+ \(768,\)\n\(4, 4, 4\)",
    "many-seeds": r"\(2, 768\) \('step limit', 'step limit'\)\n[\d.e+-]+",
    "masks": r"0\.[89]\d*",
    "measure": r"True\n0\.[89]\d*\n\['S0', 'S1', 'S2', 'S3', 'S4'\]",
    "own-losses": r"\{'region': .+, 'scattering': .+\}\nTrue",
    "polarization": r"\('step limit', 'step limit'\) \(2, 768\)",
    "separate": r"[\w ]+ \d\.\d+",
    "start": r"step limit [\d.e+-]+ [\d.e+-]+",
}


def blocks(page):
    """(language, code, why it is not run here, or nothing) of every block of a page."""
    text = page.read_text(encoding="utf-8")
    pattern = r"(?:<!-- (not run: .+?|run by \.ci/run) -->\n)?^```(bash|python)\n(.*?)^```$"
    for why, language, code in re.findall(pattern, text, flags=re.MULTILINE | re.DOTALL):
        yield language, code, why


@pytest.fixture
def workspace(tmp_path, monkeypatch, few_controls):
    """The files that pages name, in the working folder; JAX as users have it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    rng = np.random.default_rng(0)
    truth = np.exp(healpy.smoothing(rng.normal(size=12 * NSIDE**2), fwhm=0.3) * 5)
    noise = 0.3 * rng.normal(size=(2, truth.size))
    colatitude = healpy.pix2ang(NSIDE, np.arange(truth.size))[0]
    hole = np.where(colatitude < 0.6, healpy.UNSEEN, truth)
    contaminant = healpy.smoothing(rng.normal(size=truth.size), fwhm=1.0)
    maps = {
        "my_map": truth,
        "positive": truth,
        "sky": hole,
        "my_mask": (hole > 0).astype(float),
        "first": truth + noise[0],
        "second": truth + noise[1],
        "data": truth + noise.mean(0),
        "truth": truth,
        "noisy": truth + noise[0],
        "holes": np.where(hole > 0, truth + noise[0], hole),
        "low": truth + contaminant + noise[0],
        "high": 2 * truth + contaminant + noise[1],
    }
    for name, map in maps.items():
        healpy.write_map(f"{name}.fits", map, column_units="mK", dtype=np.float64)
    power = 1.0 / (1.0 + np.arange(3 * NSIDE)) ** 2
    np.random.seed(0)  # of healpy's draws
    stokes = healpy.synfast([power, power, power, 0.3 * power], NSIDE, new=True)
    jaxscat.save_maps(
        "planck.fits",
        {name: healpy.reorder(map, r2n=True) for name, map in zip("IQU", stokes, strict=True)},
        polarization="COSMO",
    )
    x64 = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", False)
    yield tmp_path
    jax.config.update("jax_enable_x64", x64)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_of_the_page_runs(page, workspace, no_figures):
    shown, namespace, ran = io.StringIO(), {}, 0
    with no_figures(), contextlib.redirect_stdout(shown):
        for language, code, why in blocks(page):
            if why:
                continue
            for pattern, smaller in SMALLER.items():
                code = re.sub(pattern, smaller, code)
            if language == "python":
                exec(compile(code, page.name, "exec"), namespace)
            else:
                ran += sum(map(type_in, commands(code)))
    assert ran or namespace
    assert re.fullmatch(PRINTED.get(page.stem, ""), shown.getvalue().strip(), flags=re.DOTALL)
    for folder in workspace.glob("runs/*"):
        assert (folder / "report.html").is_file()


def commands(code):
    """The commands of a block, in words."""
    for line in code.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def type_in(words):
    """Run one command in this process; return whether it is one of ours."""
    if words == ["pip", "install", "."]:
        return False
    program, command, *rest = words
    assert program == "jaxscat", words
    if command == "run":
        rest = [*rest, *(ADDED["run"] if "32" not in rest and "8" not in rest else [])]
        if not re.search("denoise|inpaint|separate", " ".join(rest)):
            rest += ADDED["synthesis"]
    done = CliRunner().invoke(app, [command, *rest])
    assert done.exit_code == 0, (words, done.output)
    return True


def test_every_page_shows_code_and_blocks_that_are_not_run_say_why():
    for page in PAGES:
        found = list(blocks(page))
        assert any(not why for *_, why in found), page.name
        fences = re.findall(r"^```(\w*)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert set(fences) <= {"", "bash", "python"}
        assert len(fences) == 2 * len(found)


def test_what_the_ci_runs_is_in_its_script():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    loop = re.search(r"for task in ([\w ]+); do\n *jaxscat run \"configs/\$task\.toml\"", script)
    assert loop is not None
    run_there = {f"configs/{task}.toml" for task in loop[1].split()}
    run_there |= set(re.findall(r"jaxscat run (configs/\w+\.toml)", script))
    named = [
        words[2]
        for page in PAGES
        for _, code, why in blocks(page)
        if why.startswith("run by")
        for words in commands(code)
    ]
    assert named and set(named) <= run_there


def test_how_tos_are_short():
    for page in PAGES[1:]:
        assert len(page.read_text(encoding="utf-8").splitlines()) <= 80, page.name


def test_names_of_foscat_are_those_of_the_installed_one():
    scat_cov = pytest.importorskip("foscat.scat_cov", reason="foscat is not installed")
    from foscat import Synthesis

    owners = {
        "op": scat_cov.funct,
        "s": scat_cov.scat_cov,
        "sc": scat_cov,
        "synthe": Synthesis,
    }
    text = (ROOT / "docs" / "how-to" / "from-foscat.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    calls = [call for row in rows for call in re.findall(r"\b(op|s|sc|synthe)\.(\w+)\(", row)]
    assert len(rows) > 20 and len(calls) > len(rows)
    assert [call for call in calls if not hasattr(owners[call[0]], call[1])] == []
