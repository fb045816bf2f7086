"""On a GPU: contracts, updates per second compared with PyTorch, lane-steps per second, share of the peak.

    pip install 'thalweg[cuda,peers]' && python -m benchmarks.gpu    # prints, and saves results/gpu.json
    python -m benchmarks.gpu --try    # on a CPU: checks that it runs; saves nothing

It uses the installed JAX. Contests that have not begun after `MINUTES` are left out, and said to be; what is
measured is saved. It has not been run on a GPU yet: UNMEASURED.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # several processes share the GPU

import jax
import numpy as np

import thalweg as tw
from benchmarks import flops
from benchmarks.machine import data_folder, machine, markdown, shown, spread
from benchmarks.processes import Contestant, contest, ratios

KEPT = Path(__file__).parent / "results" / "gpu.json"
ROUNDS = 5
# One contest takes up to a minute: PyTorch compiles its network, and ours is compiled.
MINUTES = 7.0
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
LANES = (1, 32, 256, 1000, 4096)
# Lanes in one product sum in another order: float32 rounding of a product of 784 terms, and TF32's ten bits
# if the GPU uses them, over a few dozen updates at a small rate.
BOUND = 5e-3


def main() -> None:
    """Run all parts and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--try", action="store_true", dest="trial", help="a short form on any device")
    trial = parser.parse_args().trial
    device = jax.devices()[0]
    if device.platform == "cpu" and not trial:
        raise SystemExit(
            "benchmarks.gpu: needs an accelerator visible to JAX\n  got: cpu\n  hint: pip install "
            "'thalweg[cuda]', or --try"
        )
    print(f"{device.device_kind}, JAX {jax.__version__}{' (trial: these are not measurements)' * trial}\n")
    end = time.monotonic() + 60 * MINUTES
    contracts_held = contracts()
    print(
        "\n".join(f"{'holds ' if contracts_held[name] else 'BROKEN'}  {name}" for name in contracts_held),
        end="\n\n",
    )
    result = {"contracts": contracts_held, "speed": speed(trial, end), "lanes": lanes(trial, end)}
    print(table(result))
    if not trial:
        info = machine() | {"device": device.device_kind}
        KEPT.write_text(json.dumps(result | {"machine": info}, indent=1) + "\n")


def contracts() -> dict[str, bool]:
    """Check on this device the contracts that the tests check on a CPU; return which of them hold."""
    problem = tw.Problem(tw.MLP([64, 32, 10]), tw.load("digits"))
    recipe = tw.Recipe(tw.SGD(lr=0.05), batch_size=32, steps=60)
    recipes = [
        tw.Recipe.from_dict(recipe.to_dict() | {"optimizer": {"name": "sgd", "lr": rate}, "seed": seed})
        for rate in (0.01, 0.05)
        for seed in (0, 1)
    ]
    alone = [_weights(tw.train(problem, lane)) for lane in recipes]
    strict = [_weights(run) for run in tw.train(problem, recipes, strict=True)]
    planned = [_weights(run) for run in tw.train(problem, recipes)]
    again = _weights(tw.train(problem, recipes[0]))
    with jax.default_device(jax.devices("cpu")[0]):
        host = _weights(tw.train(problem, recipes[0]))
    return {
        "the same run twice gives the same bits": _apart(again, alone[0]) == 0,
        "a lane among many, strict, has the bits of the lane alone": _apart(strict, alone) == 0,
        f"a lane among many, as planned, agrees with the lane alone within {BOUND:g}": _apart(planned, alone)
        <= BOUND,
        f"the device agrees with the CPU within {BOUND:g}": _apart(host, alone[0]) <= BOUND,
    }


