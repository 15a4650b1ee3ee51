import json

import pytest

from deepjive.imaging.preprocessing.protocol import PreprocessingError, Step, run_protocol


class Counted:
    """Three steps that append their word to a text, and count how often they run."""

    def __init__(self, fails=()):
        self.runs, self.fails = [], set(fails)

    def steps(self, **parameters):
        return [Step(f"Say {word}", self.action(word), parameters.get(word, {})) for word in "abc"]

    def action(self, word):
        def act(files, folder, parameters):
            self.runs.append(word)
            if word in self.fails:
                raise RuntimeError("it does\nnot converge")
            path = folder / "text.txt"
            path.write_text(files["text"].read_text() + word)
            return {"text": path}, {word: len(self.runs)}

        return act


@pytest.fixture
def start(tmp_path):
    (tmp_path / "start.txt").write_text("-")
    return {"text": tmp_path / "start.txt"}


def test_each_step_gets_the_files_of_the_steps_before(start, tmp_path):
    seen = []
    done = run_protocol(
        Counted().steps(), start, tmp_path / "w", "k", progress=lambda done, total, name: seen.append((done, name))
    )
    assert done.files["text"].read_text() == "-abc"
    assert done.facts == {"a": 1, "b": 2, "c": 3}
    assert seen == [(0, "Say a"), (1, "Say b"), (2, "Say c")]
    assert [step["before"] for step in done.steps] == [False] * 3
    assert all(step["seconds"] >= 0 and step["cpu_seconds"] >= 0 for step in done.steps)


def test_an_interrupted_protocol_continues_at_the_unfinished_step(start, tmp_path):
    failing = Counted(fails="b")
    with pytest.raises(PreprocessingError, match="step 'Say b' failed: it does not converge"):
        run_protocol(failing.steps(), start, tmp_path / "w", "k")
    mended = Counted()
    done = run_protocol(mended.steps(), start, tmp_path / "w", "k")
    assert mended.runs == ["b", "c"]
    assert [step["before"] for step in done.steps] == [True, False, False]
    again = Counted()
    assert run_protocol(again.steps(), start, tmp_path / "w", "k").files == done.files
    assert not again.runs


def test_steps_after_a_change_run_again(start, tmp_path):
    run_protocol(Counted().steps(), start, tmp_path / "w", "k")
    counted = Counted()
    run_protocol(counted.steps(b={"strength": 2}), start, tmp_path / "w", "k")
    assert counted.runs == ["b", "c"]
    run_protocol(counted.steps(b={"strength": 2}), start, tmp_path / "w", "other scans")
    assert counted.runs == ["b", "c", "a", "b", "c"]


@pytest.mark.parametrize("content", ["", "[]", '{"key": 1}', "null"])
def test_a_damaged_record_or_a_lost_file_makes_the_step_run_again(start, tmp_path, content):
    run_protocol(Counted().steps(), start, tmp_path / "w", "k")
    (tmp_path / "w" / "01-say-a" / "step.json").write_text(content)
    (tmp_path / "w" / "03-say-c" / "text.txt").unlink()
    counted = Counted()
    run_protocol(counted.steps(), start, tmp_path / "w", "k")
    assert counted.runs == ["a", "c"]


def test_a_step_fails_if_it_does_not_write_its_files(start, tmp_path):
    steps = [Step("Vanish", lambda files, folder, parameters: ({"text": folder / "gone.txt"}, {}))]
    with pytest.raises(PreprocessingError, match=r"step 'Vanish' should have written \['gone.txt'\]"):
        run_protocol(steps, start, tmp_path / "w", "k")
    assert not list((tmp_path / "w").rglob("step.json"))


def test_a_record_holds_the_facts_and_the_times(start, tmp_path):
    run_protocol(Counted().steps(), start, tmp_path / "w", "k")
    record = json.loads((tmp_path / "w" / "02-say-b" / "step.json").read_text())
    assert record["files"] == {"text": "text.txt"}
    assert record["facts"] == {"b": 2}
