"""The lab: claims about training by gradient descent, each an experiment of one file; run, drawn and judged.

A room of the floor of `view`, whose figures it draws with. `experiment` (claim, checks, the rule of verdicts)
-> `chart` -> `arms`, `bench` (what an experiment works with), `setups` -> the chapters' folders -> `book`
(finds them) -> `running` -> `page`.
"""

from thalweg.lab.book import experiments as experiments
from thalweg.lab.experiment import Experiment as Experiment
from thalweg.lab.experiment import Verdict as Verdict
from thalweg.lab.experiment import experiment as experiment
from thalweg.lab.running import Report as Report
from thalweg.lab.running import run as run
from thalweg.lab.running import run_experiment as run_experiment
