"""Runs that stop for every reason, and runs that are resumed."""

import subprocess
import sys
import time
from pathlib import Path

from bits.data import blobs, library, streamed, text_data
from bits.harness import fit, interrupt, recipe_of, run, small_net, thalweg

# Stop reasons other than `steps`.


@run("stop/epochs")
def _epochs(folder: Path) -> None:
    fit(folder, recipe=recipe_of(epochs=3))


@run("stop/patience")
def _patience(folder: Path) -> None:
    fit(folder, recipe=recipe_of(library().SGD(lr=2.0), steps=660, patience=1))


@run("stop/target")
def _target(folder: Path) -> None:
    fit(folder, recipe=recipe_of(target=0.5, steps=660))


@run("stop/loss-change")
def _loss_change(folder: Path) -> None:
    fit(folder, recipe=recipe_of(loss_change_below=0.2, steps=660))


@run("stop/loss-change-in-training")
def _training_loss_change(folder: Path) -> None:
    tw = library()
    problem = tw.Problem(tw.MLP([6, 8, 3]), blobs(validation=0.0))
    fit(folder, problem, recipe_of(loss_change_below=0.2, steps=660))


@run("stop/gradient")
def _gradient(folder: Path) -> None:
    fit(folder, recipe=recipe_of(gradient_below=0.5, steps=660))


@run("stop/seconds")
def _seconds(folder: Path) -> None:
    # Ends after the first dispatch, whose length does not depend on the clock.
    fit(folder, recipe=recipe_of(seconds=1e-9))


@run("stop/diverged")
def _diverged(folder: Path) -> None:
    fit(folder, recipe=recipe_of(library().SGD(lr=1e12)))


@run("stop/interrupted")
def _interrupt(folder: Path) -> None:
    interrupt(folder / "run", small_net(), recipe_of())


# Resuming.


@run("resume/interrupted")
def _resume(folder: Path) -> None:
    tw, problem = library(), small_net()
    interrupt(folder / "run", problem, recipe_of(schedule=tw.Cosine(), averaging=tw.EMA(decay=0.9)))
    tw.resume(folder / "run", problem)
    fit(folder / "whole", problem, recipe_of(schedule=tw.Cosine(), averaging=tw.EMA(decay=0.9)))


@run("resume/plateau")
def _resume_plateau(folder: Path) -> None:
    tw, problem = library(), small_net()
    plateau = tw.Plateau(patience=0.0, threshold=0.99)
    interrupt(folder / "run", problem, recipe_of(tw.SGD(lr=0.1), schedule=plateau, noise=0.1, steps=220))
    tw.resume(folder / "run", problem)


@run("resume/continued")
def _resume_continued(folder: Path) -> None:
    tw = library()
    problem = tw.Problem(tw.LSTM(8, embedding=4), text_data())
    interrupt(folder / "run", problem, recipe_of(shuffle="continued", batch_size=8, steps=60))
    tw.resume(folder / "run", problem)


@run("resume/streamed")
def _resume_streamed(folder: Path) -> None:
    problem = streamed()
    interrupt(folder / "run", problem, recipe_of())
    library().resume(folder / "run", problem)


@run("resume/lanes")
def _resume_lanes(folder: Path) -> None:
    problem = small_net()
    recipes = recipe_of(library().SGD(lr=0.01), steps=440).vary(lr=[0.01, 0.03], seed=[0, 1])
    interrupt(folder / "run", problem, recipes, strict=True)
    library().resume(folder / "run", problem)


@run("resume/killed")
def _resume_killed(folder: Path) -> None:
    arguments = ("--model", "mlp:8", "--steps", "6000", "--checkpoint-every", "200", "-q")
    command = [sys.executable, "-m", "thalweg", "fit", "iris", *arguments, "--out", str(folder / "run")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        if list(folder.glob("run/checkpoints/step-*")):
            break
        time.sleep(0.002)
    process.kill()
    process.wait()
    thalweg("resume", folder / "run", "-q")


def _finished(folder: Path) -> Path:
    """Train a run of eight epochs, which other runs resume."""
    thalweg(
        *("fit", "iris", "--model", "mlp:8", "--epochs", 8, "--checkpoint-every", 20, "--seed", 2),
        *("--out", folder / "run", "-q"),
    )
    return folder / "run"


@run("resume/stretch")
def _stretch(folder: Path) -> None:
    thalweg("resume", _finished(folder), "--epochs", 12, "--schedule", "stretch", "-q")


@run("resume/hold")
def _hold(folder: Path) -> None:
    thalweg("resume", _finished(folder), "--steps", 90, "--schedule", "hold", "-q")


@run("resume/fork")
def _fork(folder: Path) -> None:
    # In an uninterrupted run, the clock decides which checkpoints are kept; here there is exactly one.
    tw = library()
    problem = tw.Problem(tw.MLP([4, 8, 3]), tw.load("iris"))
    interrupt(folder / "run", problem, recipe_of(schedule=tw.Cosine(), steps=60))
    fork = ("--at", 45, "--set", "optimizer.lr=1e-4", "--out", folder / "fork")
    thalweg("resume", folder / "run", *fork, "-q")


@run("resume/init")
def _init(folder: Path) -> None:
    _finished(folder)
    thalweg(
        *("fit", "iris", "--model", "mlp:8", "--init", folder / "run", "--steps", 20, "--split-seed", 4),
        *("--out", folder / "tuned", "-q"),
    )


@run("resume/auto")
def _auto(folder: Path) -> None:
    arguments = ("fit", "iris", "--model", "mlp:8", "--steps", 30, "--resume", "auto", "-q")
    for _ in range(2):
        thalweg(*arguments, "--out", folder / "run")
