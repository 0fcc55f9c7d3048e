"""AUROC and average precision of one ranking, for many weightings of the patients at once."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Array = NDArray[np.float64]


class Ranking:
    """Rows ranked once by their score; weights are then carried to the ranks.

    Neighbours in rank that no metric can tell apart (ties, and runs of negatives) are one group. Two sparse matrices,
    (groups, patients), hold how many positives and negatives of each patient lie in each group, so that the weights of
    all groups are one product, and no array of rows by weightings is made.
    """

    def __init__(self, positive: NDArray[np.bool_], score: Array, code: NDArray[np.int64], patients: int) -> None:
        order = np.argsort(-score, kind="stable")
        positive, score, code = positive[order], score[order], code[order]
        tie = np.cumsum(np.r_[True, np.diff(score) != 0]) - 1
        negatives_only = np.bincount(tie, positive) == 0
        joined = negatives_only & np.r_[False, negatives_only[:-1]]
        group = (np.cumsum(~joined) - 1)[tie]
        self.groups = int(group[-1]) + 1
        shape = (self.groups, patients)
        self.positives, self.negatives = (
            csr_array((np.ones(rows.sum()), (group[rows], code[rows])), shape=shape) for rows in (positive, ~positive)
        )

    def areas(self, weights: Array) -> tuple[Array, Array]:
        """AUROC, ties counting half, and average precision for weights (patients, weightings); NaN where undefined.

        scikit-learn computes the same for one weighting a call.
        """
        positives, negatives = self.positives @ weights, self.negatives @ weights
        hits, alarms = positives.cumsum(0), negatives.cumsum(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.einsum("gb,gb->b", positives, hits / np.maximum(hits + alarms, 1e-12)) / hits[-1]
            above = np.einsum("gb,gb->b", negatives, hits - positives / 2)
            return above / (hits[-1] * alarms[-1]), precision
