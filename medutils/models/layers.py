"""Layers that torch has too, rebuilt where its own are slow on a CPU. Each gives the same function."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class FastDropout(nn.Module):
    """Dropout that draws its mask from a fast bit generator, where torch's draws one number after the other.

    The mask comes from one seed a call, taken from `generator` (torch's global one when None), so a run is as
    reproducible as with `nn.Dropout`. The probability is exact to 1/65,536. On a GPU it is torch's own.
    """

    def __init__(self, p: float, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.p, self.generator = p, generator

    @property
    def scale(self) -> float:
        """What the values that are kept are multiplied by."""
        return 1 / (1 - self.p)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return nn.functional.dropout(x, self.p)
        return x * self.kept(x.shape).to(x.dtype).mul_(self.scale)

    def kept(self, shape: torch.Size) -> Tensor:
        """Draw which values of a tensor of that shape are kept: bool."""
        seed = int(torch.randint(2**62, (), generator=self.generator))
        drawn = np.frombuffer(np.random.Generator(np.random.SFC64(seed)).bytes(2 * shape.numel()), np.uint16)
        return torch.from_numpy(drawn >= round(self.p * 65536)).view(shape)


def has_onednn(x: Tensor) -> bool:
    """Whether oneDNN's float32 is to be used for it: on a CPU whose gain was measured, and without autocast."""
    fast = torch.backends.cpu.get_cpu_capability().startswith("AVX")
    whole = not torch.is_autocast_enabled("cpu")
    return x.device.type == "cpu" and torch.backends.mkldnn.is_available() and fast and whole


class WideLinear(nn.Linear):
    """A linear layer of very many inputs, whose products of few rows take oneDNN half of the time that torch's take."""

    FEWEST = 16_384  # inputs from which on it is used

    def forward(self, x: Tensor) -> Tensor:
        wide = self.in_features >= self.FEWEST and x.dtype == self.weight.dtype == torch.float32
        if not (wide and has_onednn(x) and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
            return super().forward(x)
        found: Tensor = _Wide.apply(x.contiguous(), self.weight, self.bias)
        return found


class _Wide(torch.autograd.Function):
    """x (rows, in) times a weight (out, in), plus a bias."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        to_x = upstream @ weight if ctx.needs_input_grad[0] else None
        return to_x, _product(upstream.t().contiguous(), x.t(), None), upstream.sum(0)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x times the transpose of weight, by oneDNN."""
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return found


class ReplicatedLinear(nn.Module):
    """One `nn.Linear` for each replica: (replicas, rows, in) to (replicas, rows, out)."""

    def __init__(self, layers: tuple[nn.Linear, ...]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach().T for layer in layers]).contiguous())
        self.bias = nn.Parameter(torch.stack([layer.bias.detach()[None] for layer in layers]))

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.shape[2] == 1:  # a product with one column is slow as a batched matrix product
            return torch.linalg.vecdot(x, self.weight.transpose(1, 2)).unsqueeze(2) + self.bias
        return torch.baddbmm(self.bias, x, self.weight)


class ReplicatedBatchNorm(nn.Module):
    """One `nn.BatchNorm1d` for each replica, over the rows of (replicas, rows, features)."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, layers: tuple[nn.BatchNorm1d, ...]) -> None:
        super().__init__()
        self.eps, self.momentum = layers[0].eps, layers[0].momentum or 0.1
        shape = (len(layers), 1, layers[0].num_features)
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))
        self.register_buffer("running_mean", torch.zeros(shape))
        self.register_buffer("running_var", torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return (x - self.running_mean) * torch.rsqrt(self.running_var + self.eps) * self.weight + self.bias
        y, mean, variance = _Normalise.apply(x, self.weight, self.bias, self.eps)
        rows = x.shape[1]
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (rows / (rows - 1)), self.momentum)
        return y


class _Normalise(torch.autograd.Function):
    """Batch normalisation over dimension 1 with a gradient by hand: half the passes over memory of autograd's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        mean = x.mean(1, keepdim=True)
        unit = x - mean
        variance = (unit * unit).mean(1, keepdim=True)
        scale = torch.rsqrt(variance + eps)
        unit *= scale
        ctx.save_for_backward(unit, weight, scale)
        ctx.mark_non_differentiable(mean, variance)
        return torch.addcmul(bias, unit, weight), mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        unit, weight, scale = ctx.saved_tensors
        gradient, rows = gradients[0], unit.shape[1]
        of_bias = gradient.sum(1, keepdim=True)
        of_weight = (gradient * unit).sum(1, keepdim=True)
        of_x = (gradient - of_bias / rows).addcmul_(unit, of_weight, value=-1 / rows).mul_(weight * scale)
        return of_x, of_weight, of_bias, None
