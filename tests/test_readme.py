"""What the README tells people to type is what is tested, and works."""

import ast
import re
from pathlib import Path

import healpy
import numpy as np

import jaxscat
from jaxscat.datasets.polarized_dust import polarized_dust_maps
from jaxscat.io.sky import load_sky

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_the_two_commands_are_those_that_the_ci_takes_out_of_the_readme():
    pattern = re.search(r"grep -E '(.*?)' README\.md", CI)
    assert pattern is not None
    commands = [line for line in README.splitlines() if re.search(pattern[1], line)]
    assert commands == [
        "pip install . && jaxscat run configs/quickstart.toml",
        'pip install ".[test]" && pytest',
    ]
    assert [block.strip() for block in blocks("bash")[:2]] == commands
    assert '"${commands[0]}"' in CI and CI.rstrip().endswith('"${commands[1]}"')


def test_the_example_of_a_map_of_healpy_runs(monkeypatch, tmp_path):
    example = blocks("python")[0]
    monkeypatch.chdir(tmp_path)
    original = small_web()
    healpy.write_map("my_map.fits", original, dtype=np.float64)  # in RING order, as by default
    monkeypatch.setattr(jaxscat, "synthesize_many", fewer_steps(jaxscat.synthesize_many, 5))
    names = {}
    exec(compile(example.replace("16", "8"), "README.md", "exec"), names)
    np.testing.assert_array_equal(names["original"], healpy.reorder(original, r2n=True))
    new = healpy.read_map("new.fits", field=None, nest=True)
    assert new.shape == (4, 768)
    np.testing.assert_array_equal(new, np.float32(names["new"].map))


def small_web():
    return healpy.reorder(jaxscat.load_map("cosmic-web", 8), n2r=True)


def test_python_example_runs(monkeypatch, capsys):
    example = blocks("python")[1]
    # The same lines on a smaller map and with fewer steps.
    for name in ("synthesize", "synthesize_many"):
        monkeypatch.setattr(jaxscat, name, fewer_steps(getattr(jaxscat, name)))
    exec(compile(example.replace("16", "4"), "README.md", "exec"), {})
    one, many = capsys.readouterr().out.splitlines()
    assert many.startswith("(4, 192) ('step limit', ")
    status, loss, peaks = re.fullmatch(r"(.+) (\S+) (\{.+\})", one).groups()
    assert status in ("step limit", "converged", "no progress")
    assert float(loss) >= 0.0
    columns = {"start", "gaussian", "gaussian_std", "filtered", "filtered_std", "synthesized"}
    columns |= {"tolerance", "worst_threshold", "worst_difference"}
    assert set(ast.literal_eval(peaks)) == columns


def test_examples_of_reconstructions_run(capsys):
    example = blocks("python")[2]
    exec(compile(example, "README.md", "exec"), {})
    denoised, filled, separated = capsys.readouterr().out.splitlines()
    status, ours, wiener = re.fullmatch(r"(.+) (\S+) (\S+)", denoised).groups()
    assert status in ("converged", "start accepted") and float(ours) < float(wiener) < 1
    assert filled == "(2, 3072) ('renewals done', 'renewals done')"
    status, ours = re.fullmatch(r"(.+) (\S+)", separated).groups()
    assert status in ("converged", "start accepted") and float(ours) < 0.4


def test_the_example_of_polarized_maps_runs(monkeypatch, capsys, tmp_path):
    (example,) = blocks("python")[3:]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jaxscat, "synthesize_fields", fewer_steps(jaxscat.synthesize_fields, 3))
    # The same lines on a smaller map, of which the package computes a smaller sky.
    monkeypatch.setattr(jaxscat, "load_sky", small_sky)
    exec(compile(example.replace("16", "8"), "README.md", "exec"), {})
    measured, made = capsys.readouterr().out.splitlines()
    assert measured.startswith("('TT', 'EE', 'BB', 'TE', 'TB', 'EB') ")
    assert made == "('step limit', 'step limit') (2, 768)"
    assert set(load_sky("new.fits").teb()) == {"T", "E", "B"}


def small_sky(name, nside):
    maps = dict(zip("IQU", polarized_dust_maps(nside), strict=True))
    return jaxscat.Sky(maps, np.ones(12 * nside**2), dict.fromkeys(maps), name)


def fewer_steps(synthesize, steps=20):
    return lambda *arguments, **options: synthesize(*arguments, **options | {"max_steps": steps})


def test_every_file_that_the_readme_links_is_there():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    missing = [link for link in links if not (ROOT / link).exists()]
    assert missing == []
