"""What can be done about a missing series, by name: the remedies of write-up 001, as networks to be trained."""

from dataclasses import dataclass, replace
from typing import Final

from medutils.models.fusion import FusionConfig, Missing
from medutils.models.pseudo import Pseudo
from medutils.training.fusion import Job

REFERENCE: Final = "dynamic"  # the remedy that the others are held against


@dataclass(frozen=True)
class Remedy:
    """How a network differs from others of its architecture.

    missing, pseudo: what stands for a series that is not there, see `FusionConfig`
    dropout, l2: whether it is trained with dropout, and with L2 regularisation
    """

    missing: Missing = REFERENCE
    pseudo: Pseudo = "dae"
    dropout: bool = True
    l2: bool = True

    def job(self, config: FusionConfig) -> Job:
        """The network of this remedy, otherwise of a configuration."""
        own = replace(config, missing=self.missing, pseudo=self.pseudo)
        return Job(own if self.dropout else replace(own, dropout=0.0), weight_decay=() if self.l2 else (0.0,))


REMEDIES = {
    "nothing": Remedy("nothing"),
    "zero": Remedy("zero"),
    "neutral": Remedy("neutral"),
    "dynamic": Remedy(),
    "modality_dropout": Remedy("modality_dropout"),
    "pseudo": Remedy("pseudo"),
    "pseudo_vae": Remedy("pseudo", "vae"),
    "pseudo_attention_vae": Remedy("pseudo", "attention_vae"),
    # Dynamic weights with less regularisation than all the others have, so that what it gives back can be seen.
    "unregularised": Remedy(dropout=False, l2=False),
    "dropout": Remedy(l2=False),
    "l2": Remedy(dropout=False),
}
