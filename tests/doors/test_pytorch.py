"""PyTorch programs: their translation against PyTorch itself, and their diagnosis."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import thalweg as tw
from tests.test_examples import loaded
from thalweg.core.errors import BadInput, ModelError, RecipeError
from thalweg.insight.doctor.diagnosis import Cause, Change, Cost, Diagnosis

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'thalweg[torch]'")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils.data import DataLoader, RandomSampler, TensorDataset, WeightedRandomSampler  # noqa: E402

from thalweg.doors.pytorch.diagnose import in_pytorch  # noqa: E402
from thalweg.doors.pytorch.graph import Layers  # noqa: E402
from thalweg.doors.pytorch.loader import recipe_of  # noqa: E402
from thalweg.doors.pytorch.losses import binary_cross_entropy  # noqa: E402
from thalweg.doors.pytorch.translated import _compare, _Compared, check_same, translated  # noqa: E402

RANDOM = np.random.default_rng(0)
FLAT, IMAGES = RANDOM.normal(size=(6, 8)).astype(np.float32), RANDOM.normal(size=(6, 3, 8, 8)).astype("f")
SERIES, WORDS = RANDOM.normal(size=(6, 5, 8)).astype(np.float32), RANDOM.integers(0, 9, (6, 5))


class Last(nn.Module):
    """A recurrent layer, and an affine map of its last output."""

    def __init__(self, layer, width):
        super().__init__()
        self.layer, self.out = layer, nn.Linear(width, 3)

    def forward(self, x):
        return self.out(self.layer(x)[0][:, -1])


class Attending(nn.Module):
    def __init__(self, causal=False):
        super().__init__()
        self.words, self.causal = nn.Embedding(9, 8), causal
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 3)
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        h = self.words(x) + torch.arange(x.shape[1])[:, None] * 0.1
        q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in self.qkv(h).chunk(3, dim=-1))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(self.norm(h + mixed.transpose(1, 2).flatten(2)).mean(dim=1))


class Mixed(nn.Module):
    """Operations of arrays as users write them."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(8, 6), nn.Linear(12, 3)
        self.register_buffer("shift", torch.linspace(0, 1, 6))

    def forward(self, x):
        h = self.one(x)
        h = torch.where(h > 0, h, 0.1 * h).clamp(-2, 2) - self.shift
        h = torch.cat([h, torch.stack([h.min(dim=1).values, h.std(dim=1)], dim=1).repeat(1, 3)], dim=1)
        h = (h / h.norm(dim=1, keepdim=True)).view(x.shape[0], -1)
        return self.two(h).squeeze() * h.var(dim=1, unbiased=False, keepdim=True).sqrt()


