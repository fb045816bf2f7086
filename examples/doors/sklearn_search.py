"""A search of scikit-learn, all candidates and folds at once: `python sklearn_search.py`."""

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import thalweg as tw


def main(epochs: int = 20) -> float:
    """Search rates and decays over five folds; return the accuracy on rows that were held out."""
    rows = train_test_split(*load_breast_cancer(return_X_y=True), test_size=0.25, random_state=0)
    x_train, x_test, y_train, y_test = rows
    pipeline = make_pipeline(StandardScaler(), tw.ThalwegClassifier("mlp:32", epochs=epochs, random_state=0))
    grid = {"thalwegclassifier__lr": [1e-4, 1e-3, 1e-2], "thalwegclassifier__weight_decay": [0.0, 0.1]}
    search = tw.LaneSearchCV(pipeline, grid, cv=5).fit(x_train, y_train)
    print(search.best_params_, f"{search.best_score_:.3f} over the folds")
    return search.score(x_test, y_test)


if __name__ == "__main__":
    print(f"accuracy on new rows: {main():.3f}")
