"""Optimizers of a phase: Adam for the modules that the phase trains, and another Adam for a learned constraint."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from deepjive.deep.constraints.identity import Merged
from deepjive.deep.networks import Decoder, Encoder
from deepjive.deep.training.objective import Phase
from deepjive.deep.training.settings import TrainingSettings

MANY_INPUTS = 1000


def optimizers_of(phase: Phase, modules: nn.ModuleList, settings: TrainingSettings) -> list[torch.optim.AdamW]:
    """Adam for the trained modules, and for the auxiliary modules where there are any.

    All other modules are frozen and put in evaluation mode. Weights that came frozen stay frozen.

    Parameters
    ----------
    phase : Phase
        The phase; whether its weights require gradients is changed in place.
    modules : nn.ModuleList
        The list of trained modules and the list of auxiliary modules.
    settings : TrainingSettings
        Training settings.
    """
    phase.eval()
    phase.requires_grad_(False)
    frozen = {id(weight) for name, weight in phase.network.named_parameters() if name in phase.network.frozen}
    optimizers, is_fused = [], not settings.half_precision
    for group, factor in zip(modules, (1.0, settings.regression_rate), strict=True):
        parameters = [weight.requires_grad_(True) for weight in group.parameters() if id(weight) not in frozen]
        if parameters:
            rate = factor * settings.learning_rate
            groups = parameter_groups(group, settings.weight_decay, rate)
            optimizers.append(torch.optim.AdamW(groups, rate, fused=is_fused))
    return optimizers


def parameter_groups(modules: nn.Module, weight_decay: float, rate: float) -> list[dict[str, Any]]:
    """Parameter groups for Adam, by weight decay and learning rate.

    Only nonlinear corrections decay, so that weight decay pulls a network to its linear part.

    Linear maps of more than `MANY_INPUTS` inputs have smaller learning rates. Adam moves every weight by about its
    learning rate, whatever the gradient, so that an output of n inputs moves in proportion to n. At a rate that suits a
    table, a linear map of a volume's voxels would overshoot.

    Parameters
    ----------
    modules : nn.Module
        The modules whose weights require gradients.
    weight_decay : float
        Decoupled weight decay of the nonlinear corrections.
    rate : float
        Learning rate.
    """
    corrected = [module for module in modules.modules() if isinstance(module, (Encoder, Decoder, Merged))]
    linear = {id(weight) for module in corrected for weight in module.linear.parameters()}
    maps = [module for module in modules.modules() if isinstance(module, nn.Linear)]
    factors = {id(layer.weight): min(1.0, MANY_INPUTS / max(1, layer.in_features)) for layer in maps}
    groups: dict[tuple[bool, float], list[Tensor]] = {}
    for weight in (weight for weight in modules.parameters() if weight.requires_grad):
        groups.setdefault((id(weight) in linear, factors.get(id(weight), 1.0)), []).append(weight)
    return [
        {"params": groups[key], "weight_decay": 0.0 if key[0] else weight_decay, "lr": rate * key[1]}
        for key in sorted(groups, key=lambda key: (key[0], -key[1]))
    ]
