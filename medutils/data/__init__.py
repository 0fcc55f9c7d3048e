"""From a dataset's name to its records: manifests, loaders, splits and phantoms."""
