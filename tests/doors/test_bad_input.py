"""Bad input, as a process: exit code 2, what came, the rule, a hint, no traceback, and nothing left
behind.
"""

import errno
import gzip
from pathlib import Path

import numpy as np
import pytest

from tests.doors.process import called, thalweg
from thalweg.doors.cli import app

TABLE = "age,town,income\n" + "".join(
    f"{20 + i % 40},{'ABC'[i % 3]},{1000 + 37 * (i % 50)}\n" for i in range(60)
)


def table(folder: Path, name: str = "people.csv", text: str = TABLE) -> str:
    (folder / name).write_text(text)
    return name


def arrays(folder: Path, **named) -> str:
    np.savez(folder / "given.npz", **named)
    return "given.npz"


def missing_file(folder):
    table(folder)
    return ["peple.csv", "--target", "income"], ["peple.csv", "people.csv"]


def empty_table(folder):
    return [table(folder, text=""), "--target", "income"], ["people.csv", "hint"]


def header_without_rows(folder):
    return [table(folder, text="a,b\n"), "--target", "b"], ["row"]


def target_not_there(folder):
    return [table(folder), "--target", "incom"], ["incom", "income"]


def constant_target(folder):
    return [table(folder, text="a,b\n" + "1,7\n2,7\n3,7\n" * 20), "--target", "b"], ["b"]


def one_class(folder):
    return [table(folder, text="a,b\n" + "1,yes\n2,yes\n3,yes\n" * 20), "--target", "b"], ["yes"]


def not_a_number_in_arrays(folder):
    x = np.ones((40, 3), np.float32)
    x[5, 1] = np.nan
    return [arrays(folder, x=x, y=np.arange(40) % 2)], ["NaN"]


def infinity_in_arrays(folder):
    x = np.ones((40, 3), np.float32)
    x[5, 1] = np.inf
    return [arrays(folder, x=x, y=np.arange(40) % 2)], ["inf"]


def labels_out_of_range(folder):
    y = np.arange(40) % 2
    y[3] = -1
    return [arrays(folder, x=np.random.default_rng(0).normal(size=(40, 3)), y=y)], ["-1"]


def lengths_differ(folder):
    return [arrays(folder, x=np.ones((40, 3)), y=np.arange(39) % 2)], ["40", "39"]


def broken_gzip(folder):
    (folder / "people.csv.gz").write_bytes(gzip.compress(TABLE.encode())[:-20])
    return ["people.csv.gz", "--target", "income"], ["people.csv.gz"]


def model_does_not_fit(folder):
    return [table(folder), "--target", "income", "--model", "mlp:9-5-1"], ["9", "hint"]


def unknown_model(folder):
    return ["digits", "--model", "mpl:5"], ["mpl", "mlp"]


def batch_larger_than_data(folder):
    return [table(folder), "--target", "income", "--set", "batch_size=1000"], ["batch_size", "1000"]


def negative_rate(folder):
    return ["digits", "--set", "optimizer.lr=-1"], ["lr", "-1"]


def absurd_number(folder):
    return ["digits", "--set", "optimizer.b1=1.5"], ["b1", "1.5"]


def no_epochs(folder):
    return ["digits", "--epochs", "0"], ["epochs", "0"]


def epochs_and_steps(folder):
    return ["digits", "--epochs", "1", "--steps", "5"], ["epochs", "steps"]


def unknown_key_in_toml(folder):
    (folder / "mine.toml").write_text("[optimizer]\nname = 'adamw'\nlearning_rate = 0.1\n")
    return ["digits", "--recipe", "mine.toml"], ["learning_rate", "mine.toml"]


def broken_toml(folder):
    (folder / "mine.toml").write_text("[optimizer\n")
    return ["digits", "--recipe", "mine.toml"], ["mine.toml"]


def unknown_recipe(folder):
    return ["digits", "--recipe", "nanogtp"], ["nanogtp", "nanogpt"]


def unknown_setting(folder):
    return ["digits", "--set", "optimizer.lrr=1"], ["lrr", "lr"]


def setting_without_value(folder):
    return ["digits", "--set", "optimizer.lr"], ["optimizer.lr", "hint"]


def output_is_a_file(folder):
    (folder / "taken").write_text("mine")
    return ["digits", "--out", "taken"], ["taken"]


def output_below_a_file(folder):
    # Root may write anywhere, so that a folder without permissions would not do here.
    (folder / "taken").write_text("mine")
    return ["digits", "--out", "taken/run"], ["taken/run", "writable"]


def output_holds_a_run(folder):
    (folder / "old").mkdir()
    (folder / "old" / "problem.json").write_text("{}")
    return ["digits", "--out", "old"], ["old", "--force"]


def start_from_no_run(folder):
    return ["digits", "--init", "nowhere"], ["nowhere"]


def test_fraction_beyond_one(folder):
    return ["digits", "--test", "1.5"], ["1.5"]


