import numpy as np
from sklearn.cross_decomposition import CCA

from deepjive.experiments.omics.canonical import fit_regularized_cca, regularized_cca


def test_two_modalities_without_penalty_have_the_canonical_variates_of_scikit_learn():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(300, 2)) * (2.0, 1.0)
    a = np.hstack([shared, rng.normal(size=(300, 2))]) @ rng.normal(size=(4, 4)) + 0.3 * rng.normal(size=(300, 4))
    b = np.hstack([shared, rng.normal(size=(300, 1))]) @ rng.normal(size=(3, 3)) + 0.3 * rng.normal(size=(300, 3))
    model = regularized_cca({"a": a, "b": b}, rank=2, penalty=0.0)
    variates = CCA(2, max_iter=5000, tol=1e-10).fit(a, b).transform(a, b)
    correlations = [np.corrcoef(x, y)[0, 1] for x, y in zip(variates[0].T, variates[1].T, strict=True)]
    np.testing.assert_allclose(model.eigenvalues - 1, correlations, atol=1e-4)  # an eigenvalue is 1 + correlation
    for name, array, theirs in (("a", a, variates[0]), ("b", b, variates[1])):
        ours = model.scores({name: array})
        assert [abs(np.corrcoef(x, y)[0, 1]) > 0.9999 for x, y in zip(ours.T, theirs.T, strict=True)] == [True, True]


def test_joint_scores_are_orthonormal_and_agree_between_wide_and_tall_tables():
    rng = np.random.default_rng(1)
    wide = {name: rng.normal(size=(20, 50)) for name in "abc"}
    model = regularized_cca(wide, rank=5, penalty=1.0)
    np.testing.assert_allclose(model.joint_scores.T @ model.joint_scores, np.eye(5), atol=1e-10)
    tall = {name: rng.normal(size=(80, 3)) for name in "abc"}
    model = regularized_cca(tall, rank=5, penalty=1.0)
    np.testing.assert_allclose(model.joint_scores.T @ model.joint_scores, np.eye(5), atol=1e-10)


def test_three_modalities_predict_each_other_on_held_out_samples():
    rng = np.random.default_rng(2)
    shared = rng.normal(size=(150, 1))
    arrays = {name: shared @ rng.normal(size=(1, 12)) + 0.3 * rng.normal(size=(150, 12)) for name in "abc"}
    train, test = ({name: x[rows] for name, x in arrays.items()} for rows in (slice(100), slice(100, None)))
    folds = [(np.arange(50), np.arange(50, 100)), (np.arange(50, 100), np.arange(50))]
    model = fit_regularized_cca(train, folds, max_rank=5)
    for name, x in test.items():
        r2 = 1 - np.square(x - model.predict(test, name)).sum() / np.square(x - train[name].mean(axis=0)).sum()
        assert r2 > 0.7
