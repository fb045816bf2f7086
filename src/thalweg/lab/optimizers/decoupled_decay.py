"""AdamW against Adam with an L2 penalty."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier, few_digits, loud_noise
from thalweg.recipe.optimizers import Adam, AdamW
from thalweg.recipe.recipe import Recipe

# Half decades, wide enough that the best decay of neither rule is at an end.
DECAYS = tuple(float(f"{decay:.1g}") for decay in np.geomspace(0.001, 30.0, 10))
RULES = {"AdamW": (AdamW(lr=3e-3), 3.0), "Adam + L2": (Adam(lr=3e-3), 1.0)}


@experiment(
    claim="Decoupled weight decay (AdamW) generalises better than an L2 penalty in Adam.",
    source="Loshchilov & Hutter, Decoupled Weight Decay Regularization, 2019",
    counts="the validation loss is lower, each at the best of its decays, over all seeds",
)
def decoupled_decay(lab: Bench) -> None:
    """Tune the decay of both on few digits, and where inputs that are mere noise have large gradients."""
    cases = {
        "where noise is three times as loud as what tells": classifier(data=loud_noise(3.0, 200)),
        "on 150 digits": classifier(32, data=few_digits()),
    }
    for when, problem in cases.items():
        losses, lines = {}, []
        for name, (optimizer, factor) in RULES.items():
            recipe, decays = Recipe(optimizer, batch_size=16, epochs=40), factor * np.array(DECAYS)
            varied = {f"{name}, {d:g}": recipe.vary(weight_decay=[float(d)])[0] for d in decays}
            arms = lab.train(problem, varied, label=when)
            losses[name] = np.array([list(arms.values(each).values()) for each in arms.names])
            low, mean, high = (f(losses[name], axis=1) for f in (np.min, np.mean, np.max))
            lines.append(Series(name, decays, mean, low, high, dots=True))
        gap = losses["AdamW"].min(axis=0) - losses["Adam + L2"].min(axis=0)
        lab.below("loss of AdamW minus that of Adam + L2", gap, when=when)
        lab.draw(f"Validation loss {when}", lines, x="decay", y="loss", log_x=True, log_y=True)
    lab.note(
        "Adam divides the penalty by the size of the gradient: loud inputs are decayed less, and AdamW not."
    )
