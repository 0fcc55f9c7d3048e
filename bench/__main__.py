"""`make bench`: every measurement, one after the other."""

from bench import images, phantoms, spine

for measurement in (spine, images, phantoms):
    measurement.main()
