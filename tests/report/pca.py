"""A linear model that needs no training: principal components of all modalities together, then of what is left."""

from typing import Any, Self

import numpy as np

from deepjive.base import JointIndividualModel, Scores
from deepjive.modalities import as_modalities


class ConcatenatedPCA(JointIndividualModel):
    def __init__(self, joint_rank: int = 2, individual_ranks: int = 1):
        self.joint_rank, self.individual_ranks = joint_rank, individual_ranks

    def fit(self, X: Any, y: Any = None) -> Self:
        data = as_modalities(X)
        flat = {name: np.asarray(array, dtype=float).reshape(len(data), -1) for name, array in data.items()}
        self.shapes_ = dict(data.shapes)
        self.mean_ = {name: x.mean(axis=0).reshape(data.shapes[name]) for name, x in flat.items()}
        centred = {name: x - x.mean(axis=0) for name, x in flat.items()}
        left, values, right = np.linalg.svd(np.hstack(list(centred.values())), full_matrices=False)
        self.joint_rank_ = self.joint_rank
        self.individual_ranks_ = dict.fromkeys(data.names, self.individual_ranks)
        loadings = values[: self.joint_rank, None] * right[: self.joint_rank] / np.sqrt(len(data))
        ends = np.cumsum([x.shape[1] for x in centred.values()])[:-1]
        self.joint_loadings_ = dict(zip(data.names, np.split(loadings, ends, axis=1), strict=True))
        scores = left[:, : self.joint_rank] * np.sqrt(len(data))
        self.individual_loadings_ = {}
        for name, x in centred.items():
            rest = x - scores @ self.joint_loadings_[name]
            _, values, right = np.linalg.svd(rest, full_matrices=False)
            scaled = values[:, None] * right / np.sqrt(len(data))
            self.individual_loadings_[name] = scaled[: self.individual_ranks]
        return self

    def _scores(self, data):
        centred = {
            name: data.rows(name, slice(None)).reshape(len(data), -1) - self.mean_[name].ravel() for name in data
        }
        stacked = np.hstack([self.joint_loadings_[name] for name in data])
        joint = np.hstack(list(centred.values())) @ np.linalg.pinv(stacked)
        individual = {
            name: (x - joint @ self.joint_loadings_[name]) @ np.linalg.pinv(self.individual_loadings_[name])
            for name, x in centred.items()
        }
        return Scores(joint, individual)

    def _render(self, part, name, joint_scores, individual_scores):
        shape = (len(joint_scores), *self.shapes_[name])
        if part == "joint":
            return (joint_scores @ self.joint_loadings_[name]).reshape(shape) + self.mean_[name]
        return (individual_scores @ self.individual_loadings_[name]).reshape(shape)
