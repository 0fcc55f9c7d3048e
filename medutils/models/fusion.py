"""Networks that grade a study from several MRI series, one of which may be missing: write-up 001, both architectures.

The write-up words three networks and names six ways to live without a series; no code of it holds any of them. All are
built here from the same parts, so that they differ in what their names say and in nothing else.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple, Self, get_args

import torch
from torch import Tensor, nn

from medutils.errors import InputError
from medutils.models.pseudo import Pseudo, PseudoModality

Kind = Literal["sets", "regions", "slices"]
Missing = Literal["nothing", "zero", "neutral", "dynamic", "modality_dropout", "pseudo"]

KERNEL = 3  # features that the fusing convolution looks at together
LEAST = -1e9  # a score that a softmax makes 0 of, and that has a gradient


@dataclass(frozen=True)
class FusionConfig:
    """What a network is: all that has to be known to build it, in plain JSON.

    series: names of the series, in the order of the second axis of `x`
    targets: names of what is graded; grades: how many grades each has; findings: what each is a target of
    inputs: numbers in the embedding of a token, a slice or a position of a feature map; embedder: what gave them
    architecture: `sets` (1.1: attention weighs the series' average embeddings, a convolution fuses them, one
        classifier), `regions` (1.2: attention pools the tokens of each series, a convolution fuses, a classifier for
        each finding) or `slices` (2: attention over the tokens of each series, nothing is fused, a classifier for each
        series, whose probabilities are averaged)
    missing: what stands for a series that is not there:
        `nothing`: the mean of the training studies, as if it were one more study; learnt from whole studies only
        `zero`: a vector of zeros in place of its embedding, with the weight that it would have
        `neutral`: a learned vector in place of its embedding, with the weight that it would have
        `dynamic`: its weight is 0, and the weights of the others are divided by their sum
        `modality_dropout`: the same, and in training series are removed at random
        `pseudo`: an embedding that an autoencoder predicts from the series that are there
    pseudo: which autoencoder; see `PseudoModality`
    features: principal components of a token; width: of a series' embedding; channels: of the convolution
    hidden: of a classifier; dropout: of its inputs; removed: the share of series that are removed in training
    """

    series: tuple[str, ...]
    targets: tuple[str, ...]
    grades: tuple[int, ...]
    findings: tuple[str, ...]
    inputs: int = 1280
    embedder: str = "lite0"
    architecture: Kind = "sets"
    missing: Missing = "dynamic"
    pseudo: Pseudo = "dae"
    features: int = 32
    width: int = 32
    channels: int = 8
    hidden: int = 32
    dropout: float = 0.3
    removed: float = 0.3

    def __post_init__(self) -> None:
        for name, known in (("architecture", Kind), ("missing", Missing), ("pseudo", Pseudo)):
            if getattr(self, name) not in get_args(known):
                raise InputError(f"{name}: found '{getattr(self, name)}'; expected one of {', '.join(get_args(known))}")
        if not self.series or len(set(self.series)) != len(self.series):
            raise InputError(f"series: found {list(self.series)}; expected one name or more, each once")
        if not self.targets or not len(self.targets) == len(self.grades) == len(self.findings):
            found = ", ".join(str(len(part)) for part in (self.targets, self.grades, self.findings))
            raise InputError(f"targets: found {found} targets, grades and findings; expected one of each for a target")
        for name in ("inputs", "features", "width", "channels", "hidden"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: found {getattr(self, name)}; expected a whole number from 1 on")
        for name in ("dropout", "removed"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name}: found {getattr(self, name)}; expected 0 or more, and less than 1")
        if min(self.grades) < 2:
            raise InputError(f"grades: found {min(self.grades)}; expected two or more for each target")

    @property
    def groups(self) -> tuple[str, ...]:
        """What has a classifier of its own: all targets, each finding, or each series."""
        if self.architecture == "sets":
            return ("all",)
        return self.series if self.architecture == "slices" else tuple(dict.fromkeys(self.findings))

    def to_json(self) -> str:
        """As JSON text, which `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """From what `to_json` wrote; `InputError` for any other text."""
        try:
            found = json.loads(text)
        except ValueError as error:
            raise InputError(f"configuration: found no JSON ({error}); expected what `to_json` writes") from error
        kinds: dict[str, type | tuple[type, ...]] = {
            one.name: (int, float) if one.type is float else one.type if isinstance(one.type, type) else (str, list)
            for one in fields(cls)
        }
        if not isinstance(found, dict) or set(found) != set(kinds):
            raise InputError(f"configuration: found {str(found)[:60]}; expected an object of {', '.join(kinds)}")
        for name, kind in kinds.items():
            if isinstance(found[name], bool) or not isinstance(found[name], kind):
                raise InputError(f"{name}: found {str(found[name])[:40]}; expected {kind}")
        lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
        for name, values in lists.items():
            if any(type(value) is not (int if name == "grades" else str) for value in values):
                raise InputError(f"{name}: found {str(found[name])[:40]}; expected a list of one kind")
        return cls(**{**found, **lists})


class Weights(NamedTuple):
    """What a network looked at: tokens (studies, series, tokens), series (studies, series). Each sums to 1."""

    tokens: Tensor
    series: Tensor


class Fusion(nn.Module):
    """The trained part of a network, on reduced tokens; of one shape for all ways to live without a series.

    So networks of one architecture can be trained at once, whatever stands for their missing series.
    """

    stands: Tensor
    learned: Tensor
    renormalised: Tensor
    prior: Tensor
    group: Tensor

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        series, groups = len(config.series), len(config.groups)
        targets, grades = len(config.targets), max(config.grades)
        # Flags are numbers in the state, and not branches of the code.
        self.register_buffer("stands", torch.tensor(float(config.missing in ("nothing", "pseudo"))))
        self.register_buffer("learned", torch.tensor(float(config.missing == "neutral")))
        self.register_buffer("renormalised", torch.tensor(float(config.missing in ("dynamic", "modality_dropout"))))
        known = torch.arange(grades) < torch.tensor(config.grades)[:, None]
        self.register_buffer("prior", torch.where(known, 0.0, LEAST))
        places = [config.groups.index(one) for one in config.findings] if config.architecture == "regions" else []
        self.register_buffer("group", torch.tensor(places or [0] * targets))
        self.query = nn.Parameter(torch.zeros(series, config.features))
        self.project = _drawn(series, config.features, config.width)
        self.shift = nn.Parameter(torch.zeros(series, config.width))
        self.neutral = nn.Parameter(0.1 * torch.randn(series, config.width))  # at 0 a ReLU has no gradient
        self.set_query = nn.Parameter(torch.zeros(config.width))
        self.set_score = nn.Parameter(torch.zeros(series))
        self.first = _drawn(series * KERNEL, config.channels)
        self.first_shift = nn.Parameter(torch.zeros(config.channels, 1))
        self.second = _drawn(config.channels * KERNEL, 1)
        self.hidden = _drawn(groups, config.width, config.hidden)
        self.hidden_shift = nn.Parameter(torch.zeros(groups, config.hidden))
        own = config.architecture == "regions"  # each target belongs to one classifier, or to all of them
        self.last = _drawn(
            *((targets, config.hidden, grades) if own else (groups, config.hidden, targets * grades)), gain=0.1
        )
        self.last_shift = nn.Parameter(torch.zeros(targets if own else groups, self.last.shape[-1]))

    def forward(
        self, x: Tensor, mask: Tensor, present: Tensor, filled: Tensor, kept: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Logits (studies, targets, grades); of grades that a target has not, so low that their probability is 0.

        x: (studies, series, tokens, features), 0 where `mask` (studies, series, tokens) is not
        present: bool (studies, series), what may be looked at; filled: (studies, series, features) for the others
        kept: what dropout multiplies a classifier's inputs and its hidden numbers by: (studies, width), (studies,
            hidden); None for none
        """
        values = self._embedded(x, mask, present, filled)
        weights = self._series_weights(values, present)
        if self.config.architecture == "slices":
            logits = self._classified(values, kept)  # (studies, series, targets, grades)
            said = logits.log_softmax(-1) + weights.clamp(min=1e-30).log()[:, :, None, None]
            return said.logsumexp(1)
        fused = self._fused(values * weights[..., None] * len(self.config.series))
        return self._classified(fused[:, None].expand(-1, len(self.config.groups), -1), kept)[:, 0]

    def token_weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """Weights of the tokens within their series, (studies, series, tokens); 0 in a series without any."""
        if self.config.architecture == "sets":
            return mask / mask.sum(-1, keepdim=True).clamp(min=1)
        scores = torch.einsum("nstf,sf->nst", x, self.query)
        return scores.masked_fill(~mask, LEAST).softmax(-1) * mask

    def series_weights(self, x: Tensor, mask: Tensor, present: Tensor, filled: Tensor) -> Tensor:
        """Weights of the series, (studies, series)."""
        return self._series_weights(self._embedded(x, mask, present, filled), present)

    def _embedded(self, x: Tensor, mask: Tensor, present: Tensor, filled: Tensor) -> Tensor:
        """One vector a series, (studies, series, width); of one that is not there, what stands for it."""
        pooled = torch.einsum("nst,nstf->nsf", self.token_weights(x, mask), x)
        pooled = torch.where(present[..., None], pooled, filled)
        values = torch.einsum("nsf,sfw->nsw", pooled, self.project) + self.shift
        return torch.where(present[..., None] | (self.stands > 0), values, self.learned * self.neutral)

    def _series_weights(self, values: Tensor, present: Tensor) -> Tensor:
        content = values @ self.set_query if self.config.architecture == "sets" else 0.0 * values.sum(-1)
        scores = content + self.set_score
        return torch.where(present | (self.renormalised == 0), scores, LEAST).softmax(-1)

    def _fused(self, values: Tensor) -> Tensor:
        """(studies, series, width) to (studies, width): convolutions along the width, the series as channels."""
        inner = (torch.einsum("nkw,kc->ncw", _neighbours(values), self.first) + self.first_shift).relu()
        return torch.einsum("nkw,kc->ncw", _neighbours(inner), self.second)[:, 0] + values.mean(1)

    def _classified(self, values: Tensor, kept: tuple[Tensor, Tensor] | None) -> Tensor:
        """(studies, groups, width) to logits (studies, groups, targets, grades); in `regions`, as of one group."""
        values = values.relu()
        if kept is not None:
            values = values * kept[0][:, None]
        inner = (torch.einsum("ngw,gwh->ngh", values, self.hidden) + self.hidden_shift).relu()
        if kept is not None:
            inner = inner * kept[1][:, None]
        if self.config.architecture == "regions":
            return (torch.einsum("nth,tho->nto", inner[:, self.group], self.last) + self.last_shift + self.prior)[
                :, None
            ]
        logits = torch.einsum("ngh,gho->ngo", inner, self.last) + self.last_shift
        return logits.unflatten(-1, (len(self.config.targets), max(self.config.grades))) + self.prior


class FusionNet(nn.Module):
    """Tokens of a study's series to grades: reduction, what stands for a missing series, and `Fusion`.

    The reduction and the autoencoder are learned from training studies beside the rest; see `medutils.training.fusion`.
    """

    mean: Tensor
    components: Tensor

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        series = len(config.series)
        self.register_buffer("mean", torch.zeros(series, config.inputs))
        self.register_buffer("components", torch.zeros(series, config.inputs, config.features))
        self.pseudo = PseudoModality(series, config.features, config.pseudo) if config.missing == "pseudo" else None
        self.fusion = Fusion(config)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (studies, targets, grades).

        x: float32 (studies, series, tokens, inputs); what it holds where `mask` is not is never looked at
        mask: bool (studies, series, tokens): a series is there when any of its tokens is

        Raises `InputError` for another shape, a study without any series, and numbers that are not finite.
        """
        logits: Tensor = self.fusion(*self.prepared(x, mask))
        return logits

    def probabilities(self, x: Tensor, mask: Tensor) -> Tensor:
        """As `forward`, but the shares of the grades; 0 for grades that a target has not."""
        return self(x, mask).softmax(-1)

    def attention(self, x: Tensor, mask: Tensor) -> Weights:
        """What the network looked at. In `sets` all tokens of a series count alike."""
        x, mask, present, filled = self.prepared(x, mask)
        tokens = self.fusion.token_weights(x, mask)
        return Weights(tokens, self.fusion.series_weights(x, mask, present, filled))

    def prepared(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What `Fusion` takes of it: reduced tokens, mask, which series are there, what stands for the others."""
        _check(x, mask, self.config)
        reduced, present = self.reduce(x, mask), mask.any(-1)
        return reduced, mask, present, self.filled(reduced, mask, present)

    def reduce(self, x: Tensor, mask: Tensor) -> Tensor:
        """Principal components of the tokens: (studies, series, tokens, features), 0 where `mask` is not."""
        centred = torch.where(mask[..., None], x - self.mean[:, None], 0.0)
        return torch.einsum("nsti,sif->nstf", centred, self.components)

    def filled(self, reduced: Tensor, mask: Tensor, present: Tensor) -> Tensor:
        """What stands for the average embedding of a missing series: predicted, or the training studies' mean, 0."""
        mean = averaged(reduced, mask)
        return torch.zeros_like(mean) if self.pseudo is None else self.pseudo(mean, present)


def averaged(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens of each series: (studies, series, features); 0 for a series without any."""
    return (x * mask[..., None]).sum(2) / mask.sum(2).clamp(min=1)[..., None]


def build(config: FusionConfig, state: Mapping[str, Any]) -> FusionNet:
    """A trained network in evaluation mode; `InputError` when the weights are of another configuration."""
    network = FusionNet(config)
    try:
        network.load_state_dict(state)
    except (RuntimeError, AttributeError, TypeError) as error:
        what = str(error).partition("\n")[0]
        raise InputError(f"weights: found others than the configuration's ({what}); expected its own") from error
    return network.eval().requires_grad_(False)


def _drawn(*shape: int, gain: float = 1.0) -> nn.Parameter:
    """Weights (..., from, to), normal, with a deviation that keeps the size of what they are given."""
    return nn.Parameter(torch.randn(shape) * gain / shape[-2] ** 0.5)


def _neighbours(values: Tensor) -> Tensor:
    """Each channel and its neighbours along the width, as a convolution looks at them: (n, channels * KERNEL, width).

    A convolution as a product of matrices runs for many networks at once.
    """
    beside = nn.functional.pad(values, (KERNEL // 2, KERNEL // 2))
    width = values.shape[-1]
    return torch.cat([beside[..., place : place + width] for place in range(KERNEL)], dim=-2)


def _check(x: Tensor, mask: Tensor, config: FusionConfig) -> None:
    wanted = f"(studies, {len(config.series)} series, tokens, {config.inputs} numbers of '{config.embedder}')"
    if x.ndim != 4 or x.shape[1] != len(config.series) or x.shape[3] != config.inputs:
        raise InputError(f"x: found the shape {tuple(x.shape)}; expected {wanted}")
    if mask.dtype != torch.bool or mask.shape != x.shape[:3]:
        raise InputError(f"mask: found {mask.dtype} {tuple(mask.shape)}; expected one bool for each token of {wanted}")
    if not mask.flatten(1).any(1).all():
        row = int((~mask.flatten(1).any(1)).nonzero()[0])
        raise InputError(f"mask: found no series in study {row}; expected one of {', '.join(config.series)} at least")
    if not torch.where(mask[..., None], x, 0.0).isfinite().all():
        raise InputError("x: found a number that is not finite in a series that is there; expected embeddings")
