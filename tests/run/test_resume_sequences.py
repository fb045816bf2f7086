"""Runs on a stream and on continued text, once interrupted, equal the uninterrupted run, bit for bit."""

from tests.engine.feeds.test_streamed import streamed
from tests.run.test_resume import assert_same, broken_off
from thalweg.problem.data.load import load
from thalweg.problem.models import GRU
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import AdamW
from thalweg.recipe.recipe import Recipe
from thalweg.run.resume import resume
from thalweg.run.train import train

FILES = ("final.safetensors", "best.safetensors", "steps.parquet", "layers.parquet")


def test_a_stream_resumes_at_its_position(tmp_path):
    recipe = Recipe(AdamW(lr=0.01), batch_size=16, steps=60)
    train(streamed(), recipe, keep=tmp_path / "whole")
    broken_off(streamed(), recipe, tmp_path / "broken", step=30)
    starts = []

    def source(start):
        starts.append(start)
        return streamed().data.train.make(start)

    resume(tmp_path / "broken", streamed(source))
    assert starts[0] == 0 and starts[-1] > 20  # the first read, and the one from the checkpoint on
    assert_same(tmp_path / "whole", tmp_path / "broken", FILES)


def test_a_carried_state_is_resumed(tmp_path):
    text = tmp_path / "words.txt"
    text.write_text("a quick brown fox jumps over the lazy dog and runs\n" * 6)
    problem = Problem(GRU(width=4, embedding=3), load(text, context=4, validation=0.2))
    recipe = Recipe(AdamW(lr=0.01), batch_size=3, steps=40, shuffle="continued")
    train(problem, recipe, keep=tmp_path / "whole")
    broken_off(problem, recipe, tmp_path / "broken", step=17)
    resume(tmp_path / "broken", problem)
    assert_same(tmp_path / "whole", tmp_path / "broken", FILES)
