"""What was reported, what the reference run gave, what this run gives, and how they stand to each other."""

from medutils.evidence.claims import (
    Claim,
    Quote,
    Reported,
    WriteUp,
    load_reported,
    quoted,
    reported_path,
    reported_values,
)
from medutils.evidence.recorder import Results, ledger, reported_and_reference, shown, table_of
from medutils.evidence.reference import (
    Numbers,
    load_reference,
    look_up,
    new_numbers,
    real_numbers,
    reference_path,
    reference_paths,
)
from medutils.evidence.status import WORDS, Status, held_against, status
from medutils.evidence.words import far_from_real, on_both, on_real, other_than_real, real_or_run

__all__ = [
    "WORDS",
    "Claim",
    "Numbers",
    "Quote",
    "Reported",
    "Results",
    "Status",
    "WriteUp",
    "far_from_real",
    "held_against",
    "ledger",
    "load_reference",
    "load_reported",
    "look_up",
    "new_numbers",
    "on_both",
    "on_real",
    "other_than_real",
    "quoted",
    "real_numbers",
    "real_or_run",
    "reference_path",
    "reference_paths",
    "reported_and_reference",
    "reported_path",
    "reported_values",
    "shown",
    "status",
    "table_of",
]
