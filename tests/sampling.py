"""Chooses which rows of a matrix `make test` tries; `make test-all` tries all of them."""

import os
from collections.abc import Iterable
from itertools import combinations, product
from typing import Any, TypeVar

WHOLE = bool(os.environ.get("PINCH_ALL"))

Row = TypeVar("Row", bound=tuple[Any, ...])
One = TypeVar("One")
Other = TypeVar("Other")


def sampled(rows: Iterable[Row], whole: bool = WHOLE) -> list[Row]:
    """Return so many of the rows that each pair of values that stands in some row stands in one of these; all if whole.

    Greedy: the row that brings the most new pairs comes next, the first of several.
    """
    rows = list(rows)
    if whole:
        return rows
    missing = {pair for row in rows for pair in pairs(row)}
    chosen = []
    while missing:
        row = max(rows, key=lambda each: len(pairs(each) & missing))
        chosen.append(row)
        missing -= pairs(row)
    return chosen


def pairs(row: tuple[Any, ...]) -> set[Any]:
    """Return the pairs of values of a row, each value with its column."""
    return {*combinations(enumerate(row), 2)}


def in_turn(first: Iterable[One], second: Iterable[Other], whole: bool = WHOLE) -> list[tuple[One, Other]]:
    """Return each of either at least once, the shorter one going round; every pair if whole."""
    ones, others = list(first), list(second)
    if whole:
        return list(product(ones, others))
    rows = range(max(len(ones), len(others)))
    return [(ones[row % len(ones)], others[row % len(others)]) for row in rows]
