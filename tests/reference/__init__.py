"""An independent reference run: training written again in plain NumPy, from the equations.

`network`, `losses`, `schedules`, `optimizers` and `training` import nothing of Thalweg and nothing of JAX;
the backward pass is written by hand. What is random (first weights, order of the rows, dropout masks, noise)
is passed in as arrays, which `library` takes from Thalweg. `comparison` says where a run differs.
"""
