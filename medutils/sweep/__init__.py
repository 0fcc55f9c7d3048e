"""A chapter run over a grid of its parameters, on this machine or on any cluster of Dask."""

from medutils.sweep.grid import parse_grid
from medutils.sweep.sweeping import Asked, Failure, Swept, sweep

__all__ = ["Asked", "Failure", "Swept", "parse_grid", "sweep"]
