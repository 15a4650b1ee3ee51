"""Choose joint rank and weight decay of DeepJIVE with Optuna, by the prediction of each modality from the others."""

import numpy as np
import optuna
from sklearn.model_selection import train_test_split

import deepjive as dj
from deepjive.datasets import make_synthetic

train, test = train_test_split(make_synthetic(300, random_state=0).data, random_state=0)


def unpredicted(trial: optuna.Trial) -> float:
    rank, decay = trial.suggest_int("joint_rank", 1, 4), trial.suggest_float("weight_decay", 0.03, 3.0, log=True)
    model = dj.DeepJIVE(joint_rank=rank, individual_ranks=0, weight_decay=decay, max_epochs=30, random_state=0).fit(
        train
    )
    errors = {name: test[name] - model.impute(test, name) for name in test.names}
    return float(np.mean([np.var(error) / np.var(test[name]) for name, error in errors.items()]))


study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
study.optimize(unpredicted, n_trials=10)
print(study.best_params, study.best_value)
