"""`make bench`: every measurement, one after the other."""

from rich.console import Console

from bench import images, phantoms, pneumonia, spine
from bench.report import machine

Console().print(machine())
for measurement in (spine, pneumonia, images, phantoms):
    measurement.main()
