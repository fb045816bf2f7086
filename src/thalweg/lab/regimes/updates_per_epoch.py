"""Updates in an epoch."""

from thalweg.engine.group import length
from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import toy_line
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="With 10,000 examples and batches of 100, an epoch has 100 updates.",
    source="lecture notes on mini-batches; Goodfellow et al., Deep Learning, 2016, section 8.1.3",
    counts="a run of one epoch makes 100 updates, and 10 epochs make 1,000",
)
def updates_per_epoch(lab: Bench) -> None:
    """Count the updates of a run on 10,000 rows."""
    problem = toy_line(10_000)
    counts = {}
    for batch in (100, 1000, 10_000, 128):
        recipe = Recipe(SGD(lr=0.01), batch_size=batch, epochs=1)
        counts[batch] = length(problem, recipe)
        lab.row(examples=10_000, batch=batch, updates=counts[batch])
    arms = lab.train(problem, {"batch 100": Recipe(SGD(lr=0.01), batch_size=100, epochs=1)}, exact=True)
    made = arms.values("batch 100", "steps")[lab.seeds[0]]
    lab.equal("updates of one epoch at batch 100", made, 100)
    lab.equal("updates of ten epochs", length(problem, Recipe(SGD(), batch_size=100, epochs=10)), 1000)
    lab.equal("updates at batch 128, the last one short", counts[128], 79)
    lab.tell("updates in an epoch of 10,000 at batch 100", "100", made, 100)
    lab.draw("Loss within one epoch, batch 100", arms.series())
