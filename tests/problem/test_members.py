"""Which members of an ensemble learn from a row, and which predict it: written out."""

import jax.numpy as jnp

from thalweg.problem.members import chosen


def test_a_row_is_learnt_by_all_but_its_folds_members_and_predicted_by_these():
    """Five members over three folds: members 0 and 3 belong to fold 0, 1 and 4 to fold 1, 2 to fold 2."""
    learn = chosen(jnp.array([0, 1, 2]), 5, 3).astype(int).tolist()
    assert learn == [[0, 1, 1, 0, 1], [1, 0, 1, 1, 0], [1, 1, 0, 1, 1]]
    predict = chosen(jnp.array([-1, -2, -3]), 5, 3).astype(int).tolist()
    assert predict == [[1, 0, 0, 1, 0], [0, 1, 0, 0, 1], [0, 0, 1, 0, 0]]
