"""Subsets of modalities: which are allowed, and how many components belong to each."""

import pytest

from deepjive.subsets import checked_subsets, columns_of, common_spaces, parse_subsets, ranks_of_subsets

NAMES = ("rna", "protein", "mirna")


def test_auto_is_all_subsets_but_that_of_all_modalities():
    subsets = checked_subsets("auto", ("a", "b", "c", "d"))
    assert list(subsets)[:5] == [("a", "b", "c"), ("a", "b", "d"), ("a", "c", "d"), ("b", "c", "d"), ("a", "b")]
    assert len(subsets) == 10


def test_named_subsets_are_in_the_order_of_the_modalities():
    assert list(checked_subsets([("protein", "rna"), ("rna", "mirna")], NAMES)) == [NAMES[:2], ("rna", "mirna")]
    assert checked_subsets({("mirna", "protein"): 2}, NAMES) == {("protein", "mirna"): 2}


def test_the_subset_of_all_modalities_needs_no_name():
    assert checked_subsets([NAMES, NAMES[:2]], NAMES) == {NAMES[:2]: None}


@pytest.mark.parametrize(
    ("subsets", "error", "words"),
    [
        ("all", TypeError, "None, 'auto', a list"),
        ([("rna",)], ValueError, "at least two different modalities"),
        ([("rna", "pet")], ValueError, "'pet'"),
        ([("rna", "rna")], ValueError, "at least two different"),
        (["rna", "protein"], ValueError, "at least two"),
        ([("rna", "protein"), ("protein", "rna")], ValueError, "twice"),
        ({("rna", "protein"): -1}, ValueError, "at least 0"),
        ({NAMES: 1}, ValueError, "joint_rank"),
    ],
)
def test_wrong_subsets_are_refused(subsets, error, words):
    with pytest.raises(error, match=words):
        checked_subsets(subsets, NAMES)


def test_six_modalities_need_named_subsets():
    names = tuple("abcdef")
    with pytest.raises(ValueError, match="Name the subsets"):
        checked_subsets("auto", names)
    assert checked_subsets([("a", "f")], names) == {("a", "f"): None}


def test_two_modalities_have_no_subsets():
    with pytest.raises(ValueError, match="at least three modalities"):
        checked_subsets("auto", ("a", "b"))


def test_a_component_belongs_to_its_largest_subset():
    common = {("a", "b", "c"): 2, ("a", "b"): 5, ("a", "c"): 2, ("b", "c"): 3}
    ranks = ranks_of_subsets(common, dict.fromkeys(common))
    assert ranks == {("a", "b", "c"): 2, ("a", "b"): 3, ("a", "c"): 0, ("b", "c"): 1}


def test_common_components_of_sets_are_found_from_pairs():
    spaces = {"a": {1, 2, 3, 4}, "b": {1, 2, 5}, "c": {1, 3, 5}}

    def meet(subset, pairs):
        found = [others & own for others, own in pairs]
        assert all(one == found[0] for one in found)
        return found[0]

    found = common_spaces(("a", "b", "c"), [("a", "b"), ("b", "c")], spaces, meet)
    assert found == {("a", "b", "c"): {1}, ("a", "b"): {1, 2}, ("b", "c"): {1, 5}}


def test_columns_follow_each_other():
    assert columns_of({("a", "b"): 2, ("b", "c"): 0, ("a", "c"): 1}) == {
        ("a", "b"): slice(0, 2),
        ("b", "c"): slice(2, 2),
        ("a", "c"): slice(2, 3),
    }


def test_subsets_are_read_from_text():
    assert parse_subsets("auto") == "auto"
    assert parse_subsets("rna+protein, rna+mirna") == [("rna", "protein"), ("rna", "mirna")]
    with pytest.raises(ValueError, match="must be 'auto' or subsets"):
        parse_subsets("rna+,protein")