def no_such_device(folder):
    return ["digits", "--device", "gpu"], ["gpu", "cpu"]


def wrong_flag(folder):
    return ["digits", "--epoch", "3"], ["got --epoch", "did you mean '--epochs'?"]


def flag_without_value(folder):
    return ["digits", "--out"], ["--out: needs a value", "--help"]


def word_for_a_number(folder):
    return ["digits", "--steps", "many"], ["--steps: must be a whole number; got many", "--steps 10"]


def word_for_a_rate(folder):
    return ["digits", "--set", "optimizer.lr=abc"], ["lr must be a number; got abc", "try 0.001"]


def no_units(folder):
    return ["digits", "--model", "mlp:0"], ["whole numbers of at least 1", "try 64"]


def target_of_images(folder):
    return ["digits", "--target", "3"], ["--target is for tables", "leave --target out"]


def window_of_text(folder):
    (folder / "book.txt").write_text("the quick brown fox\n" * 50)
    return ["book.txt", "--window", "3"], ["--window is for time series", "--context 64"]


def out_in_no_folder(folder):
    return ["digits", "--resume", "auto"], ["resume: needs the folder", "--out runs/mine"]


def unknown_device(folder):
    return ["digits", "--device", "tpu"], ["--device: must be one of cpu, gpu; got tpu"]


CASES = [
    missing_file,
    empty_table,
    header_without_rows,
    target_not_there,
    constant_target,
    one_class,
    not_a_number_in_arrays,
    infinity_in_arrays,
    labels_out_of_range,
    lengths_differ,
    broken_gzip,
    model_does_not_fit,
    unknown_model,
    batch_larger_than_data,
    negative_rate,
    absurd_number,
    no_epochs,
    epochs_and_steps,
    unknown_key_in_toml,
    broken_toml,
    unknown_recipe,
    unknown_setting,
    setting_without_value,
    output_is_a_file,
    output_below_a_file,
    output_holds_a_run,
    start_from_no_run,
    test_fraction_beyond_one,
    no_such_device,
    wrong_flag,
    flag_without_value,
    word_for_a_number,
    word_for_a_rate,
    no_units,
    target_of_images,
    window_of_text,
    out_in_no_folder,
    unknown_device,
]
# These also show that a process ends so: they fail while data are read, while arguments are, and in the run.
AS_A_PROCESS = (missing_file, wrong_flag, no_such_device, unknown_device, output_below_a_file)
del test_fraction_beyond_one  # a case, which the collector would take for a test


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_refused_with_exit_code_2(case, tmp_path):
    run = thalweg if case in AS_A_PROCESS else called
    arguments, expected = case(tmp_path)
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    found = run("fit", *arguments, at=tmp_path)
    assert found.returncode == 2, found.stderr
    assert found.stdout == ""
    assert "Traceback" not in found.stderr
    for word in expected:
        assert word in found.stderr, found.stderr
    assert (
        sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before
    )  # nothing lost, nothing left
    assert found.stderr.startswith("error: ") and "\nhint: " in found.stderr and len(found.stderr) < 800


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ft", "digits"], ["has no such command; got ft", "did you mean 'fit'?"]),
        (["fit"], ["fit: needs DATA", "thalweg fit --help"]),
        (["resume"], ["resume: needs RUN", "thalweg resume --help"]),
        (["sweep", "digits"], ["sweep: needs --vary", "thalweg sweep --help"]),
        (["show", "run", "--jsn"], ["got --jsn", "did you mean '--json'?"]),
    ],
)
def test_a_mistyped_command_is_refused_like_bad_input(arguments, words, tmp_path):
    found = called(*arguments, at=tmp_path)
    assert found.returncode == 2 and found.stdout == ""
    assert found.stderr.startswith("error: ") and len(found.stderr.splitlines()) == 2
    for word in words:
        assert word in found.stderr, found.stderr


def test_help_without_arguments_fits_80_columns(tmp_path):
    found = thalweg(at=tmp_path)
    assert "fit" in found.stdout + found.stderr and "error" not in found.stderr
    assert max(map(len, (found.stdout + found.stderr).splitlines())) <= 80


@pytest.mark.parametrize("command", ["show", "report", "predict"])
def test_a_folder_without_a_run(command, tmp_path):
    arguments = [command, tmp_path / "nothing"] + (["digits"] if command == "predict" else [])
    found = called(*arguments, at=tmp_path)
    assert found.returncode == 2
    assert "nothing" in found.stderr and "hint:" in found.stderr and "Traceback" not in found.stderr


def test_what_the_system_refuses_anywhere_ends_in_a_sentence(monkeypatch, capsys):
    def refused(**_):
        raise PermissionError(errno.EACCES, "Permission denied", "/home/other/run/finding.json")

    monkeypatch.setattr(app, "app", refused)
    assert app._outcome() == 2
    message = capsys.readouterr().err
    assert "got Permission denied (/home/other/run/finding.json)" in message and "\nhint: check" in message
