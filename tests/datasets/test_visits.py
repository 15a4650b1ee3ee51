"""Several visits of the phantom's participants: what goes on, what stays, and what differs from scan to scan."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from deepjive.datasets import HARD, Difficulties, make_phantom, write_caps
from deepjive.datasets.difficulties import _grown, with_visits
from deepjive.imaging import read_cohort

pytest.importorskip("nilearn")
pytest.importorskip("nibabel")
VISITS = replace(HARD, visits=3)


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(12, 12.0, tau=True, difficulties=VISITS, random_state=2)


def test_the_first_visits_are_the_participants_without_further_visits(phantom):
    single = make_phantom(12, 12.0, tau=True, difficulties=HARD, random_state=2)
    first = np.flatnonzero(phantom.subjects["months"] == 0)
    for name in phantom.data.names:
        np.testing.assert_array_equal(phantom.data.rows(name, first), single.data.rows(name, slice(None)))
    np.testing.assert_array_equal(phantom.data.present[first], single.data.present)


def test_the_disease_goes_on_and_some_participants_do_not_return(phantom):
    visits = phantom.subjects.groupby("participant_id", sort=False)
    assert set(visits.size()) == {1, 2, 3}
    for column in ("stage", "age", "months"):
        assert (visits[column].diff().dropna() > 0).all()
    assert (visits["site"].nunique() == 1).all()
    dates = visits["examination_date"].apply(lambda days: pd.to_datetime(days).diff().dt.days.dropna())
    assert dates.between(320, 410).all()
    decade = 0.2
    for _ in range(10):
        decade = _grown(decade, 0.06)
    assert 0.65 < decade < 0.85


def test_scans_of_a_participant_share_anatomy_but_not_noise():
    phantom = make_phantom(8, 6.0, difficulties=Difficulties(visits=2), random_state=0)
    mri = np.asarray(phantom.data["mri"], dtype=np.float32)[:, phantom.mask]
    who, months = phantom.subjects["participant_id"].to_numpy(), phantom.subjects["months"].to_numpy()
    again = np.flatnonzero(months == 12)
    first = [int(np.flatnonzero((who == who[row]) & (months == 0))[0]) for row in again]
    distance = np.linalg.norm(mri[:, None] - mri[None], axis=-1)
    assert (distance[again, first] > 0).all()
    others = np.where(who[again][:, None] != who[None], distance[again], np.inf)
    assert (distance[again, first] < others.min(axis=1)).all()


def test_wrong_scans_are_of_one_visit_and_whole_participants_are_groups(phantom):
    table = phantom.subjects
    wrong = (table["pet_of"] != table["participant_id"]) | (table[["shift_x", "shift_y", "shift_z"]] != 0).any(axis=1)
    assert wrong.any()
    assert (table.loc[wrong, "months"] == 0).all()
    np.testing.assert_array_equal(phantom.data.groups, table["participant_id"].to_numpy(dtype=str))
    assert phantom.data.samples.tolist() == phantom.samples


def test_visits_written_as_clinica_does_are_read_with_dates_and_split_by_participant(phantom, tmp_path):
    caps, bids = write_caps(phantom, tmp_path)
    cohort = read_cohort({"mri": ("t1-volume", caps)}, clinical=bids)
    assert cohort.samples == phantom.samples
    assert cohort.table["examination_date"].tolist() == phantom.subjects["examination_date"].tolist()
    np.testing.assert_allclose(cohort.table["age"], phantom.subjects["age"])
    for train, test in cohort.folds(3):
        assert not set(cohort.groups[train]) & set(cohort.groups[test])


def test_other_numbers_of_visits_are_refused_and_one_visit_changes_nothing(phantom):
    for wrong in (0, 9, 1.5, True):
        with pytest.raises(ValueError, match=r"visits is .*, but must be a whole number from 1 to 8"):
            Difficulties(visits=wrong)
    assert with_visits(phantom.subjects, 1) is phantom.subjects
