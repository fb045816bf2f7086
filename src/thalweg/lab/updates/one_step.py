"""One step of gradient descent, by hand and by the engine."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import function
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="A weight of 0.5 with gradient -0.3 becomes 0.5 - 0.01 x (-0.3) = 0.503 in one step at rate 0.01.",
    source="lecture notes' example of the update rule; Goodfellow et al., Deep Learning, 2016, section 4.3",
    counts="the weight after one update is 0.503 within 1e-6",
)
def one_step(lab: Bench) -> None:
    """Descend once on a line of slope -0.3."""
    problem = function(lambda w: -0.3 * w[0], (0.5,))
    arms = lab.train(problem, {"sgd 0.01": Recipe(SGD(lr=0.01), batch_size=1, steps=1)}, noiseless=True)
    weight = float(arms.runs("sgd 0.01")[0].params.w[0])
    lab.equal("the weight after one update", weight, 0.503)
    lab.tell("weight after one update", "0.503", weight, 0.503, 1e-6)
    many = lab.train(problem, {"sgd 0.01": Recipe(SGD(lr=0.01), batch_size=1, steps=10)}, noiseless=True)
    lab.draw("The loss over ten updates: each lowers it by 0.01 x 0.3 x 0.3", many.series())
