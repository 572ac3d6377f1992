"""Muon for the hidden matrices: momentum whose singular values are set to one by Newton-Schulz steps.

It needs far fewer tokens than AdamW at this size. Method and coefficients: Keller Jordan, "Muon: an optimizer for
hidden layers in neural networks" (2024). Matrices of one shape are stacked and handled together.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import torch
from torch import Tensor, nn

_A, _B, _C = 3.4445, -4.7750, 2.0315


def orthogonalize(matrices: Tensor, steps: int = 5) -> Tensor:
    """(count, rows, columns) to the nearest semi-orthogonal matrices, roughly."""
    x = matrices.bfloat16()
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    result: Tensor = (x.mT if tall else x).float()
    return result


class Muon(torch.optim.Optimizer):
    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        for group in self.param_groups:
            by_shape = sorted(group["params"], key=lambda p: tuple(p.shape))
            for shape, members in groupby(by_shape, key=lambda p: tuple(p.shape)):
                self._step_stack(list(members), shape, group["lr"], group["momentum"], group["weight_decay"])

    def _step_stack(
        self, members: list[nn.Parameter], shape: tuple[int, ...], lr: float, momentum: float, decay: float
    ) -> None:
        updates = []
        for parameter in members:
            assert parameter.grad is not None
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            state["momentum"].lerp_(parameter.grad, 1 - momentum)
            updates.append(parameter.grad.lerp(state["momentum"], momentum))
        scale = max(1.0, shape[0] / shape[1]) ** 0.5
        for parameter, update in zip(members, orthogonalize(torch.stack(updates)), strict=True):
            parameter.mul_(1 - lr * decay)
            parameter.add_(update, alpha=-lr * scale)
