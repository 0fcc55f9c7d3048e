"""Autoencoders that predict the embedding of a missing series from those that are there (write-up 001).

The write-up denoises a series with itself. Here what goes in are the series that are there, and what comes out is held
against the one that was hidden.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from medutils.errors import InputError

Pseudo = Literal["dae", "vae", "attention_vae"]
LATENT, HIDDEN = 16, 64
NOISE = 0.1  # deviation of what a denoising autoencoder's inputs are disturbed by, in deviations of an embedding


class PseudoModality(nn.Module):
    """Standardised embeddings of the series that are there to those of all series.

    kind: `dae`, which is trained on disturbed inputs; `vae`, whose code is drawn in training; `attention_vae`, a VAE
        which reads each series for itself and weighs what it read by an attention over those that are there

    The last layer is linear: embeddings of mean 0 and deviation 1 are not held to a range.
    """

    def __init__(self, series: int, features: int, kind: Pseudo = "dae", latent: int = LATENT) -> None:
        super().__init__()
        if kind not in get_args(Pseudo):
            raise InputError(f"pseudo: found '{kind}'; expected one of {', '.join(get_args(Pseudo))}")
        self.kind, self.shape = kind, (series, features)
        if kind == "attention_vae":
            self.read = nn.ModuleList(nn.Linear(features, HIDDEN) for _ in range(series))
            self.score = nn.Linear(HIDDEN, 1)
        else:
            self.read = nn.ModuleList([nn.Linear(series * (features + 1), HIDDEN)])
        self.code = nn.Linear(HIDDEN, latent if kind == "dae" else 2 * latent)
        self.decode = nn.Sequential(nn.Linear(latent, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, series * features))

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """Predicted embeddings (studies, series, features) of all series, those that are there too.

        values: (studies, series, features), not looked at where `present`, bool (studies, series), is not
        """
        return self.decoded(self.encoded(values, present)[0])

    def encoded(self, values: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the code, (studies, latent); a DAE has no variance: zeros."""
        values = torch.where(present[..., None], values, 0.0)
        if self.kind == "attention_vae":
            read = torch.stack([layer(part) for layer, part in zip(self.read, values.unbind(1), strict=True)], 1)
            scores = self.score(read.tanh())[..., 0].masked_fill(~present, -1e9)
            inner = (read.relu() * scores.softmax(-1)[..., None]).sum(1)
        else:
            inner = self.read[0](torch.cat([values.flatten(1), present.float()], 1)).relu()
        code = self.code(inner)
        if self.kind == "dae":
            return code, torch.zeros_like(code)
        mean, spread = code.chunk(2, -1)
        return mean, spread.clamp(-8, 8)

    def decoded(self, code: Tensor) -> Tensor:
        """(studies, latent) to embeddings (studies, series, features)."""
        found: Tensor = self.decode(code)
        return found.unflatten(1, self.shape)
