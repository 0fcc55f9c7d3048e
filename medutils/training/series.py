"""From slices to series: one vector each by a pooling, and all of them in one Parquet file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medutils import cache
from medutils.errors import InputError
from medutils.files import explain, written_whole
from medutils.models.attention import SliceAttention, mean_within
from medutils.models.embedders import Embedder
from medutils.tables import few
from medutils.training.embeddings import embed
from medutils.training.loop import Progress

Floats = NDArray[np.float32]
ROW = ("study_id", "series_id", "plane", "condition")  # what a row of slices must say
TOLD_APART = ("embedder", "weights", "pooling", "variant")  # what one set of embeddings has in common
DEPTH = 16  # slices that a series is brought to for networks of volumes


@dataclass(frozen=True, eq=False)
class Embeddings:
    """One vector a series.

    rows: a row a series: study_id, series_id, plane, condition, and what else was the same for all its slices
    values: float32 (series, values)
    embedder, weights, pooling: see `Embedder`; variant: what else tells this set apart, a preprocessing or a fault
    """

    rows: pd.DataFrame
    values: Floats
    embedder: str
    weights: str
    pooling: str
    variant: str = ""


def embed_series(
    embedder: Embedder,
    x: Tensor,
    rows: pd.DataFrame,
    fingerprint: str,
    *,
    draw: int | None = None,
    variant: str = "",
    progress: Progress | None = None,
) -> Embeddings:
    """One vector a series from its slices, by the embedder's own pooling.

    Parameters
    ----------
    x: uint8 (slices, H, W), the slices of a series in the order of their place
    rows: a row a slice with the columns `ROW`; a series is its study_id and series_id
    fingerprint: hash of `x`
    draw: of the attention layer, in place of the embedder's own; see `Embedder.attention`

    What the network gives is kept (`embed`), and pooled anew each time. A network of volumes takes each series as one,
    brought to 16 slices. Raises `InputError` where `rows` lacks a column or a row.
    """
    if missing := [name for name in ROW if name not in rows]:
        raise InputError(f"rows: found no column '{missing[0]}'; expected {', '.join(ROW)}")
    if len(rows) != len(x):
        raise InputError(f"rows: found {len(rows)} for {len(x)} slices; expected one for each")
    names = (rows["study_id"].astype(str) + "/" + rows["series_id"].astype(str)).tolist()
    if embedder.volume:
        volumes = as_volumes(x, names)
        key = cache.digest([fingerprint, names, DEPTH])
        values = embedder.finish(torch.from_numpy(embed(embedder, volumes, key, progress=progress))).numpy()
    else:
        found = embed(embedder, x, fingerprint, names, progress)
        attention = embedder.attention(draw)
        values = pool(found, names, attention)[:, : embedder.values]
    return Embeddings(_of_series(rows, names), values, embedder.name, embedder.weights, embedder.pooling, variant)


def pool(features: Floats, series: Sequence[str], attention: SliceAttention | None = None) -> Floats:
    """One vector a series, in the order in which series come first: (slices, features) to (series, values).

    series: the name of each slice's series; attention: how the slices are weighted, None for their mean
    """
    slices, numbers = torch.from_numpy(features), numbered(series)
    with torch.inference_mode():
        return (mean_within(slices, numbers) if attention is None else attention(slices, numbers)[0]).numpy()


def numbered(series: Sequence[str]) -> Tensor:
    """Numbers from 0 for the names of series, in the order in which they come first: int64 (slices,)."""
    return torch.from_numpy(pd.factorize(np.asarray(series, dtype=object))[0].astype(np.int64))


def as_volumes(x: Tensor, series: Sequence[str], depth: int = DEPTH) -> Tensor:
    """Each series as one volume of `depth` slices, linear between them: uint8 (series, depth, H, W).

    x: uint8 (slices, H, W), those of a series in the order of their place; one slice alone is repeated
    """
    numbers = numbered(series)
    volumes = x.new_empty(int(numbers.max()) + 1, depth, *x.shape[1:])
    for number in range(len(volumes)):
        slices = x[numbers == number].float()[None, None]
        shape = (depth, *x.shape[1:])
        volumes[number] = torch.nn.functional.interpolate(slices, shape, mode="trilinear")[0, 0].round().byte()
    return volumes


def _of_series(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The first row of each series, with the columns that are the same in all its rows."""
    groups = rows.groupby(pd.Series(names, rows.index), sort=False)
    same = [column for column in rows if column in ROW or (groups[column].nunique(dropna=False) == 1).all()]
    return groups[same].first().reset_index(drop=True)


def write_parquet(path: Path, sets: Sequence[Embeddings]) -> None:
    """Write sets of embeddings to one Parquet file, a row a series and set, whole or not at all.

    Columns: those of `rows`, then `embedder`, `weights`, `pooling`, `variant`, and `values`, a list of float32. A list,
    and not a column a value: embedders of 512, 1,280 and 2,048 values fit into one file without empty cells, and a row
    is read as the vector that it is.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for one in sets:
        count, length = one.values.shape
        flat = pa.array(np.ascontiguousarray(one.values, np.float32).reshape(-1))
        values = pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32) * length), flat)
        rows = one.rows.assign(**{name: getattr(one, name) for name in TOLD_APART})
        tables.append(pa.Table.from_pandas(rows, preserve_index=False).append_column("values", values))
    with written_whole(path) as part:
        pq.write_table(pa.concat_tables(tables, promote_options="default"), part, compression="zstd")


def read_parquet(path: Path) -> list[Embeddings]:
    """The sets of embeddings of a file that `write_parquet` wrote, in its order; `InputError` for any other file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except OSError as error:
        raise explain(error, path) from error
    except pa.ArrowException as error:
        raise InputError(f"{path}: found no Parquet file ({error}); expected one of embeddings") from error
    needed = (*ROW, *TOLD_APART, "values")
    if missing := [name for name in needed if name not in table.column_names]:
        raise InputError(f"{path}: found no column '{missing[0]}'; expected {few(needed, len(needed))}")
    rows = table.drop_columns(["values"]).to_pandas()
    sets = []
    for told, group in rows.groupby(list(TOLD_APART), sort=False):
        chosen = table["values"].take(pa.array(group.index)).combine_chunks()
        values = chosen.flatten().to_numpy(zero_copy_only=False).reshape(len(group), -1)
        own = group.drop(columns=list(TOLD_APART)).dropna(axis=1, how="all").reset_index(drop=True)
        sets.append(Embeddings(own, values, **dict(zip(TOLD_APART, told, strict=True))))
    return sets
