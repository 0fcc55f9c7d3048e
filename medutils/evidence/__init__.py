"""What was reported, what the reference run gave, what this run gives."""

from medutils.evidence.recorder import (
    Claim,
    Reported,
    Results,
    load_reference,
    load_reported,
    reference_path,
    reported,
    reported_path,
    reported_value,
    reported_values,
    table_of,
)

__all__ = [
    "Claim",
    "Reported",
    "Results",
    "load_reference",
    "load_reported",
    "reference_path",
    "reported",
    "reported_path",
    "reported_value",
    "reported_values",
    "table_of",
]
