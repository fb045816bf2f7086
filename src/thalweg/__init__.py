"""Thalweg trains neural networks by gradient descent: one run or many at once, and reports why.

Three nouns: a `Problem` is what is learned, a `Recipe` is how, a `Run` is the result; `train` turns the first
two into the third. This module is the whole public list. Names load when they are first used, so that the
command line responds before JAX is imported.

Example:
    >>> import thalweg as tw
    >>> problem = tw.Problem(tw.MLP([64, 64, 10]), tw.load("digits"))
    >>> run = tw.train(problem, tw.Recipe(tw.AdamW(lr=3e-3), batch_size=32, epochs=10))
    >>> run.result["test_metric"]["value"] > 0.9
    True
"""

from typing import TYPE_CHECKING, Any

from thalweg.core.lazy import import_large

# Type checkers read these imports; at run time `__getattr__` makes them, name by name.
if TYPE_CHECKING:
    from thalweg import lab as lab
    from thalweg.core.errors import BadInput as BadInput
    from thalweg.core.errors import CompilerError as CompilerError
    from thalweg.core.errors import DataError as DataError
    from thalweg.core.errors import DataWarning as DataWarning
    from thalweg.core.errors import MissingExtra as MissingExtra
    from thalweg.core.errors import ModelError as ModelError
    from thalweg.core.errors import RecipeError as RecipeError
    from thalweg.core.errors import RunFolderError as RunFolderError
    from thalweg.core.errors import ThalwegError as ThalwegError
    from thalweg.doors import trackers as trackers
    from thalweg.doors.estimators import LaneHalvingSearchCV as LaneHalvingSearchCV
    from thalweg.doors.estimators import LaneSearchCV as LaneSearchCV
    from thalweg.doors.estimators import ThalwegClassifier as ThalwegClassifier
    from thalweg.doors.estimators import ThalwegRegressor as ThalwegRegressor
    from thalweg.doors.export.export import Export as Export
    from thalweg.doors.export.export import export as export
    from thalweg.doors.python import best as best
    from thalweg.doors.python import find_batch_size as find_batch_size
    from thalweg.doors.python import find_lr as find_lr
    from thalweg.doors.python import fit as fit
    from thalweg.doors.python import plan as plan
    from thalweg.doors.python import race as race
    from thalweg.doors.python import resume as resume
    from thalweg.doors.python import search as search
    from thalweg.doors.python import stream_train as stream_train
    from thalweg.doors.python import tape as tape
    from thalweg.doors.python import train as train
    from thalweg.doors.pytorch.diagnose import diagnose_torch as diagnose_torch
    from thalweg.insight.best.result import Best as Best
    from thalweg.insight.compare import compare as compare
    from thalweg.insight.cost.cost import Cost as Cost
    from thalweg.insight.cost.cost import cost as cost
    from thalweg.insight.cost.fitting import Fitting as Fitting
    from thalweg.insight.cost.fitting import fit_in as fit_in
    from thalweg.insight.doctor.diagnose import diagnose as diagnose
    from thalweg.insight.doctor.diagnosis import Diagnosis as Diagnosis
    from thalweg.insight.evaluation import Evaluation as Evaluation
    from thalweg.insight.evaluation import evaluate as evaluate
    from thalweg.insight.finder.finding import BatchFinding as BatchFinding
    from thalweg.insight.finder.finding import LearningRateFinding as LearningRateFinding
    from thalweg.insight.finder.range_sweep import RangeTest as RangeTest
    from thalweg.insight.finder.range_sweep import range_test as range_test
    from thalweg.insight.fit import NoLearningRate as NoLearningRate
    from thalweg.insight.landscape.curvature import Curvature as Curvature
    from thalweg.insight.landscape.curvature import curvature as curvature
    from thalweg.insight.landscape.landscape import LandscapeOptions as LandscapeOptions
    from thalweg.insight.landscape.landscape import landscape as landscape
    from thalweg.insight.landscape.line import Line as Line
    from thalweg.insight.landscape.surface import Landscape as Landscape
    from thalweg.insight.race.result import Race as Race
    from thalweg.insight.ranking import Ranking as Ranking
    from thalweg.insight.ranking import ranking_of as ranking_of
    from thalweg.insight.search import Budget as Budget
    from thalweg.insight.search import SearchResult as SearchResult
    from thalweg.insight.tape.gradcheck import GradCheck as GradCheck
    from thalweg.insight.tape.gradcheck import gradcheck as gradcheck
    from thalweg.insight.tape.tape import Tape as Tape
    from thalweg.lab.audit import Audit as Audit
    from thalweg.lab.audit import audit as audit
    from thalweg.problem.data.data import Data as Data
    from thalweg.problem.data.examples import examples as examples
    from thalweg.problem.data.load import load as load
    from thalweg.problem.data.note import Note as Note
    from thalweg.problem.data.options import LoadOptions as LoadOptions
    from thalweg.problem.data.preparation import Preparation as Preparation
    from thalweg.problem.data.split import Rows as Rows
    from thalweg.problem.data.split import Sequences as Sequences
    from thalweg.problem.data.split import SeriesWindows as SeriesWindows
    from thalweg.problem.data.split import Windows as Windows
    from thalweg.problem.data.stream import stream as stream
    from thalweg.problem.data.understanding import Understanding as Understanding
    from thalweg.problem.data.understanding import understand as understand
    from thalweg.problem.losses import LOSSES as LOSSES
    from thalweg.problem.losses import METRICS as METRICS
    from thalweg.problem.losses import Loss as Loss
    from thalweg.problem.losses import Metric as Metric
    from thalweg.problem.models import ARCHITECTURES as ARCHITECTURES
    from thalweg.problem.models import CNN as CNN
    from thalweg.problem.models import GPT as GPT
    from thalweg.problem.models import GRU as GRU
    from thalweg.problem.models import LSTM as LSTM
    from thalweg.problem.models import MLP as MLP
    from thalweg.problem.models import RNN as RNN
    from thalweg.problem.models import VGG as VGG
    from thalweg.problem.models import Architecture as Architecture
    from thalweg.problem.models import LinearModel as LinearModel
    from thalweg.problem.models import ResNet as ResNet
    from thalweg.problem.models import Tabular as Tabular
    from thalweg.problem.models import default_model as default_model
    from thalweg.problem.models.adapt import adapt as adapt
    from thalweg.problem.problem import Problem as Problem
    from thalweg.problem.surfaces import surface as surface
    from thalweg.recipe.averaging import EMA as EMA
    from thalweg.recipe.averaging import SWA as SWA
    from thalweg.recipe.averaging import NoAverage as NoAverage
    from thalweg.recipe.averaging import Tail as Tail
    from thalweg.recipe.book import BOOK as BOOK
    from thalweg.recipe.book import default_recipe as default_recipe
    from thalweg.recipe.groups import ParamGroup as ParamGroup
    from thalweg.recipe.optimizers import LAMB as LAMB
    from thalweg.recipe.optimizers import LARS as LARS
    from thalweg.recipe.optimizers import LBFGS as LBFGS
    from thalweg.recipe.optimizers import OPTIMIZERS as OPTIMIZERS
    from thalweg.recipe.optimizers import SAM as SAM
    from thalweg.recipe.optimizers import SGD as SGD
    from thalweg.recipe.optimizers import SOAP as SOAP
    from thalweg.recipe.optimizers import Adadelta as Adadelta
    from thalweg.recipe.optimizers import Adafactor as Adafactor
    from thalweg.recipe.optimizers import AdaGrad as AdaGrad
    from thalweg.recipe.optimizers import Adam as Adam
    from thalweg.recipe.optimizers import Adamax as Adamax
    from thalweg.recipe.optimizers import AdamW as AdamW
    from thalweg.recipe.optimizers import AMSGrad as AMSGrad
    from thalweg.recipe.optimizers import Custom as Custom
    from thalweg.recipe.optimizers import GradientDescent as GradientDescent
    from thalweg.recipe.optimizers import Lion as Lion
    from thalweg.recipe.optimizers import Muon as Muon
    from thalweg.recipe.optimizers import NAdam as NAdam
    from thalweg.recipe.optimizers import Optimizer as Optimizer
    from thalweg.recipe.optimizers import Prodigy as Prodigy
    from thalweg.recipe.optimizers import RAdam as RAdam
    from thalweg.recipe.optimizers import RMSprop as RMSprop
    from thalweg.recipe.optimizers import ScheduleFreeAdamW as ScheduleFreeAdamW
    from thalweg.recipe.optimizers import ScheduleFreeSGD as ScheduleFreeSGD
    from thalweg.recipe.ranges import Range as Range
    from thalweg.recipe.recipe import Recipe as Recipe
    from thalweg.recipe.schedules import SCHEDULES as SCHEDULES
    from thalweg.recipe.schedules import Constant as Constant
    from thalweg.recipe.schedules import Cosine as Cosine
    from thalweg.recipe.schedules import CosineRestarts as CosineRestarts
    from thalweg.recipe.schedules import CustomSchedule as CustomSchedule
    from thalweg.recipe.schedules import Exponential as Exponential
    from thalweg.recipe.schedules import InverseTime as InverseTime
    from thalweg.recipe.schedules import MultiStep as MultiStep
    from thalweg.recipe.schedules import OneCycle as OneCycle
    from thalweg.recipe.schedules import Plateau as Plateau
    from thalweg.recipe.schedules import Polynomial as Polynomial
    from thalweg.recipe.schedules import Schedule as Schedule
    from thalweg.recipe.schedules import StepDecay as StepDecay
    from thalweg.recipe.schedules import Warmup as Warmup
    from thalweg.recipe.schedules import WarmupCosine as WarmupCosine
    from thalweg.recipe.schedules import WarmupStableDecay as WarmupStableDecay
    from thalweg.run.cluster.executors import executor as executor
    from thalweg.run.folder.pretrained import Pretrained as Pretrained
    from thalweg.run.folder.record import Record as Record
    from thalweg.run.folder.record import read as read
    from thalweg.run.restore import Trained as Trained
    from thalweg.run.restore import restore as restore
    from thalweg.run.resume import Change as Change
    from thalweg.run.run import Run as Run
    from thalweg.run.run import Runs as Runs
    from thalweg.run.spec import Halving as Halving
    from thalweg.run.spec import SaveOptions as SaveOptions
    from thalweg.view.render import render as render
    from thalweg.view.schedule import plot as plot

