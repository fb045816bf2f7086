"""Names of functions: what may be imported untold, and what a digest tells apart."""

import functools
import sys
import types

import numpy as np
import pytest

from thalweg.core.errors import RecipeError
from thalweg.core.imports import digest, find, from_record, name_of, record_of


@pytest.mark.parametrize("name", ["optax:losses.l2_loss", "optax:_src", "optax:contrib.sam"])
def test_only_public_functions_of_trusted_modules_themselves_need_no_permission(name):
    with pytest.raises(RecipeError, match="must be allowed"):
        find(name, RecipeError, "recipe")


def scaled(factor=2.0, *, shift=0.0):
    return lambda x: factor * x + shift


def with_default(value):
    def own(x, factor=value):
        return factor * x

    return own


def test_a_digest_depends_on_defaults_constants_and_enclosed_values():
    assert digest(with_default(1.0)) != digest(with_default(2.0)) == digest(with_default(2.0))
    assert digest(lambda x: x + 1) != digest(lambda x: x + 2)
    assert digest(scaled(2.0)) != digest(scaled(3.0)) == digest(scaled(3.0))
    assert digest(np.array([1.0, 3.0])) != digest(np.array([2.0, 2.0]))  # of one sum
    assert digest(functools.partial(max, 1, key=len)) != digest(functools.partial(max, 1, key=str))
    assert digest(functools.partial(max, 1)) != digest(functools.partial(max, 2))


def test_a_digest_of_a_set_does_not_depend_on_its_order():
    # Their hashes collide in a small table, so that the order is that of insertion.
    assert digest({0, 8}) == digest({8, 0}) and list({0, 8}) != list({8, 0})


def test_what_is_defined_in_a_script_has_no_import_path(monkeypatch):
    script = types.ModuleType("__main__")
    exec("def own(x):\n    return x", script.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", script)
    assert name_of(script.own).startswith("__main__:own#") and record_of(script.own) is None


def test_a_partial_comes_back_with_its_arguments():
    record = record_of(functools.partial(functools.reduce, max, [1]))
    assert record is None  # a function among its arguments
    record = record_of(functools.partial(pow, 2, mod=5))
    assert (record["arguments"], record["settings"]) == ([2], {"mod": 5})
    assert from_record(record, RecipeError, "recipe")(4) == 1
