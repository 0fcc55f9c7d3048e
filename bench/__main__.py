"""`make bench`: every measurement, one after the other."""

from rich.console import Console

from bench import embeddings, evaluation, fusion, images, phantoms, pneumonia, six_class, spine, sweep
from bench.report import machine

Console().print(machine())
for measurement in (spine, pneumonia, six_class, embeddings, fusion, images, phantoms, evaluation, sweep):
    measurement.main()
