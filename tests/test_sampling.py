from itertools import product

from tests.sampling import pairs, sampled

MATRIX = list(product("abcdefgh", range(5), "xyz"))


def test_a_sample_has_every_pair_in_few_rows() -> None:
    sample = sampled(MATRIX, whole=False)

    assert set().union(*map(pairs, sample)) == set().union(*map(pairs, MATRIX))
    assert 8 * 5 <= len(sample) <= 8 * 5 * 1.25
    assert set(sample) < set(MATRIX)


def test_a_sample_has_every_pair_that_there_is_where_some_rows_are_missing() -> None:
    rows = [row for row in MATRIX if row[:2] != ("a", 0) and row[1:] != (4, "z")]

    assert set().union(*map(pairs, sampled(rows, whole=False))) == set().union(*map(pairs, rows))


def test_the_whole_is_all_of_it() -> None:
    assert sampled(MATRIX, whole=True) == MATRIX
