"""Trackers: what they receive, that none stops a run, and what the real packages read back."""

import sys
import warnings

import pytest

import thalweg as tw
from tests.made import problem
from thalweg.core.errors import RecipeError
from thalweg.doors.trackers import MLflow, TensorBoard, Trackio, WandB, parse, record
from thalweg.doors.trackers.services import _Service
from thalweg.run.progress import TrainingPlan
from thalweg.run.train import train

RECIPE = tw.Recipe(tw.SGD(lr=0.1), batch_size=32, epochs=9)
LANES = RECIPE.vary(lr=[0.1, 0.3])


class Recorder:
    """A tracker that remembers; it raises in the method that it is told to fail in."""

    def __init__(self, fails=None):
        self.calls, self.fails = [], fails

    def note(self, name, *arguments):
        self.calls.append((name, *arguments))
        if name == self.fails:
            raise ConnectionError("no route to host")

    def start(self, plan):
        self.note("start", plan)

    def log(self, step, figures, lane):
        self.note("log", step, dict(figures), lane)

    def finish(self, result):
        self.note("finish", result)


@pytest.fixture(scope="module")
def alone():
    """Return a run without trackers."""
    return train(problem(), RECIPE)


def test_a_tracker_receives_start_figures_of_each_lane_and_the_end(alone):
    recorder = Recorder()
    run = train(problem(), RECIPE, trackers=[recorder])
    (_, plan), *logged, (_, result) = recorder.calls
    assert plan.name == "blobs" and plan.settings[0]["optimizer.lr"] == pytest.approx(0.1)
    assert result["test_metric"] == run.result["test_metric"]
    steps = [step for _, step, _, _ in logged]
    assert steps == sorted(steps) and steps[-1] == run.result["steps"]
    told = [
        (step, figures["validation_loss"]) for _, step, figures, _ in logged if "validation_loss" in figures
    ]
    history = run.record.evaluations.filter(part="validation")
    assert told == list(zip(history["step"], history["loss"], strict=True))[: len(told)] and told
    assert {name for _, _, figures, _ in logged for name in figures} == {
        *("loss", "learning_rate", "validation_loss", "accuracy")
    }
    assert run.result["test_loss"] == alone.result["test_loss"]


def test_every_lane_is_reported_by_its_number():
    recorder = Recorder()
    runs = train(problem(), LANES, trackers=[recorder])
    last = {lane: step for _, step, _, lane in recorder.calls[1:-1]}
    assert last == {lane: run.result["steps"] for lane, run in enumerate(runs)}
    assert [lane["optimizer.lr"] for lane in recorder.calls[0][1].settings] == pytest.approx([0.1, 0.3])


@pytest.mark.parametrize("fails", ["start", "log", "finish"])
@pytest.mark.parametrize("action", ["always", "error"])
def test_a_tracker_that_fails_is_warned_of_once_and_changes_nothing(alone, fails, action):
    recorder, other = Recorder(fails), Recorder()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action)
        run = train(problem(), RECIPE, trackers=[recorder, other])
    if action == "always":
        assert [str(each.message) for each in caught] == [
            "Recorder failed and receives nothing more of this run: ConnectionError: no route to host"
        ]
    assert [name for name, *_ in recorder.calls].count(fails) == 1 and recorder.calls[-1][0] == fails
    assert other.calls[-1][0] == "finish" and run.result["test_loss"] == alone.result["test_loss"]


@pytest.mark.parametrize("what", ["tensorboard", TensorBoard, object()])
def test_what_is_no_tracker_is_refused(what):
    with pytest.raises(RecipeError, match="must be trackers"):
        train(problem(), RECIPE, trackers=[what])


@pytest.mark.parametrize("text", ["tensorbord:x", "tensorboard:", ":x", "", "csv:logs"])
def test_an_unknown_tracker_is_refused_by_the_command_line(text):
    with pytest.raises(RecipeError, match=r"must be NAME or NAME:PLACE.*tensorboard"):
        parse(text)


