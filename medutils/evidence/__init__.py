"""What was reported, what the reference run gave, what this run gives, and how they stand to each other."""

from medutils.evidence.claims import Claim, Reported, load_reported, reported_path, reported_values
from medutils.evidence.recorder import Results, ledger, shown, table_of
from medutils.evidence.reference import load_reference, look_up, new_numbers, reference_path, reference_paths
from medutils.evidence.status import WORDS, Status, held_against, status

__all__ = [
    "WORDS",
    "Claim",
    "Reported",
    "Results",
    "Status",
    "held_against",
    "ledger",
    "load_reference",
    "load_reported",
    "look_up",
    "new_numbers",
    "reference_path",
    "reference_paths",
    "reported_path",
    "reported_values",
    "shown",
    "status",
    "table_of",
]
