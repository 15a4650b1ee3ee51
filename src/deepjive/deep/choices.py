"""The values that parameters of deep models may take, as types; torch is not imported."""

from __future__ import annotations

from typing import Literal

IdentityName = Literal["explicit", "exchange", "merged"]
OrthogonalityName = Literal["closed_form", "regression", "adversary"]
ObjectiveName = Literal["joint_first", "published"]
IndividualDecoderName = Literal["additive", "conditioned"]
StrategyName = Literal["auto", "ddp", "ddp_find_unused_parameters_true"]
PrecisionName = Literal["32-true", "bf16-mixed", "16-mixed"]
