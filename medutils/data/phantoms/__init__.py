"""Phantoms: synthetic stand-ins, written to disk in the layout of the real data sets."""