def speed(trial: bool, end: float) -> dict[str, Any]:
    """Measure the four settings against PyTorch; those that would begin after `end` are left out."""
    device = "cpu" if trial else "cuda"
    results = {}
    for name, setting in SETTINGS.items():
        if time.monotonic() > end:
            results[name] = {"Thalweg": {"error": f"not begun after {MINUTES:g} minutes"}}
            continue
        base = {"folder": str(data_folder()), "steps": 5 if trial else 2000, "device": device} | setting
        ours = Contestant("Thalweg", "gpt_engine" if "context" in setting else "engine", base)
        forms = [
            Contestant(label, "pytorch_device", base | {"form": form})
            for form, label in FORMS.items()
            if device == "cuda" or form == "eager"
        ]
        results[name] = contest([ours, *forms], 1 if trial else ROUNDS)
    return results


def lanes(trial: bool, end: float) -> dict[str, Any]:
    """Measure increasing numbers of lanes of 784-32-10 and 784-512-10, and the GPU's matrix product.

    Those that would begin after `end` are left out.
    """
    results = {}
    for name, hidden in (("784-32-10", 32), ("784-512-10", 512)):
        if time.monotonic() > end:
            continue
        setting = {"folder": str(data_folder()), "sizes": [784, hidden, 10], "batch": 128}
        setting["steps"] = 2 if trial else 200
        counts = LANES[:2] if trial else LANES
        contestants = [Contestant(str(count), "lanes", setting | {"lanes": count}) for count in counts]
        product = {"library": "torch", "products": 5, "device": "cpu" if trial else "cuda"}
        results[name] = contest(
            [*contestants, Contestant("product", "matrix", product)], 1 if trial else ROUNDS
        )
    return results


def table(result: dict[str, Any]) -> str:
    """Return the tables."""
    return f"{_speed_table(result['speed'])}\n\n{_lanes_table(result['lanes'])}"


def _speed_table(speeds: dict[str, Any]) -> str:
    rows = []
    for setting, contestants in speeds.items():
        for label, contestant in contestants.items():
            if "error" in contestant:
                rows.append([setting, label, contestant["error"], ""])
                continue
            steps = spread(block["steps"] / block["seconds"] for block in contestant["blocks"])
            rows.append(
                [setting, label, shown(steps, 0), shown(spread(ratios(contestants["Thalweg"], contestant)))]
            )
    return markdown(["work", "", "updates per second", "time relative to Thalweg"], rows)


def _lanes_table(results: dict[str, Any]) -> str:
    rows = []
    for name, contestants in results.items():
        flops_per_step = flops.mlp([int(width) for width in name.split("-")], 128)
        product = contestants.get("product", {}).get("blocks", [])
        peak = spread(block["flops"] / block["seconds"] for block in product)["median"] if product else None
        for count, contestant in contestants.items():
            if count == "product" or "error" in contestant:
                continue
            rate = spread(block["lane_steps"] / block["seconds"] for block in contestant["blocks"])
            share = "" if peak is None else f"{100 * flops_per_step * rate['median'] / peak:.0f}"
            rows.append([name, count, shown(rate, 0), share])
    header = ["work, batch 128", "lanes", "lane-steps per second", "share of the matrix product's rate, %"]
    return f"{markdown(header, rows)}\n\n{_most(results)}"


def _most(results: dict[str, Any]) -> str:
    """Return for each network the number of lanes with the most lane-steps a second."""
    lines = []
    for name, contestants in results.items():
        rates = {
            count: spread(block["lane_steps"] / block["seconds"] for block in contestant["blocks"])["median"]
            for count, contestant in contestants.items()
            if count != "product" and "blocks" in contestant
        }
        if rates:
            best = max(rates, key=rates.__getitem__)
            lines.append(f"{name}: most with {best} lanes, {rates[best]:,.0f} lane-steps a second.")
    return "\n".join(lines) or "No lanes were measured."


def _weights(run: tw.Run) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(run.params)]


def _apart(one: Any, other: Any) -> float:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(float(np.abs(a - b).max()) for a, b in pairs)


if __name__ == "__main__":
    main()
