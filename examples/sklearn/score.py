"""The trial: trains the pipeline on folds of scikit-learn's digits, and prints how many it reads right.

The digits (1797 images of 8 x 8) come with scikit-learn; nothing is fetched.
"""

from pipeline import build
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, cross_val_score

images, digits = load_digits(return_X_y=True)
folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=0)
scores = cross_val_score(build(seed=0), images, digits, cv=folds, error_score="raise")
print(f"accuracy: {scores.mean():.6f}")
