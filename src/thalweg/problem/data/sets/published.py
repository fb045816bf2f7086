"""Published data sets that are too large to carry: their files, addresses, check sums and classes."""

from dataclasses import dataclass

MNIST_CLASSES = tuple(range(10))
FASHION_CLASSES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "boot",
)
CIFAR_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


@dataclass(frozen=True)
class Fetched:
    """A file of a published set.

    Args:
        name: Name in the folder, without `.gz`.
        sha256: Of the unpacked content, so that any packing will do.
        addresses: Where it lies, tried in turn; a name that ends in `.gz` is packed.
    """

    name: str
    sha256: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Published:
    """A published set.

    Args:
        name: Name of the set.
        form: `idx`, `cifar` or `text`.
        files: What may be fetched; empty where the set must lie on this machine.
        folders: Subfolders of a data folder where it may lie, besides the folder itself.
        classes: Labels by class number.
        source: Who published it.
    """

    name: str
    form: str
    files: tuple[Fetched, ...] = ()
    folders: tuple[str, ...] = ()
    classes: tuple[int | str, ...] = ()
    source: str = ""


def _idx(addresses: tuple[str, ...], sums: dict[str, str]) -> tuple[Fetched, ...]:
    return tuple(
        Fetched(name, sha, tuple(f"{at}{name}.gz" for at in addresses)) for name, sha in sums.items()
    )


SETS = {
    "mnist": Published(
        "mnist",
        "idx",
        _idx(
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            {
                "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            },
        ),
        ("mnist",),
        MNIST_CLASSES,
        "Y. LeCun, C. Cortes, C. Burges: The MNIST database of handwritten digits",
    ),
    "fashion_mnist": Published(
        "fashion_mnist",
        "idx",
        _idx(
            (
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            ),
            {
                "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            },
        ),
        ("fashion_mnist", "fashion-mnist"),
        FASHION_CLASSES,
        "H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST, 2017",
    ),
    "cifar10": Published(
        "cifar10",
        "cifar",
        (),
        ("cifar10", "cifar-10-batches-bin"),
        CIFAR_CLASSES,
        "A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009",
    ),
    "tinyshakespeare": Published(
        "tinyshakespeare",
        "text",
        (
            Fetched(
                "tinyshakespeare.txt",
                "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                (
                    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
                ),
            ),
        ),
        ("tinyshakespeare", "text"),
        (),
        "A. Karpathy: char-rnn, 2015; works of W. Shakespeare",
    ),
}
