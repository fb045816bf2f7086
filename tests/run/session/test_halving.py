"""Which settings go on beyond a rung: the better part by mean loss, and what was frozen stays frozen."""

import numpy as np
import pytest

from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.run.session.halving import Halver, losers, settings
from thalweg.run.spec import Halving

RECIPES = Recipe(SGD(lr=0.1), batch_size=16, epochs=3).vary(lr=[0.1, 0.2, 0.3], seed=[0, 1])


def test_seeds_of_a_setting_stand_and_fall_together():
    setting = settings(RECIPES)
    assert setting == [0, 0, 1, 1, 2, 2]
    losses = list(enumerate([1.0, 3.0, 0.1, 3.5, 2.5, 2.5]))  # means 2, 1.8, 2.5
    assert losers(losses, setting, Halving(factor=3)) == {0, 1, 4, 5}
    assert losers(losses, setting, Halving(factor=2)) == {4, 5}  # of three settings, two: rounded up
    assert losers(losses, setting, Halving(factor=3, at_least=3)) == set()


@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_a_setting_whose_loss_is_not_finite_is_the_worst(lost):
    assert losers([(0, lost), (1, 5.0), (2, 6.0)], [0, 1, 2], Halving(factor=2)) == {0}


def test_a_setting_with_one_seed_whose_loss_is_not_finite_is_the_worst():
    losses = [(0, np.nan), (1, 0.1), (2, 5.0), (3, 5.0)]
    assert losers(losses, [0, 0, 1, 1], Halving(factor=2)) == {0, 1}


def test_what_was_frozen_stays_frozen_also_for_a_shard_that_comes_later(tmp_path):
    halver = Halver(Halving(factor=2, first=0.25), RECIPES, tmp_path)
    halver.decide(list(enumerate([1.0, 1.0, 2.0, 2.0, 3.0, 3.0])))
    halver.decide([(0, 1.0), (1, 1.0), (2, 0.5), (3, 0.5)])
    again = Halver(Halving(factor=2, first=0.25), RECIPES, tmp_path)
    assert again.decided(1) and not again.decided(2)
    assert [_frozen(again, rung) for rung in (0, 1)] == [[4, 5], [0, 1, 4, 5]]


class _Shard:
    """The lanes of a shard, one more than there are recipes; remembers which are stopped."""

    def __init__(self) -> None:
        self.lanes = [type("Lane", (), {"number": number})() for number in range(len(RECIPES))]
        self.stopped = [None] * (len(RECIPES) + 1)

    def stop(self, which, reason):
        assert str(reason) == "halved" and len(which) == len(self.stopped)
        self.frozen = np.flatnonzero(which).tolist()


def _frozen(halver: Halver, rung: int) -> list[int]:
    shard = _Shard()
    halver.freeze(rung, shard)  # type: ignore[arg-type]
    return shard.frozen
