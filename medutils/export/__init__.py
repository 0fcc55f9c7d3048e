"""A trained network to take away, for a table, films or studies: one file that explains itself, and its use."""

from medutils.export.about import About, TrainedOn, model_card
from medutils.export.film import FilmInput, image_files
from medutils.export.heat_maps import heat_map, heat_maps, overlay, write_heat_maps
from medutils.export.model import MODEL, ExportedModel, load_model, save_model
from medutils.export.predictions import Predictions, few_columns, write_attention
from medutils.export.study import Evaluated, StudyInput
from medutils.export.table import TableInput

__all__ = [
    "MODEL",
    "About",
    "Evaluated",
    "ExportedModel",
    "FilmInput",
    "Predictions",
    "StudyInput",
    "TableInput",
    "TrainedOn",
    "few_columns",
    "heat_map",
    "heat_maps",
    "image_files",
    "load_model",
    "model_card",
    "overlay",
    "save_model",
    "write_attention",
    "write_heat_maps",
]
