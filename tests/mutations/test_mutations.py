"""The planted faults still fit the code: a mutant whose rule has moved would be tried no more."""

import pytest

from tests.mutations.floors import FLOORS


@pytest.mark.parametrize("floor", FLOORS)
def test_every_mutant_fits_its_module(floor):
    for mutant in FLOORS[floor]:
        mutant.text()  # raises an error where the rule is not there exactly once
