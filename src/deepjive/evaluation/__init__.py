"""Evaluation: how far a decomposition can be believed.

`evidence` measures everything at once; the other functions measure one thing each.

>>> from deepjive.evaluation import evidence, joint_structure_test, probe
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepjive._lazy import front_door

if TYPE_CHECKING:
    from deepjive.evaluation.bootstrap_draws import matched_component
    from deepjive.evaluation.covariation_maps import (
        Covariation,
        covariation,
        dice_of_strongest,
        effect_along,
        effect_maps,
        false_discovery,
    )
    from deepjive.evaluation.dependence import Hsic, hsic
    from deepjive.evaluation.diagnostics import diagnose
    from deepjive.evaluation.evidence_study import Evidence, evidence
    from deepjive.evaluation.feature_ranking import FeatureEffects, effects_of, feature_effects
    from deepjive.evaluation.label_association import Associations, extreme_samples, score_association
    from deepjive.evaluation.map_bootstrap import BootstrapMap, BootstrapMaps, bootstrap_maps
    from deepjive.evaluation.modality_agreement import Agreement, agreement
    from deepjive.evaluation.null import JointStructureTest, explained_by, joint_structure_test, refit_test, shuffled
    from deepjive.evaluation.probes import Probe, probe, task_of
    from deepjive.evaluation.recovery import canonical_correlations, matched, principal_angles, r2
    from deepjive.evaluation.refit import baselines, refitted
    from deepjive.evaluation.refit_stability import Stability, stability
    from deepjive.evaluation.rotation import RotatedModel, rotate
    from deepjive.evaluation.sample_quality import PairFit, SampleFit, pair_fit, sample_fit
    from deepjive.evaluation.score_prediction import CrossPrediction, cross_prediction, cross_predictions
    from deepjive.evaluation.set_enrichment import SetEnrichment, feature_set_enrichment
    from deepjive.evaluation.subset_null import SubsetStructureTest, subset_structure_test
    from deepjive.results import Finding, frame_of

__all__ = [
    "Agreement",
    "Associations",
    "BootstrapMap",
    "BootstrapMaps",
    "Covariation",
    "CrossPrediction",
    "Evidence",
    "FeatureEffects",
    "Finding",
    "Hsic",
    "JointStructureTest",
    "PairFit",
    "Probe",
    "RotatedModel",
    "SampleFit",
    "SetEnrichment",
    "Stability",
    "SubsetStructureTest",
    "agreement",
    "baselines",
    "bootstrap_maps",
    "canonical_correlations",
    "covariation",
    "cross_prediction",
    "cross_predictions",
    "diagnose",
    "dice_of_strongest",
    "effect_along",
    "effect_maps",
    "effects_of",
    "evidence",
    "explained_by",
    "extreme_samples",
    "false_discovery",
    "feature_effects",
    "feature_set_enrichment",
    "frame_of",
    "hsic",
    "joint_structure_test",
    "matched",
    "matched_component",
    "pair_fit",
    "principal_angles",
    "probe",
    "r2",
    "refit_test",
    "refitted",
    "rotate",
    "sample_fit",
    "score_association",
    "shuffled",
    "stability",
    "subset_structure_test",
    "task_of",
]

_MODULES = {
    "Agreement": "deepjive.evaluation.modality_agreement",
    "Associations": "deepjive.evaluation.label_association",
    "BootstrapMap": "deepjive.evaluation.map_bootstrap",
    "BootstrapMaps": "deepjive.evaluation.map_bootstrap",
    "Covariation": "deepjive.evaluation.covariation_maps",
    "CrossPrediction": "deepjive.evaluation.score_prediction",
    "Evidence": "deepjive.evaluation.evidence_study",
    "FeatureEffects": "deepjive.evaluation.feature_ranking",
    "Finding": "deepjive.results",
    "Hsic": "deepjive.evaluation.dependence",
    "JointStructureTest": "deepjive.evaluation.null",
    "PairFit": "deepjive.evaluation.sample_quality",
    "Probe": "deepjive.evaluation.probes",
    "RotatedModel": "deepjive.evaluation.rotation",
    "SampleFit": "deepjive.evaluation.sample_quality",
    "SetEnrichment": "deepjive.evaluation.set_enrichment",
    "Stability": "deepjive.evaluation.refit_stability",
    "SubsetStructureTest": "deepjive.evaluation.subset_null",
    "agreement": "deepjive.evaluation.modality_agreement",
    "baselines": "deepjive.evaluation.refit",
    "bootstrap_maps": "deepjive.evaluation.map_bootstrap",
    "canonical_correlations": "deepjive.evaluation.recovery",
    "covariation": "deepjive.evaluation.covariation_maps",
    "cross_prediction": "deepjive.evaluation.score_prediction",
    "cross_predictions": "deepjive.evaluation.score_prediction",
    "diagnose": "deepjive.evaluation.diagnostics",
    "dice_of_strongest": "deepjive.evaluation.covariation_maps",
    "effect_along": "deepjive.evaluation.covariation_maps",
    "effect_maps": "deepjive.evaluation.covariation_maps",
    "effects_of": "deepjive.evaluation.feature_ranking",
    "evidence": "deepjive.evaluation.evidence_study",
    "explained_by": "deepjive.evaluation.null",
    "extreme_samples": "deepjive.evaluation.label_association",
    "false_discovery": "deepjive.evaluation.covariation_maps",
    "feature_effects": "deepjive.evaluation.feature_ranking",
    "feature_set_enrichment": "deepjive.evaluation.set_enrichment",
    "frame_of": "deepjive.results",
    "hsic": "deepjive.evaluation.dependence",
    "joint_structure_test": "deepjive.evaluation.null",
    "matched": "deepjive.evaluation.recovery",
    "matched_component": "deepjive.evaluation.bootstrap_draws",
    "pair_fit": "deepjive.evaluation.sample_quality",
    "principal_angles": "deepjive.evaluation.recovery",
    "probe": "deepjive.evaluation.probes",
    "r2": "deepjive.evaluation.recovery",
    "refit_test": "deepjive.evaluation.null",
    "refitted": "deepjive.evaluation.refit",
    "rotate": "deepjive.evaluation.rotation",
    "sample_fit": "deepjive.evaluation.sample_quality",
    "score_association": "deepjive.evaluation.label_association",
    "shuffled": "deepjive.evaluation.null",
    "stability": "deepjive.evaluation.refit_stability",
    "subset_structure_test": "deepjive.evaluation.subset_null",
    "task_of": "deepjive.evaluation.probes",
}

__getattr__, __dir__ = front_door(__name__, _MODULES, __all__)
