"""Four tables of mixed columns with gaps, as their owner would use a hidden tree on them.

    python examples/mixed_tables.py [FOLDER] [TABLE ...]

FOLDER holds penguins.csv, titanic.csv, taxis.csv and diamonds10k.csv (of seaborn's example data);
$ANCESTRAL_DATA/mixed by default. For each table: fit to four fifths of the rows, what held-out rows
say beside independent columns, gaps filled with intervals, the oddest cells, and a synthetic table
given a rare event, held beside rows that the fit did not see.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from ancestral import LatentTree, read_table, scores

# Columns that only repeat others.
LEFT_OUT = {
    "titanic": ["class", "who", "adult_male", "embark_town", "alive", "alone"],
    "taxis": ["total", "pickup_zone", "dropoff_zone"],
}
# A question for each table, and an event that few of its rows show.
GIVEN = {
    "penguins": {"species": "Gentoo", "sex": "FEMALE"},
    "titanic": {"sex": "female", "pclass": 3},
    "taxis": {"payment": "cash", "distance": (5, None)},
    "diamonds10k": {"cut": "Ideal", "carat": (1, 1.1)},
}
RARE = {
    "penguins": {"species": "Chinstrap", "body_mass_g": (4700, None)},
    "titanic": {"survived": 0, "sex": "female", "fare": (100, None)},
    "taxis": {"tip": (10, None), "distance": (None, 2)},
    "diamonds10k": {"cut": "Fair", "color": "D", "price": (15_000, None)},
}


def main(folder: Path, tables: list[str]) -> None:
    """Show each table."""
    for name in tables:
        show(name, folder / f"{name}.csv")


def show(name: str, path: Path) -> None:
    """Fit, ask, fill, look for odd cells, and draw."""
    table = read_table(path, missing=True, dates=True).drop(columns=LEFT_OUT.get(name, []))
    order = np.random.default_rng(0).permutation(len(table))
    cut = round(0.8 * len(table))
    train, held = (table.iloc[part].reset_index(drop=True) for part in (order[:cut], order[cut:]))
    model = LatentTree(random_state=0).fit(train)
    print(f"\n{name}: {len(table)} rows, {int(table.isna().sum().sum())} gaps; {model.n_trees_} "
          f"trees of {model.n_states_} states")  # fmt: skip
    apart = LatentTree(n_states=1, n_trees=1, random_state=0).fit(train)
    print(scores.compare({"tree": model, "independent columns": apart}, held))
    ask(model, GIVEN[name])
    fill(model, table)
    odd(model, table)
    draw(model, train, held, RARE[name])


def ask(model: LatentTree, given: dict) -> None:
    """The probability of a condition, and the means of numbers given it."""
    plain, known = model.mean_and_covariance(), model.mean_and_covariance(given)
    print(f"\ngiven {given}, of log density {model.log_evidence(given):.2f}:")
    for column, before, after in zip(plain.columns, plain.mean, known.mean, strict=True):
        print(f"  mean of {column}: {before:.4g} -> {after:.4g}")


def fill(model: LatentTree, table: pd.DataFrame) -> None:
    """The first rows with gaps, filled, and 90% intervals of their numbers.

    Of a table without gaps, the first row, whose first cell is hidden.
    """
    rows = table[table.isna().any(axis=1)].head(3)
    if rows.empty:
        rows = table.head(1).assign(**{table.columns[0]: None})
    gaps = rows.isna()
    filled, ends = model.impute(rows), model.intervals(rows, 0.9)
    print("\ngaps filled, with 90% intervals:")
    for place, row in enumerate(rows.index):
        for column in table.columns[gaps.loc[row]]:
            where = "" if column not in ends else f", {ends[column][place]}"
            print(f"  row {row}, {column}: {filled.loc[row, column]}{where}")


def odd(model: LatentTree, table: pd.DataFrame, n: int = 5) -> None:
    """The cells that are most surprising given the rest of their row, as their columns go."""
    nats = model.surprise(table)
    above = (nats - nats.median()).stack().sort_values(ascending=False)
    print("\nodd cells, nats above the median of their column:")
    for (row, column), size in above.head(n).items():
        print(f"  row {row}, {column} = {table.loc[row, column]}: {size:.1f}")


def draw(model: LatentTree, train: pd.DataFrame, held: pd.DataFrame, event: dict) -> None:
    """A synthetic table given a rare event, and how near its rows lie to those of the fit."""
    chance = np.exp(model.log_evidence(event))
    drawn = model.sample(2000, given=event, random_state=0)
    print(f"\n2,000 rows drawn given {event}, an event of probability {chance:.2g}; the first two:")
    print(drawn.head(2).to_string())
    print("\na synthetic table of all rows beside held-out ones:")
    synthetic = model.sample(len(held), random_state=1).mask(held.isna().to_numpy())
    print(scores.nearest_rows(synthetic, train, held))


if __name__ == "__main__":
    home = Path(os.environ.get("ANCESTRAL_DATA", "../shared/data")) / "mixed"
    named = [argument for argument in sys.argv[1:] if argument in GIVEN]
    folders = [Path(argument) for argument in sys.argv[1:] if argument not in GIVEN]
    main((folders or [home])[0], named or list(GIVEN))