class Counting(nn.Module):
    """Counts the rows of its batch, which the exporter then takes for a constant."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        return self.out(x.reshape(len(x), -1) + torch.zeros(len(x), 1))


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(8, 6), nn.Linear(6, 3)

    def forward(self, x):
        h = self.one(x)
        h.mul_(2.0).add_(1.0)
        return self.two(functional.relu(h, inplace=True) + h)


def stack(*layers):
    return lambda: nn.Sequential(*(layer() for layer in layers))


ACTIVATIONS = [
    nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.SELU, nn.LeakyReLU, nn.Softplus, nn.Mish,
    nn.Hardtanh, nn.Softsign, nn.LogSigmoid, nn.ReLU6, nn.PReLU, nn.CELU, nn.Hardswish, nn.Hardsigmoid,
]  # fmt: skip
MODELS = {
    **{
        kind.__name__: (stack(lambda: nn.Linear(8, 6), kind, lambda: nn.Linear(6, 3)), FLAT)
        for kind in ACTIVATIONS
    },
    "norms": (
        stack(
            lambda: nn.Linear(8, 6), lambda: nn.LayerNorm(6), lambda: nn.Linear(6, 4), lambda: nn.RMSNorm(4)
        ),
        FLAT,
    ),
    "batch norm": (
        stack(lambda: nn.Linear(8, 6), lambda: nn.BatchNorm1d(6), nn.ReLU, lambda: nn.Linear(6, 3)),
        FLAT,
    ),
    "convolutions": (
        stack(
            lambda: nn.Conv2d(3, 4, 3, stride=2, padding=1),
            lambda: nn.BatchNorm2d(4),
            nn.ReLU,
            lambda: nn.Conv2d(4, 4, 2, padding="same", groups=2),
            lambda: nn.GroupNorm(2, 4),
            lambda: nn.MaxPool2d(2),
            nn.Flatten,
            lambda: nn.Linear(16, 3),
        ),
        IMAGES,
    ),
    "pooling": (
        stack(
            lambda: nn.AvgPool2d(3, stride=2, padding=1),
            lambda: nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1),
            lambda: nn.MaxPool2d(3, stride=2, padding=1),
            lambda: nn.AdaptiveAvgPool2d(1),
            nn.Flatten,
            lambda: nn.Linear(4, 3),
        ),
        IMAGES,
    ),
    "convolution of a series": (
        stack(
            lambda: nn.Conv1d(5, 4, 3, dilation=2),
            lambda: nn.AvgPool1d(2),
            nn.Flatten,
            lambda: nn.Linear(8, 3),
        ),
        SERIES,
    ),
    "lstm": (lambda: Last(nn.LSTM(8, 6, 2, batch_first=True, bidirectional=True), 12), SERIES),
    "gru": (lambda: Last(nn.GRU(8, 6, 2, batch_first=True), 6), SERIES),
    "rnn": (lambda: Last(nn.RNN(8, 6, batch_first=True, nonlinearity="relu"), 6), SERIES),
    "attention": (Attending, WORDS),
    "causal attention": (lambda: Attending(causal=True), WORDS),
    "encoder": (
        stack(
            lambda: nn.TransformerEncoderLayer(8, 2, 12, batch_first=True),
            nn.Flatten,
            lambda: nn.Linear(40, 3),
        ),
        SERIES,
    ),
    "arrays": (Mixed, FLAT),
    "in place": (InPlace, FLAT),
    "rows counted": (Counting, FLAT),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_outputs_and_gradients_are_those_of_pytorch(name):
    make, x = MODELS[name]
    program = translated(make, nn.CrossEntropyLoss(), x, np.arange(6) % 3)
    check_same(program, make, nn.CrossEntropyLoss(), x, np.arange(6) % 3)
    # The comparison sees what it is there to see.
    other = nn.CrossEntropyLoss(label_smoothing=0.3)
    with pytest.raises(ModelError, match="must be PyTorch's within"):
        check_same(program, make, other, x, np.arange(6) % 3)


def test_batch_norm_uses_the_statistics_of_the_batch_while_training():
    def make():
        return nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 3))

    def mean(out, y):
        return (out * torch.arange(3)).sum() + 0 * y.sum()

    x = FLAT * 3 + 1
    program = translated(make, mean, x, np.zeros(6))
    torch.manual_seed(0)
    module = make().train()
    wanted = mean(module(torch.as_tensor(x)), torch.zeros(6)).item()
    names = program.factory.names
    weights = {name: jnp.asarray(w) for name, w in zip(names, program.factory.drawn(0), strict=True)}
    ours, state = program.factory.module(weights)
    loss, _, state = program.objective(ours, {"x": x, "y": jnp.zeros(6)}, jax.random.key(0), state)
    assert np.isclose(float(loss), wanted, rtol=1e-4)


def test_the_dropout_of_attention_is_numbered_among_the_others():
    make, x = MODELS["encoder"]
    graph = translated(make, nn.CrossEntropyLoss(), x, np.arange(6) % 3).graph
    assert graph.dropouts == [0.1] * 4 and graph.active_dropouts == 4
    seen = []

    def dropout(number, x):
        seen.append((number, x.shape))
        return x

    names = [f"module.{name}" for name, _ in make().named_parameters()]
    weights = {
        name: jnp.asarray(w.detach().numpy()) for name, w in zip(names, make().parameters(), strict=True)
    }
    graph.run(weights, (jnp.asarray(x[:1]),), Layers(dropout, None))
    assert [number for number, _ in seen] == [0, 1, 2, 3] and seen[0][1] == (1, 2, 5, 5)


def test_dropout_is_off_in_evaluations_and_drops_its_share_while_training():
    program = translated(
        stack(lambda: nn.Dropout(0.25)), lambda out, y: out.sum() + 0 * y.sum(), FLAT, np.zeros(6)
    )
    module = program.factory.module({})
    ones = jnp.ones(100_000)
    assert np.array_equal(eqx.nn.inference_mode(module)(ones, key=jax.random.key(0)), ones)
    assert abs(float((module(ones, key=jax.random.key(0)) == 0).mean()) - 0.25) < 0.01


LOSSES = {
    "cross entropy": (nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5])), np.arange(6) % 3),
    "smoothed": (nn.CrossEntropyLoss(label_smoothing=0.1), np.arange(6) % 3),
    "ignored": (nn.CrossEntropyLoss(ignore_index=1, reduction="sum"), np.arange(6) % 3),
    "shares": (nn.CrossEntropyLoss(), np.full((6, 3), 1 / 3, np.float32)),
    "nll": (lambda z, y: functional.nll_loss(functional.log_softmax(z, dim=1), y), np.arange(6) % 3),
    "mse": (nn.MSELoss(), np.ones((6, 3), np.float32)),
    "l1": (nn.L1Loss(reduction="sum"), np.ones((6, 3), np.float32)),
    "huber": (nn.HuberLoss(delta=0.7), np.ones((6, 3), np.float32)),
    "smooth l1": (nn.SmoothL1Loss(beta=0.7), np.ones((6, 3), np.float32)),
    "logits": (nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 3.0])), np.eye(6, 3, dtype="f")),
    "probabilities": (lambda z, y: functional.binary_cross_entropy(z.sigmoid(), y), np.eye(6, 3, dtype="f")),
    "divergence": (
        lambda z, y: functional.kl_div(z.log_softmax(1), y, reduction="batchmean"),
        np.full((6, 3), 1 / 3, "f"),
    ),
    "by hand": (
        lambda z, y: -torch.log(z.softmax(1) + 1e-7)[torch.arange(len(y)), y].mean(),
        np.arange(6) % 3,
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_those_of_pytorch_for_batches_of_any_size(name):
    loss, y = LOSSES[name]
    z = RANDOM.normal(size=(6, 3)).astype(np.float32)
    loss_of = _Compared(loss, torch.as_tensor(z[:1]), torch.as_tensor(y[:1]))
    for count in (6, 4, 1):
        rows = z[:count], y[:count]
        ours = loss_of.of(count).run({}, [jnp.asarray(each) for each in rows], Layers(None, None))
        assert np.isclose(float(ours), float(loss(*map(torch.as_tensor, rows))), 1e-5)


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.9), weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.3),
    "adamw without decay": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.0),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, momentum=0.5, centered=True),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=0.5),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1, initial_accumulator_value=0.1, eps=1e-12),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_takes_the_steps_of_pytorch(name):
    start = RANDOM.normal(size=(4, 3)).astype(np.float32)
    tensor = torch.nn.Parameter(torch.as_tensor(start.copy()))
    optimizer = OPTIMIZERS[name]([tensor])
    loader = DataLoader(TensorDataset(torch.zeros(8, 1), torch.zeros(8, 1)), batch_size=4)
    recipe = recipe_of(optimizer, loader, 3, 5)
    rule = recipe.optimizer.rule({"w": "matrix"}, {"w": True})
    params = {"w": jnp.asarray(start)}
    state = rule.init(params)
    for step in range(6):
        gradient = RANDOM.normal(size=(4, 3)).astype(np.float32) + step
        tensor.grad = torch.as_tensor(gradient)
        optimizer.step()
        updates, state = rule.update({"w": jnp.asarray(gradient)}, state, params)
        params = optax.apply_updates(params, updates)
    assert np.allclose(params["w"], tensor.detach().numpy(), rtol=2e-4, atol=2e-5)


def test_a_loader_says_batch_order_and_what_happens_to_the_last_batch():
    rows = TensorDataset(torch.zeros(10, 1), torch.zeros(10, 1))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    recipe = recipe_of(optimizer, DataLoader(rows, 4, shuffle=True, drop_last=True), 3, 5)
    assert (recipe.batch_size, recipe.shuffle, recipe.last_batch) == (4, "reshuffle", "drop")
    assert (recipe.epochs, recipe.seed) == (3, 5)
    other = recipe_of(optimizer, DataLoader(rows, 16), 1, 0)
    assert (other.batch_size, other.shuffle, other.last_batch) == (10, "none", "keep")
    drawn = DataLoader(rows, 4, sampler=RandomSampler(rows, replacement=True))
    assert recipe_of(optimizer, drawn, 1, 0).shuffle == "replacement"


def crossed(count=300, seed=1):
    x = np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)
    y = (x[:, :1] * x[:, 1:] > 0).astype(np.float32)
    return DataLoader(TensorDataset(torch.as_tensor(x), torch.as_tensor(y)), batch_size=32, shuffle=True)


def head(*end):
    return lambda: nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1), *(each() for each in end))


def test_a_program_is_diagnosed_and_repaired_in_the_words_of_pytorch():
    answer = tw.diagnose_torch(
        head(lambda: nn.Softmax(dim=1)),
        lambda p: torch.optim.Adam(p, lr=0.01),
        crossed(),
        nn.BCELoss(),
        epochs=15,
        budget=6,
    )
    assert answer.causes[0].name == "head_softmax_single" and answer.causes[0].proof in ("static", "proven")
    assert answer.repair is not None and min(answer.repair.after) > 0.85
    lines = [change.line for change in answer.repair.changes]
    assert lines == ["return torch.sigmoid(last_layer(h))"]


def test_a_look_at_a_healthy_program_finds_nothing():
    answer = tw.diagnose_torch(
        head(nn.Sigmoid),
        lambda p: torch.optim.Adam(p, lr=0.01),
        crossed(),
        nn.BCELoss(),
        epochs=15,
        quick=True,
        validation=crossed(80, seed=2),
    )
    assert answer.healthy


def test_a_cross_entropy_at_certainty_is_as_finite_as_in_pytorch():
    p = torch.tensor([0.0, 1.0, 1.0, 0.0, 0.3], requires_grad=True)
    y = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0])
    loss = nn.BCELoss()(p, y)
    loss.backward()
    values = jnp.asarray(p.detach().numpy()), jnp.asarray(y.numpy())
    ours, slope = jax.value_and_grad(binary_cross_entropy)(*values)
    assert np.isclose(ours, loss.item()) and np.allclose(slope, p.grad.numpy(), rtol=1e-5)
    assert np.isnan(binary_cross_entropy(jnp.array([1.5, 0.5]), jnp.ones(2)))  # PyTorch refuses it


def test_a_translation_that_is_not_finite_where_pytorch_is_is_refused():
    one, nan = np.ones(3), np.array([1.0, np.nan, 1.0])
    _compare("the loss", one, one)
    _compare("the loss", one, nan)  # PyTorch's own: what is diagnosed
    with pytest.raises(ModelError, match="the loss must be PyTorch's"):
        _compare("the loss", nan, one)


def test_the_example_names_its_cause():
    answer = loaded(Path(__file__).parents[2] / "examples/doors/diagnose_pytorch.py").main(200)
    assert (answer.causes[0].name, answer.causes[0].proof) == ("head_double_activation", "static")


def test_lines_of_code_are_said_in_pytorch():
    def line(text):
        cause = Cause("lr_high", "static", change=Change("set_loss", line=text))
        said = in_pytorch(Diagnosis(False, causes=(cause,), cost=Cost(0.0, 0, 0.0, 0.0)))
        return said.causes[0].change.line

    assert line("h = jax.nn.relu(layer(h))") == "h = torch.relu(layer(h))"
    assert line("x = (x - x.mean(axis=0)) / x.std(axis=0)") == "x = (x - x.mean(dim=0)) / x.std(dim=0)"
    assert line("loss = -jnp.mean(jax.nn.log_softmax(outputs)[jnp.arange(len(y)), y])") == (
        "loss = -torch.mean(F.log_softmax(outputs, dim=1)[torch.arange(len(y)), y])"
    )
    assert line("loss = jnp.mean(jax.nn.softplus(z) - y * z)") == "loss = torch.mean(F.softplus(z) - y * z)"


class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(2, 4), nn.Linear(4, 1)
        self.one.weight.requires_grad_(False)

    def forward(self, x):
        return self.two(self.one(x).relu()).sigmoid()


class Always(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(2, 1)

    def forward(self, x):
        return functional.dropout(self.out(x), 0.5)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(2, 1)

    def forward(self, x):
        return self.out(x) if x.sum() > 0 else -self.out(x)


class Centred(nn.Module):
    """Takes the mean of the batch, which rows alone do not have."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(2, 1)

    def forward(self, x):
        return self.out(x - x.mean(dim=0)).sigmoid()


