"""Separate autoencoders: the baseline without joint structure, with one autoencoder for each modality."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from deepjive.adjust.units import Scale, Transformations
from deepjive.decomposition import Decomposition
from deepjive.deep.estimator import DeepJIVE
from deepjive.deep.runtime.settings import Runtime
from deepjive.results import Finding


class SeparateAutoencoders(TransformerMixin, BaseEstimator):
    """One autoencoder for each modality, with the same networks and training as `DeepJIVE`.

    Parameters
    ----------
    ranks : int or dict of str to int, default=1
        Number of scores, for all modalities or for each. For a fair comparison with a `DeepJIVE`, use the sum of its
        joint rank and individual rank.
    transformation, scale, networks, dropout, weight_decay, max_epochs, batch_size, learning_rate
        As of `DeepJIVE`.
    validation_fraction, device, runtime, random_state, verbose
        As of `DeepJIVE`.

    Attributes
    ----------
    model_ : DeepJIVE
        The autoencoders, as the individual parts of a model with joint rank 0.
    ranks_ : dict of str to int
        Number of scores of each modality.
    individual_scores_ : dict of str to array, shape (n_samples, rank)
        Scores of the fitted samples; NaN where a sample lacks the modality.
    variance_explained_ : dict of str to dict
        For each modality the fractions "joint" (0), "individual" and "residual" of the variance of the fitted samples.

    See Also
    --------
    deepjive.DeepJIVE : The model with a joint part.

    Examples
    --------
    >>> import numpy as np
    >>> from deepjive import Modalities, SeparateAutoencoders
    >>> rng = np.random.default_rng(0)
    >>> data = Modalities({name: rng.normal(size=(50, 1)) @ rng.normal(size=(1, 6)) for name in ("a", "b")})
    >>> SeparateAutoencoders(ranks=1, networks="linear", random_state=0).fit(data).transform(data).shape
    (50, 2)
    """

    def __init__(
        self,
        *,
        ranks: int | Mapping[str, int] = 1,
        transformation: Transformations = None,
        scale: Scale = "modality",
        networks: Any = "auto",
        dropout: float = 0.0,
        weight_decay: float = 0.1,
        max_epochs: int = 500,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: float = 3e-3,
        validation_fraction: float = 0.1,
        device: str = "cpu",
        runtime: Runtime | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.ranks = ranks
        self.transformation = transformation
        self.scale = scale
        self.networks = networks
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.device = device
        self.runtime = runtime
        self.random_state = random_state
        self.verbose = verbose

    @property
    def needs_all_modalities(self) -> bool:
        """False, because each modality has its own autoencoder."""
        return False

    @property
    def is_stochastic(self) -> bool:
        """True, because two seeds give two different models."""
        return True

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the autoencoders to Modalities.

        Parameters
        ----------
        X : Modalities, mapping or sequence
            The data, with at least two modalities.
        y : ignored
            For scikit-learn's pipelines.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError, deepjive.deep.training.training.TrainingError
            As `DeepJIVE.fit`.
        """
        self._take(self._unfitted().fit(X))
        return self

    def transform(self, X: Any) -> NDArray:
        """Compute the scores of all modalities, side by side.

        Parameters
        ----------
        X : Modalities, mapping or sequence
            Some or all of the fitted modalities.

        Returns
        -------
        array, shape (n_samples, sum of ranks)
        """
        scores = self.decompose(X).individual_scores
        return np.concatenate(list(scores.values()), axis=1)

    def decompose(self, X: Any) -> Decomposition:
        """Reconstruct samples.

        Parameters
        ----------
        X : Modalities, mapping or sequence
            Some or all of the fitted modalities.

        Returns
        -------
        Decomposition
            The individual part of a modality is its reconstruction, minus the mean. The joint part is the mean of the
            training samples.
        """
        check_is_fitted(self)
        return self.model_.decompose(X)

    def diagnostics(self) -> list[Finding]:
        """Return the known failures that the history of training shows; see `DeepJIVE.diagnostics`."""
        check_is_fitted(self)
        return self.model_.diagnostics()

    @property
    def n_features_in_(self) -> int:
        """Number of features of all modalities together."""
        check_is_fitted(self)
        return self.model_.n_features_in_

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the scores: modality and number, such as ``mri_1``."""
        check_is_fitted(self)
        names = [f"{name}_{number}" for name, rank in self.ranks_.items() for number in range(1, rank + 1)]
        return np.asarray(names, dtype=object)

    def save(self, path: str | Path) -> None:
        """Write the fitted model to a folder, from which `deepjive.load` reads it.

        Parameters
        ----------
        path : path
            The folder; it is made if it does not exist. Files of an older model in it are replaced.
        """
        from deepjive.persistence import save

        check_is_fitted(self)
        save(self, path)

    def _unfitted(self) -> DeepJIVE:
        parameters = self.get_params(deep=False)
        ranks = parameters.pop("ranks")
        return DeepJIVE(joint_rank=0, individual_ranks=ranks, orthogonality=None, **parameters)

    def _take(self, model: DeepJIVE) -> None:
        """Set the learned attributes from a fitted model."""
        self.model_ = model
        self.ranks_ = model.individual_ranks_
        self.individual_scores_ = model.individual_scores_
        self.variance_explained_ = model.variance_explained_

    def _learned(self) -> dict[str, Any]:
        return self.model_._learned()

    def _restore(self, learned: dict[str, Any]) -> None:
        model = self._unfitted()
        model._restore(learned)
        self._take(model)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # the input is several arrays; how to split one array is not known
        return tags