_MODULES = {
    "core.errors": (
        "BadInput CompilerError DataError DataWarning MissingExtra ModelError RecipeError RunFolderError "
        "ThalwegError"
    ),
    "doors.estimators": "LaneHalvingSearchCV LaneSearchCV ThalwegClassifier ThalwegRegressor",
    "doors.export.export": "Export export",
    "doors.python": "best find_batch_size find_lr fit plan race resume search stream_train tape train",
    "doors.pytorch.diagnose": "diagnose_torch",
    "insight.search": "Budget SearchResult",
    "insight.compare": "compare",
    "insight.cost.cost": "Cost cost",
    "insight.cost.fitting": "Fitting fit_in",
    "insight.doctor.diagnose": "diagnose",
    "insight.doctor.diagnosis": "Diagnosis",
    "insight.evaluation": "Evaluation evaluate",
    "insight.finder.finding": "BatchFinding LearningRateFinding",
    "insight.finder.range_sweep": "RangeTest range_test",
    "insight.fit": "NoLearningRate",
    "insight.landscape.curvature": "Curvature curvature",
    "insight.landscape.landscape": "LandscapeOptions landscape",
    "insight.landscape.line": "Line",
    "insight.landscape.surface": "Landscape",
    "insight.best.result": "Best",
    "insight.race.result": "Race",
    "insight.ranking": "Ranking ranking_of",
    "insight.tape.gradcheck": "GradCheck gradcheck",
    "insight.tape.tape": "Tape",
    "lab.audit": "Audit audit",
    "problem.data.data": "Data",
    "problem.data.examples": "examples",
    "problem.data.note": "Note",
    "problem.data.load": "load",
    "problem.data.options": "LoadOptions",
    "problem.data.split": "Rows Sequences SeriesWindows Windows",
    "problem.data.preparation": "Preparation",
    "problem.data.stream": "stream",
    "problem.data.understanding": "Understanding understand",
    "problem.losses": "LOSSES METRICS Loss Metric",
    "problem.models": (
        "ARCHITECTURES CNN GPT GRU LSTM MLP RNN VGG Architecture LinearModel ResNet Tabular default_model"
    ),
    "problem.models.adapt": "adapt",
    "problem.problem": "Problem",
    "problem.surfaces": "surface",
    "recipe.averaging": "EMA SWA NoAverage Tail",
    "recipe.book": "BOOK default_recipe",
    "recipe.groups": "ParamGroup",
    "recipe.optimizers": (
        "LAMB LARS LBFGS OPTIMIZERS SAM SGD SOAP AMSGrad AdaGrad Adadelta Adafactor Adam "
        "AdamW Adamax Custom GradientDescent Lion Muon NAdam Optimizer Prodigy RAdam RMSprop "
        "ScheduleFreeAdamW ScheduleFreeSGD"
    ),
    "recipe.ranges": "Range",
    "recipe.recipe": "Recipe",
    "recipe.schedules": (
        "SCHEDULES Constant Cosine CosineRestarts CustomSchedule Exponential InverseTime MultiStep OneCycle "
        "Plateau Polynomial Schedule StepDecay Warmup WarmupCosine WarmupStableDecay"
    ),
    "run.cluster.executors": "executor",
    "run.folder.record": "Record read",
    "run.restore": "Trained restore",
    "run.resume": "Change",
    "run.run": "Run Runs",
    "run.folder.pretrained": "Pretrained",
    "run.spec": "Halving SaveOptions",
    "view.render": "render",
    "view.schedule": "plot",
}
_PUBLIC = {name: module for module, names in _MODULES.items() for name in names.split()}
_SUBMODULES = {"lab": "lab", "trackers": "doors.trackers"}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_large(f"thalweg.{_PUBLIC[name]}"), name)
    if name in _SUBMODULES:
        return import_large(f"thalweg.{_SUBMODULES[name]}")
    raise AttributeError(f"module 'thalweg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*_PUBLIC, *_SUBMODULES})
