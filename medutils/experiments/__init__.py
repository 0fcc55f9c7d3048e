"""The errors of the write-ups, rebuilt so that their effect can be measured. One module a chapter."""
