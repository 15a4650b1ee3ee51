"""Enrichment of gene sets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from deepjive import AJIVE, DeepJIVE, Modalities
from deepjive.evaluation import feature_effects, feature_set_enrichment
from deepjive.evaluation.feature_regression import features_of

SIZE, COUNT = 15, 10
NAMES = np.array([f"gene {i}" for i in range(SIZE * COUNT)])
SETS = {f"set {i}": NAMES[SIZE * i : SIZE * (i + 1)].tolist() for i in range(COUNT)}


def simulated(seed, n=90, rho=0.3, slope=0.0, groups=None):
    """Genes of a set have correlation rho; the first set rises with a score of the second modality, the next falls."""
    rng = np.random.default_rng(seed)
    shared = np.repeat(rng.normal(size=(n, COUNT)), SIZE, axis=1)
    genes = np.sqrt(rho) * shared + np.sqrt(1 - rho) * rng.normal(size=(n, SIZE * COUNT))
    score, second = rng.normal(size=(n, 1)), rng.normal(size=(n, 30))
    genes[:, : 2 * SIZE] += slope * score * np.repeat([1.0, -1.0], SIZE)
    second += score * rng.normal(size=30) * bool(slope)
    return Modalities({"genes": genes, "second": second}, features={"genes": NAMES}, groups=groups)


def fitted_effects(data, seed=0):
    settings = {"signal_ranks": 2, "n_wedin": 0, "n_random": 0, "random_state": 0}
    model = AJIVE(joint_rank=1, individual_ranks=1, **settings).fit(data)
    return feature_effects(model, data, random_state=seed)


@pytest.fixture(scope="module")
def effects():
    return fitted_effects(simulated(0, slope=0.5))


def test_p_values_are_valid_where_no_set_is_enriched_and_genes_are_correlated():
    p_values, independent = [], []
    for seed in range(25):
        effects = fitted_effects(simulated(seed), seed)
        enrichment = feature_set_enrichment(effects, SETS)["genes"]
        z = effects["genes"].statistic[0]
        p_values.append(enrichment.p_value[0])
        independent += [stats.ttest_ind(z[i], np.delete(z, i)).pvalue for i in np.arange(z.size).reshape(COUNT, SIZE)]
    assert 0.01 < np.mean(np.array(p_values) < 0.05) < 0.1  # 250 p-values; standard error .014
    assert np.mean(np.array(independent) < 0.05) > 0.3


def test_a_set_is_found_with_its_sign(effects):
    enrichment = feature_set_enrichment(effects, SETS)["genes"]
    top = enrichment.top("joint", 1, 2).set_index("set")
    assert sorted(top.index) == ["set 0", "set 1"]
    assert (top["q_value"] < 0.05).all()
    sign = np.sign(effects["genes"].effect[0, 0])
    assert top.loc["set 0", "direction"] == ("up" if sign > 0 else "down")
    assert np.sign(top.loc["set 0", "effect"]) == sign == -np.sign(top.loc["set 1", "effect"])
    assert top.loc["set 0", "effect"] == pytest.approx(
        effects["genes"].effect[0, :SIZE].mean() - effects["genes"].effect[0, SIZE:].mean(), rel=1e-3
    )
    assert "joint 1: 2" in repr(enrichment)


@pytest.mark.parametrize("part", ["joint", "individual"])
def test_the_correlation_is_that_of_the_residuals_of_the_test(effects, part):
    genes = effects["genes"]
    residuals = []
    for features, rows, regressors in genes.regressions[part]:
        values = features_of(genes.data, "genes", rows)[:, features]
        residuals.append(values - regressors @ np.linalg.lstsq(regressors, values, rcond=None)[0])
    order = np.argsort(np.concatenate([features for features, _, _ in genes.regressions[part]]))
    residual = np.concatenate(residuals, axis=1)[:, order]
    between = np.corrcoef(residual[:, :SIZE].T)[np.triu_indices(SIZE, 1)].mean()
    enrichment = feature_set_enrichment(effects, SETS)["genes"]
    row = enrichment.scores.index((part, 1))
    assert enrichment.correlation[row, 0] == pytest.approx(between)


def test_the_test_is_that_of_student_with_the_variance_of_a_mean_of_correlated_genes(effects):
    genes = effects["genes"]
    inside = np.isin(genes.features, SETS["set 3"])
    student = stats.ttest_ind(genes.statistic[0, inside], genes.statistic[0, ~inside]).statistic
    enrichment = feature_set_enrichment({"genes": genes}, SETS)["genes"]
    inflation, outside = 1 + (SIZE - 1) * enrichment.correlation[0, 3], (~inside).sum()
    corrected = student * np.sqrt((1 / SIZE + 1 / outside) / (inflation / SIZE + 1 / outside))
    assert inflation > 3
    assert enrichment.statistic[0, 3] == pytest.approx(corrected)
    regression = genes.regressions["joint"][0]
    free = len(regression.rows) - regression.regressors.shape[1]
    assert enrichment.p_value[0, 3] == pytest.approx(2 * stats.t.sf(abs(corrected), free))


def test_the_statistics_are_those_of_the_p_values_and_signed(effects):
    genes = effects["genes"]
    np.testing.assert_allclose(2 * stats.norm.sf(np.abs(genes.statistic)), genes.p_value, rtol=1e-9)
    strong = genes.p_value < 1e-4
    assert strong.any()
    np.testing.assert_array_equal(np.sign(genes.statistic[strong]), np.sign(genes.effect[strong]))


def test_participants_are_counted_and_not_their_samples():
    genes = fitted_effects(simulated(0, n=80, groups=np.repeat(np.arange(40), 2)))["genes"]
    enrichment = feature_set_enrichment({"genes": genes}, SETS)["genes"]
    ((_, rows, regressors),) = genes.regressions["joint"]
    values = features_of(genes.data, "genes", rows)
    residual = values - regressors @ np.linalg.lstsq(regressors, values, rcond=None)[0]
    participants, codes = np.unique(genes.data.groups[rows], return_inverse=True)
    mean = (codes == np.arange(len(participants))[:, None]) @ residual / 2.0
    length = mean[:, :SIZE] / np.linalg.norm(mean[:, :SIZE], axis=0)
    between = ((length.T @ length).sum() - SIZE) / (SIZE * (SIZE - 1))
    assert enrichment.correlation[0, 0] == pytest.approx(between)
    free = len(participants) - regressors.shape[1]
    np.testing.assert_allclose(enrichment.p_value[0], 2 * stats.t.sf(np.abs(enrichment.statistic[0]), free))


@pytest.mark.filterwarnings("ignore:.*max_epochs:sklearn.exceptions.ConvergenceWarning")
def test_deep_models_have_the_same_test():
    data = simulated(0, slope=0.7)
    model = DeepJIVE(joint_rank=1, individual_ranks=1, max_epochs=8, random_state=0).fit(data)
    enrichment = feature_set_enrichment(feature_effects(model, data, names=["genes"]), SETS)["genes"]
    assert sorted(enrichment.top("joint", 1, 2)["set"]) == ["set 0", "set 1"]
    assert (enrichment.top("joint", 1, 2)["q_value"] < 0.05).all()


def test_sets_with_few_genes_and_modalities_without_sets_are_left_out(effects, tmp_path):
    path = tmp_path / "sets.gmt"
    path.write_text("\n".join("\t".join([name, "", *genes]) for name, genes in SETS.items()) + "\nsmall\t\tgene 1\n")
    enrichment = feature_set_enrichment(effects, path)
    assert list(enrichment) == ["genes"]
    assert enrichment["genes"].sets == list(SETS)
    assert enrichment["genes"].to_frame().notna().all(axis=None)
    assert len(enrichment["genes"].to_frame()) == 2 * COUNT


def test_sets_of_other_names_and_effects_without_a_test_are_refused(effects):
    with pytest.raises(ValueError, match=r"'gene 0', 'gene 1'.*'CD4', 'CD8A'"):
        feature_set_enrichment(effects, {"immune": ["CD4", "CD8A"]})
    genes = effects["genes"]
    untested = replace(genes, statistic=np.full_like(genes.statistic, np.nan), regressions={})
    with pytest.raises(ValueError, match=r"\['genes'\] were not tested.*test=True"):
        feature_set_enrichment({"genes": untested}, SETS)
