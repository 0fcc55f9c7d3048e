# A worker for sweeps (book/scaling.ipynb): this repository and its pinned packages, without those of CUDA.
# It was written without a container engine at hand, and has not been built.
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
WORKDIR /medutils
COPY pyproject.toml requirements.txt ./
COPY medutils medutils
RUN pip install --no-cache-dir uv && uv pip install --system --no-cache --torch-backend cpu -r requirements.txt
COPY book book
COPY data_manifests data_manifests
COPY _toc.yml _config.yml ./
# The package is installed from this folder, so that its notebooks are found beside it.
RUN useradd --create-home sweeper
USER sweeper
CMD ["dask", "worker", "--help"]
