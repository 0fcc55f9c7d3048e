"""A network that was fine-tuned on annotated slices, as an embedder."""

from torch import Tensor

from medutils.models.embedders import Embedder, embedder
from medutils.training.grading import Graded

HEAD = "backbone."
FIRST = "conv_stem.weight"


def tuned_embedder(training: Graded, size: int = 224) -> Embedder:
    """The embedder `lite0` with the weights that a fine-tuning left; see `medutils.training.grading`."""
    return embedder("lite0", size=size, weights=tuned_weights(training))


def tuned_weights(training: Graded) -> dict[str, Tensor]:
    """The weights of a fine-tuned network without its heads, as the embedder of the same architecture takes them.

    The network has one channel. Its first kernels, spread over three, give the same for a slice that is repeated.
    """
    state = {name.removeprefix(HEAD): value for name, value in training.state.items() if name.startswith(HEAD)}
    return state | {FIRST: state[FIRST].expand(-1, 3, -1, -1) / 3}
