from itertools import product

from tests.sampling import in_turn, pairs, sampled

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


def test_in_turn_each_of_either_comes_and_every_pair_in_the_whole() -> None:
    some = in_turn("abcde", range(3), whole=False)

    assert ({one for one, _ in some}, {other for _, other in some}, len(some)) == ({*"abcde"}, {0, 1, 2}, 5)
    assert in_turn("ab", range(3), whole=True) == list(product("ab", range(3)))
