"""Classes learned with squared error and with cross-entropy."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier, one_hot_error
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="For classes, cross-entropy trains faster and better than squared error.",
    source="Golik, Doetsch & Ney, Cross-Entropy vs. Squared Error, 2013; against it Hui & Belkin 2021",
    counts="the accuracy is higher with cross-entropy, each at the best of four rates, over all seeds",
)
def classes_by_values(lab: Bench) -> None:
    """Train digits with both, each at the best of four rates."""
    shared, best = classifier(32), {}
    for when, epochs in (("after 1 epoch", 1), ("after 15 epochs", 15)):
        for name, loss in (("cross-entropy", "cross_entropy"), ("squared error", one_hot_error)):
            problem = Problem(shared.model, shared.data, loss, outputs="logits")
            recipes = {
                f"{name} {r:g}": Recipe(SGD(lr=r), batch_size=32, epochs=epochs)
                for r in (0.01, 0.03, 0.1, 0.5)
            }
            arms = lab.train(problem, recipes, label=when)
            values = [arms.values(n, "metric") for n in recipes]
            best[f"{name} {when}"] = {s: max(v[s] for v in values) for s in lab.seeds}
        ours, theirs = best[f"cross-entropy {when}"], best[f"squared error {when}"]
        lab.above(
            "accuracy minus that with squared error", {s: ours[s] - theirs[s] for s in lab.seeds}, when=when
        )
    lab.intervals("Accuracy on held-out digits, best rate", best, "accuracy")
