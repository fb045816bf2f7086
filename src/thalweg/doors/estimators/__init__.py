"""For scikit-learn: `ThalwegClassifier`, `ThalwegRegressor`, and searches over their parameters as lanes."""

from thalweg.doors.estimators.learners import ThalwegClassifier, ThalwegRegressor
from thalweg.doors.estimators.search import LaneHalvingSearchCV, LaneSearchCV

__all__ = ["LaneHalvingSearchCV", "LaneSearchCV", "ThalwegClassifier", "ThalwegRegressor"]
