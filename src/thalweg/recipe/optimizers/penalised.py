"""The L2 penalty in front of any rule: the gradient of `weight_decay/2 |w|^2` is added to the gradient."""

import optax
from jaxtyping import PyTree


def penalised(
    rule: optax.GradientTransformation, weight_decay: float | None, mask: PyTree
) -> optax.GradientTransformationExtraArgs:
    """Return the rule with the penalty's gradient `weight_decay w` added; None adds nothing."""
    if weight_decay is None:
        return optax.with_extra_args_support(rule)
    return optax.with_extra_args_support(
        optax.chain(optax.add_decayed_weights(weight_decay, mask=mask), rule)
    )
