"""Task sizes: drawn as in the published data set, or read from text."""

import csv

import numpy as np

from ddlo import checks

PUBLISHED = (10, 30)  # MB, the range of the published sizes


def task_sizes(samples, users, tasks, sizes=PUBLISHED, seed=None):
    """Return the task sizes in MB of the samples with these numbers: (len(samples), N*M).

    As published, sample i is what RandomState(i).randint(10, 31) draws, user by user: found to be true
    of all the published samples. NumPy has frozen RandomState, so that it is the same everywhere.

    Parameters
    ----------
    samples : sequence of int
    users, tasks : int
    sizes : two numbers
        The least and the greatest size. If both are integers, sizes are drawn from the integers, int32,
        else from the real numbers between them, float64.
    seed : int, optional
        For other samples than the published ones.

    Raises
    ------
    ValueError
        If the range or the seed is none.
    """
    low, high = checks.size_range("sizes", sizes)
    if seed is not None:
        checks.integer("seed", seed, 0)
    random = np.random.RandomState()
    is_integer = low % 1 == high % 1 == 0 and high < checks.INT32
    drawn = np.empty((len(samples), users * tasks), np.int32 if is_integer else np.float64)
    for row, sample in enumerate(samples):
        random.seed(sample if seed is None else [seed, sample])
        if is_integer:
            drawn[row] = random.randint(int(low), int(high) + 1, size=users * tasks)
        else:
            drawn[row] = random.uniform(low, high, size=users * tasks)
    return drawn


class NoNumber(ValueError):
    """A line without any number: a header, if it is the first line."""


def parsed(line, tasks):
    """Return the task sizes in a line of text, a list of float, or None if it is empty.

    They are separated by semicolons, tabs, commas or blanks: by the first of these that is in the
    line. Raises ValueError if there are not `tasks` of them, or one is negative or not finite; NoNumber
    if nothing in it is a number.
    """
    separator = next((mark for mark in ";\t," if mark in line), None)
    cells = next(csv.reader([line], delimiter=separator), []) if separator else line.split()
    cells = [cell.strip().strip('"') for cell in cells]
    if not any(cells):
        return None
    sizes = []
    for cell in cells:
        try:
            sizes.append(float(cell))
        except ValueError:
            sizes.append(None)
    if all(size is None for size in sizes):
        raise NoNumber("no entry is a number")
    if len(cells) != tasks:
        raise ValueError(f"expected {tasks} task sizes, got {len(cells)}")
    for cell, size in zip(cells, sizes):
        is_plain = cell.isascii() and "_" not in cell  # Python knows other digits, too, and 1_000
        if size is None or not is_plain or not 0 <= size <= checks.LARGEST:
            raise ValueError(
                f"a task size must be finite MB >= 0, got {checks.shortened(cell, 40)!r}"
            )
    return sizes


def read_csv(path, tasks):
    """Return the task sizes in a text file, float64 (lines, tasks); a header and empty lines aside.

    Raises ValueError that names the line if one is not as `parsed` expects it, or there is none.
    """
    rows = []
    with open(path, encoding="utf-8-sig", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                of_line = parsed(line, tasks)
            except (ValueError, csv.Error) as error:
                if number == 1 and isinstance(error, NoNumber):
                    continue
                raise ValueError(f"{path}, line {number}: {error}") from None
            if of_line:
                rows.append(of_line)
    if not rows:
        raise ValueError(f"{path} must have lines of {tasks} task sizes, got none")
    return np.array(rows)