def test_a_record_has_the_checksums_of_the_format():
    # RFC 3720, B.4: the CRC-32C of 32 zero bytes is 0x8a9136aa; masked as in record_writer.h.
    masked = (((0x8A9136AA >> 15) | (0x8A9136AA << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    assert record(bytes(32))[-4:] == masked.to_bytes(4, "little")
    assert record(b"ab")[:8] == (2).to_bytes(8, "little") and record(b"ab")[12:14] == b"ab"


def test_tensorboard_reads_the_event_files(tmp_path):
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    run = train(problem(), RECIPE, keep=tmp_path / "mine", trackers=[TensorBoard(tmp_path / "logs")])
    train(problem(), LANES, trackers=[TensorBoard(tmp_path / "logs")])
    alone = reader.EventAccumulator(str(tmp_path / "logs" / "mine"))
    alone.Reload()
    assert alone.Tags()["scalars"] == [
        *("loss", "learning_rate", "validation_loss", "accuracy", "test_loss", "test_accuracy")
    ]
    assert alone.Scalars("test_loss")[-1].value == pytest.approx(run.result["test_loss"], rel=1e-6)
    assert alone.Scalars("loss")[-1].step == run.result["steps"]
    assert (
        "optimizer.lr | 0.1"
        in alone.Tensors(
            "settings/text_summary" if "settings/text_summary" in alone.Tags()["tensors"] else "settings"
        )[0]
        .tensor_proto.string_val[0]
        .decode()
    )
    lane = reader.EventAccumulator(str(tmp_path / "logs" / "blobs" / "lane-001"))
    lane.Reload()
    assert lane.Scalars("validation_loss")[-1].step == run.result["steps"]


def test_a_package_that_is_missing_is_named_before_training(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(tw.MissingExtra, match=r"Trackio needs its package.*\nhint: pip install trackio"):
        parse("trackio:mine")


class Service(_Service):
    """A service that remembers."""

    def __init__(self):
        super().__init__("json", "json")
        self.rows, self.ended = [], []

    def _created(self, plan):
        print("service: started")
        return [f"{plan.name}/{lane}" for lane in range(plan.lanes)]

    def _logged(self, run, step, figures):
        self.rows.append((run, step, figures))

    def _ended(self, failed):
        self.ended.append(failed)


def test_what_a_service_prints_stays_out_of_standard_output(capsys):
    service = Service()
    run = train(problem(), RECIPE, trackers=[service])
    shown = capsys.readouterr()
    assert "service" not in shown.out and "service: started" in shown.err
    last = service.rows[-1]
    assert last[:2] == ("blobs/0", run.result["steps"]) and service.ended == [False]
    assert last[2] == {
        "test_loss": run.result["test_loss"],
        "test_accuracy": run.result["test_metric"]["value"],
    }


def test_a_service_is_not_given_thousands_of_runs():
    with pytest.raises(RecipeError, match="Service takes at most 256 lanes"):
        Service().start(TrainingPlan("many", lanes=257))


def test_wandb_reads_what_it_was_given(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_SILENT", "true")

    class Watched(WandB):
        def _ended(self, failed):  # a run that ended tells nothing more; one that has not, lacks its last row
            self.told = [(run.step, dict(run.summary)) for run in self._runs]
            super()._ended(failed)

    tracker = Watched("mine", mode="offline", folder=tmp_path)
    runs = train(problem(), LANES, trackers=[tracker])
    assert len(list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))) == 2
    for lane, run in enumerate(runs):
        known, (step, summary) = tracker._runs[lane], tracker.told[lane]
        assert (known.project, known.group, known.name) == ("mine", "blobs", f"blobs-lane-00{lane}")
        assert known.config["optimizer.lr"] == pytest.approx(run.recipe.optimizer.lr)
        assert step == run.result["steps"]
        assert summary["validation_loss"] in list(run.record.evaluations.filter(part="validation")["loss"])


def test_mlflow_reads_what_it_was_given(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "store").as_uri()
    run = train(problem(), RECIPE, trackers=[MLflow(uri, experiment="mine")])
    train(problem(), LANES, trackers=[MLflow(uri, experiment="mine")])
    client = mlflow.MlflowClient(tracking_uri=uri)
    where = client.get_experiment_by_name("mine").experiment_id
    found = {each.info.run_name: each for each in client.search_runs([where])}
    assert set(found) == {"blobs", "blobs-lane-000", "blobs-lane-001"}  # the last "blobs" is the parent
    lane = found["blobs-lane-001"]
    assert float(lane.data.params["optimizer.lr"]) == pytest.approx(0.3) and lane.info.status == "FINISHED"
    history = client.get_metric_history(lane.info.run_id, "validation_loss")
    assert history[-1].step == run.result["steps"]
    alone = [each for each in client.search_runs([where]) if "test_loss" in each.data.metrics]
    assert [each.data.metrics["test_loss"] for each in alone] == pytest.approx([run.result["test_loss"]])


def test_trackio_reads_what_it_was_given(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    stored = pytest.importorskip("trackio.sqlite_storage", reason="trackio is not installed").SQLiteStorage
    run = train(problem(), RECIPE, trackers=[Trackio("mine")])
    (name,) = stored.get_runs("mine")
    rows = stored.get_logs("mine", name)
    assert [row["test_loss"] for row in rows if "test_loss" in row] == [run.result["test_loss"]]
    assert max(row["step"] for row in rows if "loss" in row) == run.result["steps"]
