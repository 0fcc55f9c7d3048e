"""What each fault of the write-up's pseudo-modality learning costs: held-out patients, one fault mended at a time.

Two questions are put to each network. Does it give back the embedding that it was given with noise (the notebook's
test)? And what does it say of a series that is absent (what it was built for)? `pseudo_numbers` makes
numbers with intervals of what is found here; what is kept hangs on this module and not on that one.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from medutils import cache
from medutils.chapters.lumbar_fusion.as_written import (
    AS_WRITTEN,
    CORRECT,
    EPOCHS,
    MENDED,
    Faults,
    Floats,
    Name,
    Rows,
    answers,
    bounded_floor,
    fit,
    left_after_dropping,
    mended,
)
from medutils.errors import InputError

if TYPE_CHECKING:
    from medutils.training.loop import Progress

FIFTHS = 5
RIDGES = tuple(np.logspace(0, 5, 11))
Ways = dict[str, Faults]


# --- held-out patients ------------------------------------------------------------------------------------------------


def held_out(rows: Rows, seed: int, fifths: int = FIFTHS) -> Iterator[tuple[Rows, Rows]]:
    """Rows to learn from and to test on: the first so many of five parts of the studies, shuffled by the seed."""
    if not 1 <= fifths <= FIFTHS:
        raise InputError(f"fifths: found {fifths}; expected 1 to {FIFTHS}")
    studies = np.unique(rows.study)
    if len(studies) < FIFTHS:
        raise InputError(f"rows: found {len(studies)} studies; expected at least {FIFTHS}")
    parts = np.array_split(np.random.default_rng([seed, 0]).permutation(studies), FIFTHS)
    for test in parts[:fifths]:
        yield rows.of(studies[~np.isin(studies, test)]), rows.of(test)


def _means(rows: Rows) -> dict[str, Floats]:
    return {str(kind): rows.values[rows.series == kind].mean(axis=0) for kind in np.unique(rows.series)}


def _judged(said: Floats, target: Floats, mean: Floats, patients: Sequence[str], repeat: int) -> pd.DataFrame:
    """A row a prediction, each number the mean over its 512 values.

    error, of what was said; variance, of the training mean for that kind of series; square, of zeros; floor, the least
    that an output between -1 and 1 can have; outside, the share of target values beyond those; cosine distance
    """
    lengths = np.linalg.norm(said, axis=1) * np.linalg.norm(target, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = 1 - (said * target).sum(axis=1) / lengths
    return pd.DataFrame(
        {
            "patient": list(patients),
            "repeat": repeat,
            "error": ((said - target) ** 2).mean(axis=1),
            "variance": ((mean - target) ** 2).mean(axis=1),
            "square": (target**2).mean(axis=1),
            "floor": bounded_floor(target).mean(axis=1),
            "outside": (np.abs(target) > 1).mean(axis=1),
            "cosine": cosine,
        }
    )


# --- the notebook's own test ------------------------------------------------------------------------------------------


def given_back(
    name: Name, faults: Faults, rows: Rows, seeds: Sequence[int] = (0,), fifths: int = FIFTHS, epochs: int = EPOCHS
) -> pd.DataFrame:
    """The notebook's test: does a network give back the row that it gets with noise?

    A row a held-out study and seed, as `_judged` has it, with `change`, the largest change of a weight in training.
    Every study is tested that has a row left: the notebook leaves out those with one (`counted`), which is all where no
    study has four series.
    """

    def predict(train: Rows, target: Floats, _: Floats, seed: int) -> tuple[Floats, float]:
        fitted = fit(name, train, faults, seed, epochs=epochs)
        return answers(fitted, target, seed), fitted.change

    return _tested(predict, rows, seeds, fifths)


def given_back_untrained(name: Name, rows: Rows, seeds: Sequence[int] = (0,), fifths: int = FIFTHS) -> pd.DataFrame:
    """The same of a network before its first step."""
    return given_back(name, AS_WRITTEN, rows, seeds, fifths, epochs=0)


def mean_given_back(rows: Rows, seeds: Sequence[int] = (0,), fifths: int = FIFTHS) -> pd.DataFrame:
    """The same of the training patients' mean for the row's kind of series, which looks at no input."""
    return _tested(lambda train, target, mean, seed: (mean, 0.0), rows, seeds, fifths)


Predict = Callable[[Rows, Floats, Floats, int], tuple[Floats, float]]


def _tested(predict: Predict, rows: Rows, seeds: Sequence[int], fifths: int) -> pd.DataFrame:
    tables = []
    for seed in seeds:
        for train, test in held_out(rows, seed, fifths):
            left = left_after_dropping(test.groups, np.random.default_rng([seed, 3]))
            places = np.array([chosen[0] for chosen in left.values()])
            means = _means(train)
            mean = np.stack([means[kind] for kind in test.series[places]])
            said, change = predict(train, test.values[places], mean, seed)
            tables.append(_judged(said, test.values[places], mean, [*left], seed).assign(change=change))
    return pd.concat(tables, ignore_index=True)


# --- the question it was built for ------------------------------------------------------------------------------------


def of_absent(
    name: Name,
    faults: Faults,
    rows: Rows,
    pair: tuple[str, str],
    seeds: Sequence[int] = (0,),
    fifths: int = FIFTHS,
    epochs: int = EPOCHS,
) -> pd.DataFrame:
    """What a network says of a series that is absent, from one that is there; see `given_back` for the table.

    pair: the kind of series that is given, and the one that is asked for
    A network that learnt `itself` cannot be asked; its answer to the series that is there stands for one.
    """

    def predict(train: Rows, given: Floats, _: Floats, seed: int) -> Floats:
        fitted = fit(name, train, faults, seed, epochs=epochs, pair=pair)
        return answers(fitted, given, seed)

    return _asked(predict, rows, pair, seeds, fifths)


def absent_without_network(
    how: str, rows: Rows, pair: tuple[str, str], seeds: Sequence[int] = (0,), fifths: int = FIFTHS
) -> pd.DataFrame:
    """The same without a network.

    how: `mean`, of the training patients for the series asked for; `copy`, the series that is there; `ridge`, a linear
        regression of one on the other, its penalty chosen among the training patients
    """
    ways: dict[str, Callable[[Rows, Floats, Floats, int], Floats]] = {
        "mean": lambda train, given, mean, seed: mean,
        "copy": lambda train, given, mean, seed: given,
        "ridge": lambda train, given, mean, seed: _ridge(train, pair, given),
    }
    if how not in ways:
        raise InputError(f"how: found '{how}'; expected {', '.join(ways)}")
    return _asked(ways[how], rows, pair, seeds, fifths)


def _ridge(train: Rows, pair: tuple[str, str], given: Floats) -> Floats:
    from sklearn.linear_model import RidgeCV

    _, places = _both(train, pair)
    x, y = (train.values[places[:, end]] for end in (0, 1))
    found = RidgeCV(RIDGES).fit(x, y)
    return found.predict(given).astype(np.float32)


def _both(rows: Rows, pair: tuple[str, str]) -> tuple[list[str], np.ndarray]:
    """The studies that have both kinds of series, and the places of their two rows, (studies, 2)."""
    found = {study: [rows.place(study, kind) for kind in pair] for study in rows.groups}
    whole = {study: ends for study, ends in found.items() if None not in ends}
    return list(whole), np.array(list(whole.values()), dtype=int).reshape(-1, 2)


def _asked(
    predict: Callable[[Rows, Floats, Floats, int], Floats],
    rows: Rows,
    pair: tuple[str, str],
    seeds: Sequence[int],
    fifths: int,
) -> pd.DataFrame:
    whole = rows.of(np.array(_both(rows, pair)[0]))
    if not len(whole.values):
        raise InputError(f"rows: found no study with both {pair[0]} and {pair[1]}; expected at least {FIFTHS}")
    tables = []
    for seed in seeds:
        for train, test in held_out(whole, seed, fifths):
            studies, places = _both(test, pair)
            given, target = (test.values[places[:, end]] for end in (0, 1))
            mean = np.broadcast_to(_means(train)[pair[1]], target.shape)
            tables.append(_judged(predict(train, given, mean, seed), target, mean, studies, seed))
    return pd.concat(tables, ignore_index=True)


# --- all of it --------------------------------------------------------------------------------------------------------


def ways_back() -> dict[tuple[Name, str], Faults]:
    """Network and way of the first question: as written, each fault of that network mended, the third untrained."""
    found: dict[tuple[Name, str], Faults] = {}
    for name, faults in MENDED.items():
        found[name, "as_written"] = AS_WRITTEN
        found |= {(name, fault): mended(fault) for fault in faults}
    return found


def all_given_back(
    rows: Rows,
    seeds: Sequence[int],
    fifths: int = FIFTHS,
    epochs: int = EPOCHS,
    names: Sequence[str] = (),
    progress: "Progress | None" = None,
) -> dict[str, pd.DataFrame]:
    """The first question, by `<network>_<way>`: `ways_back`, `mean`, and `attention_untrained`; each kept.

    names: those of `ways_back` that are run, `<network>_<way>`; all unless given
    """
    found = {"mean": mean_given_back(rows, seeds, fifths)}
    found["attention_untrained"] = given_back_untrained("attention", rows, seeds, fifths)
    ways = {key: faults for key, faults in ways_back().items() if not names or "_".join(key) in names}
    for number, ((name, way), faults) in enumerate(ways.items(), 1):
        depends = ["given_back", name, vars(faults), _hash(rows), list(seeds), fifths, epochs]
        make = partial(given_back, name, faults, rows, seeds, fifths, epochs)
        found[f"{name}_{way}"] = kept_table(depends, make)
        if progress:
            progress(number, len(ways))
    return found


ASKED: Ways = {"as_written": AS_WRITTEN, "itself": mended("itself"), "correct": CORRECT}


def all_of_absent(
    rows: Rows,
    pair: tuple[str, str],
    seeds: Sequence[int],
    fifths: int = FIFTHS,
    epochs: int = EPOCHS,
    progress: "Progress | None" = None,
) -> dict[str, pd.DataFrame]:
    """The second question for a pair, by `<network>_<way>`, and `mean`, `copy`, `ridge` without a network; kept."""
    found = {how: absent_without_network(how, rows, pair, seeds, fifths) for how in ("mean", "copy", "ridge")}
    names: tuple[Name, ...] = ("dae", "vae")
    for number, (name, way) in enumerate([(name, way) for name in names for way in ASKED], 1):
        depends = ["of_absent", name, vars(ASKED[way]), _hash(rows), list(pair), list(seeds), fifths, epochs]
        make = partial(of_absent, name, ASKED[way], rows, pair, seeds, fifths, epochs)
        found[f"{name}_{way}"] = kept_table(depends, make)
        if progress:
            progress(number, len(names) * len(ASKED))
    return found


def kept_table(depends: list[Any], make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """The table that `make` gives, made once for the same inputs and the same code."""

    def write(part: Path) -> None:
        part.write_text(make().to_csv(index=False), encoding="utf-8")

    path = cache.kept("pseudo", write, cache.key_of(kept_table, *depends), ".csv")
    return pd.read_csv(path, dtype={"patient": str})


def _hash(rows: Rows) -> list[str]:
    return [cache.array_hash(rows.values), *rows.study.tolist(), *rows.series.tolist()]
