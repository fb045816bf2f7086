"""What the gate leaves to `pytest --long`: repeats of a rule whose other cases stay in it.

They cost 2 to 60 CPU-seconds each (`pytest -p tests.cpu_times`), most of it compiling one more program. Of
every rule here something stays in the gate: the cases that are named, or the test that the comment names.
`python -m tests.mutations` runs all of them (`pytest --repeats`).
"""

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
HALVING = "tests/doors/estimators/test_halving.py"
# By test: the cases that stay.
STAY: dict[str, tuple[str, ...]] = {
    # Of the example scripts each is trained in lanes, or taken apart by the tape.
    "tests/test_examples.py::test_an_example_is_the_same_in_lanes_alone_and_resumed": (
        *("gradient_penalty", "mixture_density", "vae"),
    ),
    "tests/insight/tape/test_equal.py::test_an_example_script_has_the_gradient_of_jax": (
        *("counts", "gan", "mixed_outputs", "multilabel", "quantiles"),
    ),
    "tests/insight/tape/test_equal.py::test_a_model_of_the_catalogue_has_the_gradient_of_jax": (
        *("cnn", "gpt", "linear", "mlp", "rnn"),
    ),
    "tests/contracts/test_lanes.py::test_batched_lanes_make_the_same_step_within_rounding": (
        *("batched-cnn", "batched-linear", "batched-mlp", "batched-rnn", "batched-tabular"),
        *("per-lane section-cnn", "per-lane section-mlp"),
    ),
    "tests/contracts/test_lanes.py::test_a_lane_of_every_model_equals_the_lane_alone": (
        *("linear", "mlp", "resnet", "rnn"),
    ),
    "tests/contracts/test_lanes.py::test_a_run_among_many_equals_the_run_alone": ("recipe0",),
    "tests/reference/test_reference.py::test_runs_equal_the_reference": ("classes", "values"),
    "tests/engine/feeds/test_gathered.py::test_lanes_of_several_seeds_have_the_bits_of_resident_data": (
        "True",
    ),
    "tests/engine/feeds/test_gathered.py::test_a_run_has_the_bits_of_resident_data": ("changes0", "changes3"),
    "tests/engine/feeds/test_gathered.py::test_other_kinds_of_data_have_the_bits_of_resident_data": (
        *("table", "text", "weights"),
    ),
    "tests/engine/layout/test_split_step.py::test_lane_by_lane_equals_batched": (
        *("more0-optimizer0", "more1-optimizer0", "more2-optimizer1"),
    ),
    "tests/engine/test_padding.py::test_a_padded_batch_equals_the_short_one": ("1", "20"),
    "tests/run/test_folds.py::test_a_fold_among_lanes_equals_the_fold_alone": ("table",),
    "tests/insight/finder/test_learning_rate.py::test_trouble_does_not_mislead": (
        *("batch norm", "first batch", "noise"),
    ),
    "tests/insight/landscape/test_products.py::test_products_are_those_of_the_whole_hessian": (
        *("binary", "hinge", "huber", "linear", "mae", "mlp", "mse"),
    ),
    "tests/insight/doctor/test_rows.py::test_rows_held_out_tell_that_the_training_rows_are_too_few": (
        *("0.2-0.5", "0.95-0.98"),
    ),
    # The reading of all files is in the same file.
    "tests/problem/data/test_cases.py::test_values_are_learnt": (),
    "tests/problem/data/test_cases.py::test_classes_are_learnt": ("spaces", "tab"),
    "tests/problem/data/test_series.py::test_every_kind_of_model_learns_a_wave": ("linear", "mlp"),
    "tests/problem/data/test_messy_images.py::test_trees_are_read_as_they_were_meant": (
        *("0", "20", "60", "80", "140", "200", "280"),
    ),
    "tests/problem/losses/test_outputs.py::test_true_accuracy_reported_accuracy_and_predictions_agree": (
        *("least squares", "log_softmax", "logits (n,)", "sigmoid (n,)", "softmax (n, 3)"),
    ),
    # That few programs are kept, and given up, stays.
    "tests/run/test_memory.py::test_fits_of_new_shapes_do_not_pile_up": (),
    # `test_spread.py` kills a process, `test_distributed.py` says what two must have.
    "tests/run/cluster/test_executors.py::test_a_dask_worker_that_is_killed_costs_nothing_but_time": (),
    "tests/engine/feeds/test_gathered_mesh.py::test_a_mesh_computes_what_it_computes_from_resident_data": (),
    # That of a grid search stays.
    f"{HALVING}::test_scores_are_those_of_each_alone_at_its_resource_bit_for_bit": (),
}


def is_repeat(item: Any) -> bool:
    """Return whether a test is one that the gate leaves out."""
    if not item.path.is_relative_to(ROOT):
        return False
    name = f"{item.path.relative_to(ROOT).as_posix()}::{item.originalname}"
    if name not in STAY:
        return False
    case = item.callspec.id if hasattr(item, "callspec") else ""
    return not any(case == kept or _begins(case, kept) for kept in STAY[name])


def _begins(case: str, kept: str) -> bool:
    return case.startswith(kept) and not case[len(kept)].isalnum()


def leave_out(items: list[Any]) -> None:
    """Mark repeats as tests that take long."""
    for item in items:
        if is_repeat(item):
            item.add_marker(pytest.mark.long)
