import csv

import numpy as np
import pytest

from deepjive.datasets import REGIONS, pattern
from deepjive.imaging import mni_grid, reference_region, resampled, sphere_distance

pytest.importorskip("nilearn")
nibabel = pytest.importorskip("nibabel")
FURTHEST = 8.0  # mm: centroids of the two atlases' regions differ by about half a region's width


def test_the_centres_lie_in_the_desikan_killiany_regions_of_their_names(shared_data):
    image = nibabel.load(shared_data("brain/desikan_killiany.nii.gz"))
    with open(shared_data("brain/desikan_killiany_labels.csv")) as file:
        names = {int(row["index"]): row["name"] for row in csv.DictReader(file)}
    grid = mni_grid(3)
    labels = resampled(np.asarray(image.dataobj), image.affine, grid, order=0).astype(int)
    for name, region in REGIONS.items():
        for sides, centre in ((("Left-", "ctx-lh-"), region.left), (("Right-", "ctx-rh-"), region.right)):
            wanted = [side + label for side in sides for label in region.labels]
            here = np.isin(labels, [number for number, label in names.items() if label in wanted])
            assert sphere_distance(grid, centre)[here].min() <= FURTHEST, (name, centre)


def test_the_disease_spares_the_cerebellum_and_the_two_sides_are_alike():
    for kind in ("amyloid", "atrophy"):
        found = pattern(kind, 6)
        assert found.max() <= 1
        assert not found[reference_region("cerebellar-grey", 6)].any()
        assert np.corrcoef(found.ravel(), found[::-1].ravel())[0, 1] > 0.97
