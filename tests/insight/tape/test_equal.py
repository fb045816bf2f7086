"""The tape's gradients are those of `jax.grad`: for every model of the catalogue and every example script.

In float32 the reference is `jax.grad` of the same operations, one by one; a compiled program fuses them and
rounds differently. In float64 it is the compiled gradient.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Literal

from tests.contracts.test_models import _batch, _model, every_architecture
from tests.test_examples import EXAMPLES, loaded
from thalweg.core import keys
from thalweg.engine.compilation import small_programs
from thalweg.insight.tape.runs import loss_of
from thalweg.insight.tape.tape import taped, traced
from thalweg.problem.members import Members
from thalweg.problem.models.adapter import apply, build_as_trained

# Models whose gradients are also compared in float64: dense, recurrent, attention.
WIDE = ("linear", "mlp:8", "gru:8")


def evaluated(jaxpr, consts, arrays):
    """Evaluate a jaxpr operation by operation, its calls, branches and loops too; JAX differentiates that."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arrays], strict=True))

    def read(atom):
        return jnp.asarray(atom.val, atom.aval.dtype) if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.eqns:
        params, inputs = equation.params, [read(atom) for atom in equation.invars]
        inner = params.get("jaxpr")
        if equation.primitive.name == "scan":
            outputs = looped(params, inputs)
        elif equation.primitive.name == "cond":
            branch = params["branches"][int(np.asarray(inputs[0]))]
            outputs = evaluated(branch.jaxpr, branch.consts, inputs[1:])
        elif inner is not None:  # jit and remat
            outputs = evaluated(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), inputs)
        else:
            bound = equation.primitive.bind(*inputs, **equation.primitive.get_bind_params(params))
            outputs = bound if equation.primitive.multiple_results else [bound]
        values.update(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def looped(params, inputs):
    """Run a scan as a loop in Python."""
    first, second = params["num_consts"], params["num_consts"] + params["num_carry"]
    consts, carry, sequences = inputs[:first], inputs[first:second], inputs[second:]
    order = range(params["length"])[:: -1 if params["reverse"] else 1]
    rows = {}
    for at in order:
        inner = [*consts, *carry, *(sequence[at] for sequence in sequences)]
        results = evaluated(params["jaxpr"].jaxpr, params["jaxpr"].consts, inner)
        carry, rows[at] = results[: len(carry)], results[len(carry) :]
    columns = zip(*(rows[at] for at in range(params["length"])), strict=True)
    return [*carry, *(jnp.stack(column) for column in columns)]


def both(function, params):
    """Return the tape's gradients, and those of `jax.grad` of the same operations."""
    closed, arrays, names = traced(function, (params,))
    recorded = taped(closed, arrays, names, "test")

    def value(*those):
        return evaluated(closed.jaxpr, closed.consts, those)[0]

    with jax.disable_jit(), small_programs():
        expected = jax.grad(value, argnums=tuple(range(len(arrays))))(*arrays)
    return [np.asarray(each) for each in recorded.gradients.values()], [np.asarray(each) for each in expected]


def assert_within_one_ulp(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        apart = np.abs(one.astype(np.float64) - other)
        assert np.all(apart <= np.spacing(np.maximum(np.abs(one), np.abs(other)))), apart.max()


def architecture_loss(model, inputs):
    def loss(params):
        outputs, _ = apply(model._replace(params=params), inputs, key=keys.lane_key(1), training=True)
        outputs = outputs.outputs if isinstance(outputs, Members) else outputs
        return jnp.mean(outputs**2)

    return loss


@every_architecture
def test_a_model_of_the_catalogue_has_the_gradient_of_jax(text, shape, outputs, tokens):
    model, inputs = _model(text, shape, outputs, 0), _batch(shape, tokens, examples=2)
    found, expected = both(architecture_loss(model, inputs), model.params)
    assert any(np.any(each) for each in expected)
    assert_within_one_ulp(found, expected)


@pytest.mark.parametrize("text", WIDE)
def test_in_float64_they_agree_with_the_compiled_gradient(text):
    shape = (6, 2) if text.startswith("gru") else (4, 3)
    with jax.enable_x64(True):
        narrow, inputs = _model(text, shape, 3, 0), jnp.asarray(_batch(shape, 0, examples=2), jnp.float64)
        model = narrow._replace(params=jax.tree.map(lambda leaf: leaf.astype(jnp.float64), narrow.params))
        loss = architecture_loss(model, inputs)
        closed, arrays, names = traced(loss, (model.params,))
        recorded = taped(closed, arrays, names, "test")
        compiled = jax.tree.leaves(jax.jit(jax.grad(loss))(model.params))
        for found, expected in zip(recorded.gradients.values(), compiled, strict=True):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * float(jnp.abs(expected).max()))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_script_has_the_gradient_of_jax(path):
    example = loaded(path)
    problem, recipe = example.problem(), example.recipe()
    built = build_as_trained(problem.model, recipe.seed)
    rows = jnp.arange(4 if problem.whole_batches else 2)
    inputs, targets = problem.data.train.batch(rows)
    inputs = problem.data.preparation.scale(inputs)

    def loss(params):
        return loss_of(problem, built)(params, inputs, targets)

    found, expected = both(loss, built.params)
    assert_within_one_ulp(found, expected)
