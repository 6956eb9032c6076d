import io

from rich.console import Console

from jaxscat.cli.polarization_tables import polarization_tables

BINS = [{"l_min": 2, "l_max": 8}, {"l_min": 9, "l_max": 16}, {"l_min": 17, "l_max": 23}]


def coherence(*errors, free=()):
    names = ["S1", "S2", "S3", "S4"] if len(errors) == 4 else ["S1", "S2", "S3", "S3P", "S4"]
    return [
        {"name": name, "mean": error, "gaussian": 0.5, "imposed": name not in free}
        | {"compared": "coefficients"}
        for name, error in zip(names, errors, strict=True)
    ]


def field(copies, ratio, *errors):
    tests = [{"l_min": 1, "l_max": 3, "mean": 0.9, "by_chance": 0.3, "copied": None}]
    for mean, copied in copies:
        tests.append({"l_min": 4, "l_max": 16, "mean": mean, "by_chance": 0.04, "copied": copied})
    return {
        "copies": tests,
        "power": [bin | {"mean": one} for bin, one in zip(BINS, (3, ratio, 9), strict=True)],
        "coherence": coherence(*errors),
    }


RESULTS = {
    "data": "dust",
    "nside": 8,
    "unit": "MJy/sr",
    "lmax": 16,
    "fields": {
        "T": field([(0.02, False), (-0.3, True)], 0.98, 0.001, 0.002, 0.0304, 0.04),
        "B": field([], 1.1, 0.1, 0.2, None, 0.4),
    },
    "pairs": {
        "TB": {
            "correlation": [bin | {"mean": 0.1, "original": 0.35} for bin in BINS],
            "coherence": coherence(0.01, 0.02, 0.03, 0.05, 0.04, free=("S1", "S2", "S3P")),
        }
    },
    "seeds": [
        {
            "seed": 3,
            "status": "converged",
            "nsteps": 12,
            "evaluations": 14,
            "start_loss": 5.0,
            "final_loss": 0.5,
            "compile_seconds": 1.0,
            "run_seconds": 2.0,
        }
    ],
}


def rows(table):
    columns = [list(column.cells) for column in table.columns]
    return [list(cells) for cells in zip(*columns, strict=True)]


def test_fields_have_power_and_the_nearest_to_a_copy():
    fields, _, _ = polarization_tables(RESULTS)
    assert fields.title == "dust, nside 8, in MJy/sr, seed 3"
    assert rows(fields) == [
        ["T", "0.980 to 0.980", "-0.300", "l = 4 to 16", "0.04", "yes"],
        ["B", "1.100 to 1.100", "+0.900", "l = 1 to 3", "0.3", "cannot be told"],
    ]


def test_pairs_have_errors_beside_those_of_controls():
    _, pairs, _ = polarization_tables(RESULTS)
    assert pairs.title.startswith("errors of coefficients")
    heads = [column.header for column in pairs.columns]
    assert heads == ["pair", "S1", "S2", "S3", "S3 exchanged", "S4", "correlation off by"]
    assert rows(pairs) == [
        ["TT", "0.001 (0.500)", "0.002 (0.500)", "0.030 (0.500)", "", "0.040 (0.500)", ""],
        ["BB", "0.100 (0.500)", "0.200 (0.500)", "", "", "0.400 (0.500)", ""],
        [
            "TB", "0.010 (0.500)*", "0.020 (0.500)*", "0.030 (0.500)", "0.050 (0.500)*",
            "0.040 (0.500)", "0.250",
        ],
    ]  # fmt: skip
    assert pairs.caption == "* not imposed"


def test_the_outcome_of_the_seeds_stands_last():
    *_, outcome = polarization_tables(RESULTS)
    assert rows(outcome)[0][:2] == ["3", "converged"]


def test_one_field_without_controls_has_fewer_columns():
    alone = {"T": RESULTS["fields"]["T"]}
    alone["T"] = alone["T"] | {
        "coherence": [{"name": "S1", "mean": 0.25, "imposed": True, "compared": "even parts"}],
        "copies": [],
        "power": [],
    }
    seeds = RESULTS["seeds"] * 2
    tables = polarization_tables(RESULTS | {"fields": alone, "pairs": {}, "seeds": seeds})
    assert rows(tables[0]) == [["T", "", "", "", "", ""]]
    assert tables[0].title.endswith("2 seeds")
    assert tables[1].title.startswith("errors of even parts over")
    assert rows(tables[1]) == [["TT", "0.250"]] and tables[1].caption is None


def test_the_tables_fit_a_terminal():
    console = Console(file=io.StringIO(), width=120)
    for table in polarization_tables(RESULTS):
        console.print(table)
    assert "…" not in console.file.getvalue()