class Dropped(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.out = nn.LSTM(2, 3, 2, dropout=0.2, batch_first=True), nn.Linear(3, 1)

    def forward(self, x):
        return self.out(self.lstm(x[:, None])[0][:, -1]).sigmoid()


class Sorted(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(2, 1)

    def forward(self, x):
        return self.out(torch.fft.fft(x).real)


def adam(parameters):
    return torch.optim.Adam(parameters)


LOADER = crossed(60)


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"make_model": lambda: 3}, ModelError, "must return a torch.nn.Module"),
        ({"make_model": Always}, ModelError, "dropout must be off in evaluation mode"),
        ({"make_model": Branching}, ModelError, "could not trace it"),
        ({"make_model": Centred}, ModelError, "must be PyTorch's within"),
        ({"make_model": Dropped}, ModelError, "dropout between recurrent layers"),
        ({"make_model": Sorted}, ModelError, "an operation without a translation"),
        ({"loss": lambda p, y: p - y}, ModelError, "the loss of a batch must be one number"),
        ({"loader": [1, 2]}, BadInput, "needs a torch.utils.data.DataLoader"),
        ({"loader": DataLoader(TensorDataset(torch.zeros(9, 2)))}, BadInput, "pairs (x, y)"),
        ({"make_model": Frozen}, ModelError, "every parameter must be trained; got one.weight is not"),
        (
            {"make_optimizer": lambda p: torch.optim.Adam(list(p)[2:])},
            ModelError,
            "every parameter must be trained",
        ),
        (
            {"loader": DataLoader(LOADER.dataset, 8, sampler=WeightedRandomSampler([0.5] * 60, 60))},
            BadInput,
            "in order or at random; got WeightedRandomSampler",
        ),
        ({"epochs": 0}, BadInput, "epochs must be at least 1"),
        ({"budget": 0.5}, BadInput, "budget must be 0, or one training or more"),
        ({"make_optimizer": lambda p: torch.optim.ASGD(p)}, RecipeError, "one with a counterpart here"),
        ({"make_optimizer": lambda p: None}, RecipeError, "one with a counterpart here; got NoneType"),
        ({"make_optimizer": lambda p: torch.optim.Adam(p, amsgrad=True)}, RecipeError, "amsgrad=True"),
        (
            {"make_optimizer": lambda p: torch.optim.SGD(p, lr=0.1, maximize=True)},
            RecipeError,
            "must go downhill",
        ),
        (
            {
                "make_optimizer": lambda p: torch.optim.SGD(
                    [{"params": [q], "lr": 1 + i} for i, q in enumerate(p)]
                )
            },
            RecipeError,
            "groups of parameters",
        ),
    ],
)
def test_what_cannot_be_diagnosed_is_refused_with_its_reason(changes, kind, said):
    given = {
        "make_model": head(nn.Sigmoid),
        "make_optimizer": adam,
        "loader": LOADER,
        "loss": nn.BCELoss(),
    } | changes
    four = [given.pop(name) for name in ("make_model", "make_optimizer", "loader", "loss")]
    with pytest.raises(kind) as caught:
        tw.diagnose_torch(*four, quick=True, **given)
    assert said in str(caught.value)
