from lacunar.core.errors import sample_of, unknown


def test_unknown_names_the_nearest_and_lists_all():
    assert str(unknown("method", "fine_tun", ["retrain", "fine_tune"])) == (
        "unknown method 'fine_tun': did you mean 'fine_tune'? choose from fine_tune, retrain"
    )
    assert "none are available" in str(unknown("method", "x", []))


def test_sample_shows_the_first_and_counts_all():
    assert sample_of([1, 2]) == "1, 2"
    assert sample_of(range(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ... (12 in all)"
