"""A new process compiles the necessary programs for its first run, and no small ones."""

import subprocess
import sys

# First weights, first states, the loop. Every array that JAX makes outside of these would be one more.
NECESSARY = 3
TRAINS = """
import jax
import thalweg as tw
from thalweg.run.progress import Silent

compiled, at = [], {}


class Counts(Silent):
    def update(self, status):
        at[status.step] = len(compiled)


def listen(event, seconds, **more):
    if event == "/jax/core/compile/backend_compile_duration":
        compiled.append(event)


jax.monitoring.register_event_duration_secs_listener(listen)
problem = tw.Problem(tw.MLP([64, 8, 10]), tw.load("digits", validation=0.0))
tw.train(problem, tw.Recipe(tw.AdamW(), batch_size=32, epochs=1), progress=Counts())
print(at[max(at)])
"""


def test_a_first_run_compiles_no_small_programs():
    done = subprocess.run([sys.executable, "-c", TRAINS], capture_output=True, text=True, check=True)
    assert int(done.stdout) == NECESSARY
