"""Runs read back: one table of what they were told and what they found, filtered, compared and written to files."""

from medutils.runs.paired import compare_runs
from medutils.runs.table import export, find_run, found_runs, runs_table
from medutils.runs.where import filtered

__all__ = ["compare_runs", "export", "filtered", "find_run", "found_runs", "runs_table"]
