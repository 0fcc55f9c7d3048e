"""The lumbar chapter, part two: fusion of several MRI series that survives a missing one (write-up 001)."""
