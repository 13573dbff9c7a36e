"""The pipeline: what a row of features becomes, and what learns from it."""

from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def build(seed: int) -> BaseEstimator:
    """Returns an untrained classifier; what it draws at random is drawn by the seed."""
    return make_pipeline(
        StandardScaler(),
        PCA(n_components=6, random_state=seed),
        LogisticRegression(C=1.0, max_iter=200, random_state=seed),
    )
