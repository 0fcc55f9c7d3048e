"""A cluster of Dask: one that is there, or one on this machine for as long as a sweep lasts."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from joblib import cpu_count

from medutils.errors import InputError
from medutils.files import held
from medutils.run import temporary

if TYPE_CHECKING:
    from distributed import Client

DASHBOARD = "127.0.0.1:8787"  # another port where that is taken
CONFIGURATION = {"distributed.scheduler.allowed-failures": 1}  # a point that ends two workers is at fault itself
PATIENCE = 10.0  # seconds that a scheduler gets to answer


@dataclass(frozen=True)
class Cluster:
    """A cluster that a sweep can use.

    cores: that each run may use
    shared: whether its workers read this machine's disk
    """

    client: "Client"
    cores: int
    shared: bool

    @property
    def dashboard(self) -> str:
        """The address of Dask's dashboard."""
        return str(self.client.dashboard_link)


@contextmanager
def connected(workers: int, scheduler: str = "", memory: str = "") -> Iterator[Cluster]:
    """Connect to the scheduler of that address, or start a cluster of so many workers here.

    memory: of each worker here, such as `4GB`; by default its share of the machine's. Every process that is started
    here has ended afterwards. Raises `InputError` where no scheduler answers.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what went wrong is told in sentences of our own
    with _there(scheduler) if scheduler else _here(workers, memory) as cluster:
        yield cluster


@contextmanager
def _there(scheduler: str) -> Iterator[Cluster]:
    from distributed import Client

    try:
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"--scheduler: found none at {scheduler}; expected an address such as tcp://host:8786"
        ) from error
    with client:
        yield Cluster(client, 1, shared=False)


@contextmanager
def _here(workers: int, memory: str) -> Iterator[Cluster]:
    import dask
    from distributed import Client, LocalCluster

    try:
        limit = dask.utils.parse_bytes(memory) if memory else "auto"
    except ValueError:
        raise InputError(f"--memory: found '{memory}'; expected an amount such as 4GB") from None
    with (
        held(temporary(), "medutils-sweep-") as folder,
        dask.config.set({**CONFIGURATION, "temporary-directory": str(folder)}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=limit,
            dashboard_address=DASHBOARD,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield Cluster(client, max(1, cpu_count() // workers), shared=True)
