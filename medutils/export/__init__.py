"""A trained network to take away, for a table or for films: one file that explains itself, and what is done with it."""

from medutils.export.about import About, TrainedOn, model_card
from medutils.export.film import FilmInput, image_files
from medutils.export.heat_maps import heat_map, heat_maps, overlay, write_heat_maps
from medutils.export.model import MODEL, ExportedModel, load_model, save_model
from medutils.export.predictions import Predictions
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
    "heat_map",
    "heat_maps",
    "image_files",
    "load_model",
    "model_card",
    "overlay",
    "save_model",
    "write_heat_maps",
]
