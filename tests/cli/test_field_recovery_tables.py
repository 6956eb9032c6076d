"""Tables of denoised polarization on the terminal."""

from jaxscat.cli.field_recovery_tables import field_recovery_tables

ROW = {"residual": 0.5, "S1": 0.1, "S2": 0.2, "S3": 0.3, "S4": 0.4, "skewness": 0.0, "std": 1.0}


def results(truth):
    rows = {"data": ROW, "reconstruction": ROW | {"S2": 0.02}}
    field = {"rows": rows, "names": list(rows), "truth": {"skewness": 0.1, "std": 1.0}}
    pairs = {"EE": {"rows": rows, "chance": None}, "TE": {"rows": rows, "chance": [0.1]}}
    recovery = {"names": list(rows), "fields": {"E": field, "B": field}, "pairs": pairs}
    ended = {"status": "converged", "renewals": 1, "evaluations": 9, "chi2": {"scattering": [2, 1]}}
    return {
        **{"task": "denoise-polarization", "data": "sky.fits", "nside": 16, "unit": "uK"},
        **{"truth": truth, "recovery": recovery, "seeds": [ended]},
    }


def test_a_table_of_every_field_of_pairs_and_of_the_end():
    tables = field_recovery_tables(results(True))
    assert [table.title for table in tables] == [
        "E of sky.fits, nside 16, in uK",
        "B of sky.fits, nside 16, in uK",
        "errors of S1, S2, S3, S4",
        "denoise-polarization",
    ]
    pairs = tables[2]
    assert [column.header for column in pairs.columns] == ["estimate", "TE"]
    assert list(pairs.columns[1].cells) == ["0.1 0.2 0.3 0.4", "0.1 0.02 0.3 0.4"]


def test_without_a_truth_there_are_no_errors():
    assert len(field_recovery_tables(results(False))) == 3
