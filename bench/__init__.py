"""Side-by-side measurements: ours against the usual way, as ratios within one run."""
