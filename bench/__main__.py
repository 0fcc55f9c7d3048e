"""`make bench`: every measurement, one after the other."""

from bench import images, phantoms, pneumonia, spine

for measurement in (spine, pneumonia, images, phantoms):
    measurement.main()
