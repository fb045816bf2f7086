"""Images of a Hugging Face data set: `python huggingface_images.py` (pip install datasets)."""

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image
from sklearn.datasets import load_digits

import thalweg as tw


def main(epochs: int = 5) -> tw.Run:
    """Train on handwritten digits that are a column of images with labels by name."""
    digits = load_digits()
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    features = Features({"image": Image(), "label": ClassLabel(names=names)})
    images = (digits.images * 15).astype(np.uint8)
    data = Dataset.from_dict({"image": list(images), "label": digits.target.tolist()}, features=features)
    return tw.fit(data, epochs=epochs, references=False)


if __name__ == "__main__":
    print(main())
