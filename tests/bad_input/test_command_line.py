"""Bad input of the command line: exit code 2, one line that says what to mend, nothing written."""

import re
import shlex

import jax
import pytest
from typer.testing import CliRunner

from jaxscat.cli.main import app

RUN, MEASURE = "run tiny.toml", "measure map.fits -o new.npz --scales 1"
DATASET = "or a dataset (cosmic-web, polarized-dust, lss)"

# Words of a command, and words of its message.
CASES = [
    # Commands and options.
    ("nothing", "No such command 'nothing'"),
    ("run", "Missing argument"),
    ("measure map.fits", "Missing option '--output'"),
    (f"{MEASURE} --no-such", "No such option: --no-such"),
    (f"{MEASURE} --nside four", "Invalid value for '--nside'"),
    (f"{MEASURE} --select time", "select: got 'time', expected a dimension and a place"),
    (
        f"{RUN} --synthesis.seeds",
        "--synthesis.seeds has no value; expected --synthesis.seeds",
    ),
    (
        f"{RUN} --synthesis 3",
        "--synthesis is not a setting",
    ),
    (f"{RUN} --synthesis.step 3", "--synthesis.step is not a setting; did you mean 'max_steps'?"),
    (f"{RUN} --no.such 1", "--no.such is not a setting; expected one of task, data"),
    (f"{RUN} --.= 1", "--. is not a setting"),
    (f"{RUN} stray", "unexpected 'stray'"),
    (f"{RUN} --synthesis.seeds {'[' * 3000}", "synthesis.seeds.0 = '[[["),
    (f"{RUN} --synthesis.max_steps {'9' * 5000}", "synthesis.max_steps = '999"),
    (f"{RUN} --process 1", "--coordinator, --processes, --process: expected all three"),
    (f"{RUN} --coordinator x --processes 2 --process 0", "--coordinator: got 'x', expected HOST:"),
    # Configs.
    ("run absent.toml", "config file 'absent.toml' does not exist"),
    ("run folder.toml", "config file 'folder.toml' is no file, expected one of TOML"),
    ("run latin.toml", "'latin.toml' is not valid TOML: 'utf-8' codec can't decode"),
    ("run null.toml", "'null.toml' is not valid TOML: Invalid statement"),
    ("run empty.toml", "empty.toml: data is missing"),
    ("run twice.toml", "not valid TOML: Cannot declare ('data',) twice"),
    ("run number.toml", "number.toml: data = 3: expected a table [data]"),
    ("run rows.toml", "data = [{'path': 'map.fits'}]: expected a table [data]"),
    ("run date.toml", "data.path = datetime.date(1979, 5, 27): expected a valid string"),
    ("run nan.toml", "synthesis.stagnation = nan: expected less than 1"),
    ("run nan.toml", "target.sigma_floor = nan: expected less than 1"),
    ("run infinite.toml", "checkpoints.every_minutes = inf: expected less than inf"),
    ("run digits.toml", "value has 5000 digits"),
    ("run hexadecimal.toml", "data.nside = a number of thousands of digits: expected a power"),
    ("run brackets.toml", "'brackets.toml' is not valid TOML: it is nested too deeply"),
    ("run braces.toml", "'braces.toml' is not valid TOML: it is nested too deeply"),
    ("run dots.toml", "'dots.toml' is not valid TOML: it is nested more than 8 deep"),
    ("run key.toml", r"data.a\nb is not a setting; expected one of dataset, path"),
    ("run long.toml", "data.path = ['xxx"),
    ("run wrong.toml", "synthesis.seeds.0 = -1: expected greater than or equal to 0; "),
    ("run wrong.toml", "; and 992 more of this kind"),
    ("run large.toml", "synthesis.memory = 100000000000: expected less than or equal to 10000"),
    (f"run denoise.toml --reconstruction.realizations 1{'0' * 30}", "equal to 100000"),
    ("run task.toml", "task.kind = 'invert': expected 'synthesis', "),
    ("run denoise.toml", "noise"),
    ("run channels.toml", "channels"),
    (f"{RUN} --run.name ../up", "run.name = '../up': expected match pattern"),
    (f"{RUN} --run.precision half", "run.precision = 'half': expected 'float32' or 'float64'"),
    (f"{RUN} --synthesis.seeds 1 1", "synthesis.seeds = [1, 1]: expected seeds that differ"),
    (f"{RUN} --synthesis.max_steps 1e3", "synthesis.max_steps = 1000.0: expected a valid integer"),
    (f"{RUN} --data.nside 3", "data.nside = 3: expected a power of two"),
    (f"{RUN} --data.nside 9{'0' * 30}", "000: expected a power of two"),
    # Maps and masks of a run.
    ("run null_path.toml", r"map 'a\x00.fits': there is no such file"),
    ("run absent_map.toml", "map 'absent.fits': there is no such file"),
    (f"{RUN} --data.path kept", "source: got 'kept', expected a file that ends in .npy, .fits"),
    (f"{RUN} --data.dataset cosmic", "cosmic-web"),
    (f"{RUN} --data.path folder.fits", "map 'folder.fits': there is no such file"),
    (f"{RUN} --data.path {'x' * 300}.fits", f"{'x' * 300}.fits': File name too long"),
    (
        f"{RUN} --data.path odd.npy --data.order RING",
        "'odd.npy': got 100 pixels, expected 12 n",
    ),
    (f"{RUN} --data.path nothing.fits --data.unseen mask", "UNSEEN (without data) in every pixel"),
    (f"{RUN} --data.path holes.fits", "got 9 of 192 pixels UNSEEN (without data), expected none"),
    (f"{RUN} --data.nside 8", "nside: got 8, expected at most 4 as map 'map.fits' has"),
    (f"{RUN} --data.hdu 7", "hdu: got 7, expected one of the tables of map 'map.fits'"),
    (f"{RUN} --data.unit furlong", "unit: got 'furlong', but map 'map.fits' does not state"),
    (f"{RUN} --pyramid.scales 9", "scales: got 9, expected 1 to 3 with kernel_size 3 at nside 4"),
    (f"{RUN} --pyramid.orientations 1000000000", "its tables take"),
    (f"{RUN} --target.mask zero.npy", "mask 'zero.npy': got zero in every pixel, expected"),
    (f"{RUN} --target.mask negative.fits", "mask 'negative.fits': got 185 negative weights"),
    (
        f"{RUN} --target.mask coarse.fits",
        "target.mask: got 'coarse.fits' of 48 pixels, expected",
    ),
    (f"{RUN} --target.mask absent.fits", "mask 'absent.fits': there is no such file"),
    (f"{RUN} --target.coarsest_nside 8", "coarsest_nside: got 8, expected at most the pyramid's 4"),
    (f"{RUN} --target.second coarse.fits", "expected at most 2 as map 'coarse.fits' has"),
    (f"{RUN} --synthesis.first_nside 4", "synthesis.first_nside: got 4, expected less than"),
    # Folders of runs.
    (f"{RUN} --output kept", "output folder 'kept' exists; expected a new one (--output)"),
    (f"{RUN} --output kept --overwrite", "'kept' is not the folder of a former run; it is not rep"),
    (f"{RUN} --output map.fits/x", "map.fits/x.unfinished': "),
    (f"{RUN} --output /proc/x", "'/proc/x.unfinished': "),
    (f"{RUN} --output {'x' * 300}", "xxx': File name too long"),
    (f"{RUN} --resume", "nothing to resume: neither "),
    (f"{RUN} --resume --overwrite", "--resume and --overwrite: expected one of them"),
    (f"{RUN} --resume --output damaged", "damaged/results.json' is damaged: "),
    ("validate absent", "config file 'absent/config.toml' does not exist"),
    ("validate map.fits", "config file 'map.fits/config.toml' does not exist"),
    ("validate damaged", "'damaged/config.toml' is not valid TOML"),
    ("validate unnamed", "unnamed"),
    # Measurements.
    ("measure absent.fits -o new.npz", "map 'absent.fits': there is no such file"),
    ("measure '' -o new.npz", DATASET),
    ("measure cosmic -o new.npz", DATASET),
    ("measure one.npz -o new.npz", "source: got 'one.npz', expected a file that ends in .npy"),
    ("measure constant.npy --order RING -o new.npz", "got the same value 1 in every pixel"),
    ("measure complex.npy --order RING -o new.npz", "'complex.npy': got complex values"),
    ("measure text.npy --order RING -o new.npz", "'text.npy': got unsuitable values (<U1)"),
    ("measure infinite.npy --order RING -o new.npz", "'infinite.npy': got 1 of 192 pixels infin"),
    ("measure words.fits -o new.npz", "'words.fits': cannot be read, expected a whole HEALPix"),
    ("measure empty.fits -o new.npz", "map 'empty.fits': the file is empty"),
    ("measure words.nc -o new.npz", "'words.nc': cannot be read, expected a zarr store or netCDF"),
    (f"{MEASURE} --field Q", "field: got 'Q', expected a name or a number from 0 of the 1 columns"),
    (f"{MEASURE} --nside 3", "nside: got 3, expected a power of two"),
    (f"{MEASURE} --orientations 0", "orientations: got 0, expected an integer of at least 1"),
    (f"{MEASURE} --zero-hits bad", "zero_hits: got 'bad', but table 1 'MAPS' of map 'map.fits'"),
    (f"{MEASURE} --mask masks.npy", "mask: got 'masks.npy' of 48 pixels, expected 192"),
    (f"{MEASURE} --mask map.fits --mask-threshold nan", "mask_threshold: got nan, expected finite"),
    (f"{MEASURE} --mask words.fits", "mask 'words.fits': cannot be read, expected a whole HEALPix"),
    ("measure map.fits -o no/new.npz", "output: got 'no/new.npz', but there is no folder 'no'"),
    ("measure map.fits -o pipe.npz", "output: got 'pipe.npz', which is a named pipe, expected"),
    ("measure map.fits -o folder.npz", "output: got 'folder.npz', which is a folder, expected"),
    (
        "measure map.fits -o one.npz",
        "output: 'one.npz' exists, expected a new file (or --overwrite)",
    ),
    ("measure map.fits -o map.fits", "output: got 'map.fits', expected another file"),
    (f"measure map.fits -o {'x' * 300}.npz", "xxx.npz': File name too long"),
    (f"{MEASURE} --figure new.doc", "figure: got 'new.doc', expected a name that ends in .png"),
    # Coefficients.
    ("compare one.npz absent.npz", "path: got absent.npz, which is no file, expected a scatter"),
    ("compare one.npz folder.npz", "path: got folder.npz, which is no file, expected a scatter"),
    ("compare one.npz pipe.npz", "path: got pipe.npz, which is no file, expected a scattering"),
    ("compare one.npz empty.npz", "(it is no .npz archive, or only the beginning of one)"),
    ("compare words.npz one.npz", "(it is no .npz archive, or only the beginning of one)"),
    ("compare one.npz map.npy", "(it is no .npz archive, or only the beginning of one)"),
    ("compare one.npz plain.npz", "path: got plain.npz, which is no whole scattering covariance"),
    ("compare one.npz changed.npz", "path: got changed.npz, "),
    (
        "compare one.npz pyramid.npz",
        "pyramid.npz, a pyramid file, expected a scattering covar",
    ),
    ("compare one.npz other.npz", "coefficients: got orientations 2 and 3, expected the same"),
    (
        "compare one.npz one.npz --figure one.npz",
        "figure: got 'one.npz', expected a name that",
    ),
    # Each at other places of the file.
    *((f"compare one.npz cut{percent}.npz", "cut") for percent in (1, 30, 60, 90, 99)),
    *((f"{RUN} --data.path cut{percent}.fits", "map 'cut") for percent in (1, 30, 60, 90, 99)),
    *((f"{RUN} --data.path cut{percent}.nc", "map 'cut") for percent in (1, 30, 60, 90, 99)),
]


@pytest.fixture(autouse=True)
def restore_precision():
    before = jax.config.jax_enable_x64
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.mark.parametrize(("words", "message"), CASES, ids=[words[:60] for words, _ in CASES])
def test_one_line_and_nothing_written(here, digest, words, message):
    before = digest(here)
    result = CliRunner().invoke(app, shlex.split(words))
    shown = result.stderr.splitlines()
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert [line for line in shown if line.startswith("error: ")] == shown[-1:]
    assert message in shown[-1]
    assert len(shown[-1]) < 2000 and shown[-1].isprintable()
    assert not re.search(r"Traceback|\[Errno", result.output)
    assert digest(here) == before


def test_a_config_that_begins_with_a_mark_of_its_encoding_is_read(here):
    result = CliRunner().invoke(app, ["run", "mark.toml", "--data.nside", "8"])
    assert "nside: got 8, expected at most 4" in result.stderr


def test_the_matrix_is_large():
    assert len({words for words, _ in CASES}) >= 60
