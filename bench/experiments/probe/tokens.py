"""Whether tokens of objects can be told from those of the background.

In numbers by a linear discriminant on images that it has not seen, and to the eye by PCA and t-SNE (van der Maaten and
Hinton 2008). All by scikit-learn.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import numpy as np

from bench.experiments.probe.features import PositionFeatures
from bench.experiments.probe.result import Separation
from bench.routing.auroc import areas
from bench.stats import interval, resample
from models.errors import UserError

FOLDS = 5
DRAWN = 800  # tokens in a picture, at most
COMPONENTS = 30  # that t-SNE is given


def check() -> None:
    """Refuse to go on without scikit-learn.

    Raises:
        UserError: it is missing.
    """
    if importlib.util.find_spec("sklearn") is None:
        raise UserError("it needs scikit-learn", where="bench probe", fix="pip install 'exitbench[probe]'")


def separation(seen: PositionFeatures, resamples: int, seed: int) -> Separation | None:
    """How well object and background tokens can be told apart, as the area under the ROC curve.

    They are scored by a linear discriminant with Ledoit and Wolf's shrinkage (2004) on standardised tokens. Five folds
    share no image, so that each token is scored by a discriminant that has not seen its image.

    Args:
        seen: the features after one position.
        resamples: of the bootstrap over images.
        seed: of the bootstrap.

    Returns:
        The area with its interval, and that from places alone; None when fewer than five images have tokens.
    """
    images = np.unique(seen.image)
    if len(images) < FOLDS:
        return None
    scores = unseen_scores(seen.tokens, seen.kind, seen.image)
    column = np.searchsorted(images, seen.image)
    drawn = [np.bincount(draw, minlength=len(images)) for draw in resample(len(images), resamples, seed)]
    times = np.stack([np.ones(len(images), np.int64), *drawn])[:, column]
    auc, *replicates = areas(scores, seen.kind == 1, times)
    x, y = seen.place.T
    where = np.stack([x, y, x * y, x**2, y**2], axis=1)
    place = areas(unseen_scores(where, seen.kind, seen.image), seen.kind == 1, times[:1])[0]
    return Separation(
        tokens=len(scores),
        images=len(images),
        auc=float(auc),
        interval=interval(replicates),
        place=float(place),
        explained=principal(seen.tokens, 2)[1],
    )


def unseen_scores(tokens: np.ndarray, kind: np.ndarray, image: np.ndarray) -> np.ndarray:
    """How much each token looks like an object to a discriminant fitted on the other folds.

    Args:
        tokens: [T, C].
        kind: OBJECT or BACKGROUND, int64 [T].
        image: which image each token is of, int64 [T]; no image is in two folds.

    Returns:
        float64 [T].
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"))
    folds = GroupKFold(FOLDS)
    return cross_val_predict(model, tokens.astype(np.float64), kind, groups=image, cv=folds, method="decision_function")


def principal(tokens: np.ndarray, count: int) -> tuple[np.ndarray, tuple[float, ...]]:
    """Standardised tokens along their first principal components.

    Args:
        tokens: [T, C].
        count: of components; fewer where T or C is smaller.

    Returns:
        The tokens, float64 [T, k], and the share of the variance along each component.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    pca = PCA(min(count, *tokens.shape), svd_solver="full")
    found = pca.fit_transform(StandardScaler().fit_transform(tokens.astype(np.float64)))
    return found, tuple(float(share) for share in pca.explained_variance_ratio_)


@dataclass(frozen=True, eq=False)
class Cloud:
    """Tokens in the plane.

    Attributes:
        pca: float64 [T, 2].
        tsne: float64 [T, 2].
        kind: as in `PositionFeatures`, int64 [T].
    """

    pca: np.ndarray
    tsne: np.ndarray
    kind: np.ndarray


def cloud(seen: PositionFeatures, seed: int) -> Cloud | None:
    """Lay tokens out in the plane by PCA and, from their first principal components, by t-SNE with perplexity 30.

    Args:
        seen: the features after one position.
        seed: of which tokens are drawn, and of t-SNE.

    Returns:
        At most DRAWN tokens, or None when there are too few to draw.
    """
    from sklearn.manifold import TSNE

    chosen = np.random.default_rng(seed).permutation(len(seen.kind))[:DRAWN]
    if len(chosen) < 2 * FOLDS:
        return None
    found, _ = principal(seen.tokens[chosen], COMPONENTS)
    perplexity = min(30.0, (len(chosen) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(found)
    return Cloud(found[:, :2], tsne, seen.kind[chosen])
