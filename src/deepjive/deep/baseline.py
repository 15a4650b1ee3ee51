"""Separate autoencoders: the baseline without joint structure, one autoencoder a modality, nothing in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from deepjive.decomposition import Decomposition
from deepjive.deep.estimator import DeepJIVE


class SeparateAutoencoders(TransformerMixin, BaseEstimator):
    """One autoencoder for each modality, of the same networks and training as `DeepJIVE`.

    Parameters
    ----------
    ranks : int or dict of str to int
        Number of scores, for all modalities or for each: the joint and individual ranks of the model it stands
        beside, added up.
    networks, dropout, weight_decay, max_epochs, batch_size, learning_rate
        As of `DeepJIVE`.
    validation_fraction, accelerator, devices, precision, random_state, verbose
        As of `DeepJIVE`.

    Attributes
    ----------
    model_ : DeepJIVE
        The autoencoders, as individual parts beside an empty joint part.
    """

    def __init__(
        self,
        ranks: int | Mapping[str, int] = 1,
        *,
        networks: Any = "auto",
        dropout: float = 0.0,
        weight_decay: float = 0.1,
        max_epochs: int = 500,
        batch_size: Any = "auto",
        learning_rate: float = 3e-3,
        validation_fraction: float = 0.1,
        accelerator: str = "cpu",
        devices: int | str = 1,
        precision: str = "32-true",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.ranks = ranks
        self.networks = networks
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.accelerator = accelerator
        self.devices = devices
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit to Modalities; `y` is ignored. Errors are those of `DeepJIVE.fit`."""
        settings = self.get_params(deep=False)
        ranks = settings.pop("ranks")
        self.model_ = DeepJIVE(joint_rank=0, individual_ranks=ranks, orthogonality=None, **settings).fit(X)
        return self

    def transform(self, X: Any) -> NDArray:
        """Scores of all modalities side by side, shape (n_samples, sum of ranks)."""
        scores = self.decompose(X).individual_scores
        return np.concatenate(list(scores.values()), axis=1)

    def decompose(self, X: Any) -> Decomposition:
        """Reconstructions as the individual parts, and residuals; the joint part is the mean."""
        check_is_fitted(self)
        return self.model_.decompose(X)

    @property
    def n_features_in_(self) -> int:
        """Number of features of all modalities together."""
        check_is_fitted(self)
        return self.model_.n_features_in_

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the scores: modality and number."""
        check_is_fitted(self)
        ranks = self.model_.individual_ranks_
        return np.asarray([f"{name}_{i}" for name, rank in ranks.items() for i in range(1, rank + 1)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags
