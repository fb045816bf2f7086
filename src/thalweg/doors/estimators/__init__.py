"""For scikit-learn: `ThalwegClassifier`, `ThalwegRegressor`, and `LaneSearchCV` over their parameters."""

from thalweg.doors.estimators.learners import ThalwegClassifier, ThalwegRegressor
from thalweg.doors.estimators.search import LaneSearchCV

__all__ = ["LaneSearchCV", "ThalwegClassifier", "ThalwegRegressor"]
