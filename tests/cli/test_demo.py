"""The demonstration, at a size that takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepjive.datasets import load_paired_digits


@pytest.mark.slow
def test_the_demonstration_shows_every_baseline_and_writes_a_run(invoke, tmp_path: Path) -> None:
    result = invoke("demo", "--out", tmp_path / "demo", "--pairs", 300, "--max-epochs", 2)
    assert result.exit_code == 0, result.output
    for words in ("DeepJIVE, joint scores", "AJIVE", "PCA", "Separate autoencoders", "shuffled", "chance is 10%"):
        assert words in result.stdout
    assert {path.name for path in (tmp_path / "demo").iterdir()} >= {"report.html", "model.safetensors", "history.csv"}
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "Digits classified from scores" in page
    assert f"deepjive demo --out {tmp_path}/demo --pairs 300 --max-epochs 2" in page


def test_paired_digits_share_the_digit_but_no_image_with_the_test_pairs() -> None:
    train, test = load_paired_digits(400, 200, max_angle=0.0, noise=0.0, random_state=3)

    def images(pairs):
        return {image.tobytes() for image in pairs.data["turned"].round(4)} | {
            (1 - image).round(4).astype("float32").tobytes() for image in pairs.data["negative"]
        }

    assert not images(train) & images(test)
    again, _ = load_paired_digits(400, 200, max_angle=0.0, noise=0.0, random_state=3)
    assert (again.digit == train.digit).all()
    # the two images of a pair are different images
    assert all(
        (turned.round(3) != (1 - negative).round(3)).any()
        for turned, negative in zip(train.data["turned"], train.data["negative"], strict=True)
    )
