"""A differential equation solved by a network: -u'' = pi^2 sin(pi x) on [0, 1], u(0) = u(1) = 0.

Raissi, Perdikaris & Karniadakis, Physics-Informed Neural Networks, 2019. The objective differentiates the
model twice with respect to its input. The exact solution is sin(pi x).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import thalweg as tw


def network(key):
    return eqx.nn.MLP("scalar", "scalar", 32, 2, activation=jnp.tanh, key=key)


def residual(model, x):
    def u(x):
        return x * (1 - x) * model(x)  # zero at both ends

    curvature = jax.vmap(jax.grad(jax.grad(u)))(x)
    exact = jnp.sin(jnp.pi * x)
    error = jnp.abs(jax.vmap(u)(x) - exact)
    return (curvature + jnp.pi**2 * exact) ** 2, {"error": error}


def problem() -> tw.Problem:
    return tw.Problem(network, np.linspace(0, 1, 200), objective=residual, metric="error")


def recipe() -> tw.Recipe:
    return tw.Recipe(tw.Adam(lr=3e-3), schedule=tw.Cosine(), batch_size="full", steps=3000)


if __name__ == "__main__":
    run = tw.train(problem(), recipe())
    print(f"mean distance to the exact solution: {run.result['test_metric']['value']:.1e}")
