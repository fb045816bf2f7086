"""On a GPU: contracts, updates a second beside PyTorch, most lanes a second, share of the card's peak.

    pip install 'thalweg[cuda,peers]' && python -m benchmarks.gpu    # prints, and keeps results/gpu.json
    python -m benchmarks.gpu --try                                   # on a CPU: that it runs; not kept

It builds nothing and takes the JAX that is installed. It has not been run on a GPU yet: UNMEASURED.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # several processes share the card

import jax
import numpy as np

import thalweg as tw
from benchmarks import flops
from benchmarks.machine import data_folder, machine, markdown, shown, spread
from benchmarks.processes import Contestant, contest, ratios

KEPT = Path(__file__).parent / "results" / "gpu.json"
ROUNDS = 5
SETTINGS: dict[str, dict[str, Any]] = {
    "784-512-10, batch 128": {"sizes": [784, 512, 10], "batch": 128},
    "784-128-64-10, batch 32": {"sizes": [784, 128, 64, 10], "batch": 32},
    "CNN 32-64, batch 32": {"channels": [32, 64], "batch": 32},
    "GPT 4 x 128, context 64, batch 12": {"context": 64, "batch": 12},
}
FORMS = {
    "eager": "PyTorch eager",
    "compiled": "torch.compile, CUDA graphs",
    "graph": "PyTorch, one CUDA graph",
}
LANES = (1, 32, 256, 1024, 4096)
# Where lanes in one product sum in another order: float32 rounding of a product of 784 terms, and TF32's ten
# bits where the card uses them, over a few dozen updates at a small rate.
BOUND = 5e-3


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--try", action="store_true", dest="trial", help="a short form on any device")
    trial = parser.parse_args().trial
    device = jax.devices()[0]
    if device.platform == "cpu" and not trial:
        raise SystemExit(
            "benchmarks.gpu: needs an accelerator that JAX sees\n  got: cpu\n  hint: pip install "
            "'thalweg[cuda]', or --try"
        )
    print(f"{device.device_kind}, JAX {jax.__version__}{' (trial: nothing here is a figure)' * trial}\n")
    held = contracts()
    print("\n".join(f"{'holds ' if held[name] else 'BROKEN'}  {name}" for name in held), end="\n\n")
    found = {"contracts": held, "speed": speed(trial), "lanes": lanes(trial)}
    print(table(found))
    if not trial:
        told = machine() | {"device": device.device_kind}
        KEPT.write_text(json.dumps(found | {"machine": told}, indent=1) + "\n")


def contracts() -> dict[str, bool]:
    """Check on this device what the tests check on a CPU; returns which contracts hold."""
    problem = tw.Problem(tw.MLP([64, 32, 10]), tw.load("digits"))
    recipe = tw.Recipe(tw.SGD(lr=0.05), batch_size=32, steps=60)
    many = [
        tw.Recipe.from_dict(recipe.to_dict() | {"optimizer": {"name": "sgd", "lr": rate}, "seed": seed})
        for rate in (0.01, 0.05)
        for seed in (0, 1)
    ]
    alone = [_weights(tw.train(problem, one)) for one in many]
    strict = [_weights(run) for run in tw.train(problem, many, strict=True)]
    free = [_weights(run) for run in tw.train(problem, many)]
    again = _weights(tw.train(problem, many[0]))
    with jax.default_device(jax.devices("cpu")[0]):
        host = _weights(tw.train(problem, many[0]))
    return {
        "the same run twice: the same bits": _apart(again, alone[0]) == 0,
        "a lane among many, strict: the bits of the lane alone": _apart(strict, alone) == 0,
        f"a lane among many, as planned: within {BOUND:g}": _apart(free, alone) <= BOUND,
        f"the device beside the CPU: within {BOUND:g}": _apart(host, alone[0]) <= BOUND,
    }


def speed(trial: bool) -> dict[str, Any]:
    """Measure the four settings beside PyTorch."""
    device = "cpu" if trial else "cuda"
    found = {}
    for name, setting in SETTINGS.items():
        given = {"folder": str(data_folder()), "steps": 5 if trial else 2000, "device": device} | setting
        ours = Contestant("Thalweg", "gpt_engine" if "context" in setting else "engine", given)
        forms = [
            Contestant(label, "pytorch_device", given | {"form": form})
            for form, label in FORMS.items()
            if device == "cuda" or form == "eager"
        ]
        found[name] = contest([ours, *forms], 1 if trial else ROUNDS)
    return found


def lanes(trial: bool) -> dict[str, Any]:
    """Measure ever more lanes of 784-32-10 and 784-512-10, with the card's product beside them."""
    found = {}
    for name, hidden in (("784-32-10", 32), ("784-512-10", 512)):
        setting = {"folder": str(data_folder()), "sizes": [784, hidden, 10], "batch": 128}
        setting["steps"] = 2 if trial else 200
        counts = LANES[:2] if trial else LANES
        contestants = [Contestant(str(count), "lanes", setting | {"lanes": count}) for count in counts]
        product = {"library": "torch", "products": 5, "device": "cpu" if trial else "cuda"}
        found[name] = contest(
            [*contestants, Contestant("product", "matrix", product)], 1 if trial else ROUNDS
        )
    return found


def table(found: dict[str, Any]) -> str:
    """Return the tables."""
    return f"{_speed_table(found['speed'])}\n\n{_lanes_table(found['lanes'])}"


def _speed_table(speeds: dict[str, Any]) -> str:
    rows = []
    for setting, of_setting in speeds.items():
        for label, of_label in of_setting.items():
            if "error" in of_label:
                rows.append([setting, label, of_label["error"], ""])
                continue
            steps = spread(block["steps"] / block["seconds"] for block in of_label["blocks"])
            rows.append(
                [setting, label, shown(steps, 0), shown(spread(ratios(of_setting["Thalweg"], of_label)))]
            )
    return markdown(["work", "", "updates a second", "times Thalweg's time"], rows)


def _lanes_table(found: dict[str, Any]) -> str:
    rows = []
    for name, of_name in found.items():
        work = flops.mlp([int(width) for width in name.split("-")], 128)
        product = of_name.get("product", {}).get("blocks", [])
        peak = spread(block["flops"] / block["seconds"] for block in product)["median"] if product else None
        for count, of_count in of_name.items():
            if count == "product" or "error" in of_count:
                continue
            rate = spread(block["lane_steps"] / block["seconds"] for block in of_count["blocks"])
            share = "" if peak is None else f"{100 * work * rate['median'] / peak:.0f}"
            rows.append([name, count, shown(rate, 0), share])
    header = ["work, batch 128", "lanes", "lane-steps a second", "share of the product's rate, %"]
    return markdown(header, rows)


def _weights(run: tw.Run) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(run.params)]


def _apart(one: Any, other: Any) -> float:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(float(np.abs(a - b).max()) for a, b in pairs)


if __name__ == "__main__":
    main()
