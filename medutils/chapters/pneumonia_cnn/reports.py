"""What the write-ups' own tables and reports say, read rightly."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from medutils.chapters.pneumonia_cnn.experiments import Matrix, highest_recall, read_matrix
from medutils.evaluation import number

DEFECTS = (
    'Write-up 002 blames "approx. 600" training samples; its own log says 4,695. It takes "0.74 just by predicting all '
    'cases as being positive" for the bar, the share in training; among the test films it is 62.5 %, so its networks '
    "are further above it than it says.",
    '"Accuracy lower than the previous 2 models" (002, of the pretrained network): its 0.811 lies between their 0.795 '
    'and 0.856. "Owing to the improved recall, the amount of false positives is much lower" (002): the false positives '
    "did fall; recall did too, as the same section says.",
    "\"5,863 X-Ray images\" (002): the three folders hold 5,216, 624 and 16, which is 5,856. `verbose='False'` (002): "
    'text that is not empty counts as true. Losses that "have started to plateau after 6 epochs" (002): in the last of '
    "them the training loss falls from 0.129 to 0.100.",
    'A "loss of 200.31%" (003): a loss is no percentage. The accuracies of its L1 and L2 models are left blank.',
    'A convolutional network "initialized with a densely connected layer", and hidden layers called unsupervised '
    "(003): neither is so.",
)


def matrices_002(told: Mapping[str, Any]) -> dict[str, Matrix]:
    """Write-up 002's three printed matrices, from the claims by id."""
    return {claim.removesuffix("_matrix"): value for claim, value in told.items() if claim.endswith("_matrix")}


def matrix_003(told: Mapping[str, Any]) -> Matrix:
    """Write-up 003's matrix, from its words: the first row and column, and the films there are."""
    (right, row), (_, column) = told["003_row"], told["003_column"]
    return ((right, row - right), (column - right, told["test_films"] - row - (column - right)))


def readings_003(matrix: Matrix) -> tuple[dict[str, float], dict[str, float]]:
    """What write-up 003 calls precision and recall, and what they are."""
    found = read_matrix(matrix)
    (first, second), (third, fourth) = matrix
    claimed = {
        "films of the ill": first + third,
        "called ill": first + second,
        "recall": found["negative_predictive_value"],
        "precision": found["specificity"],
    }
    true = {
        "films of the ill": third + fourth,
        "called ill": second + fourth,
        "recall": found["sensitivity"],
        "precision": found["precision"],
    }
    return claimed, true


def flipped(claimed: Mapping[str, float], true: Mapping[str, float]) -> str:
    """The two readings in a sentence."""
    return (
        f"The row of {claimed['called ill']:.0f} is the normal children. What is called a precision of "
        f"{claimed['precision']:.2%} is the specificity, and a recall of {claimed['recall']:.2%} is the share of "
        f"normal among those called normal. Recall is {true['recall']:.1%} and precision {true['precision']:.1%}. What "
        "was weak is the specificity, which the write-up does not name."
    )


def swapped(told: Mapping[str, Any]) -> str:
    """What the precision is that write-up 002 quotes of its baseline, read rightly."""
    found = read_matrix(matrices_002(told)["002-baseline"])
    return (
        f"The {told['baseline_precision_read']:.2f} that write-up 002 quotes as its baseline's precision stands in the "
        f"row of the normal films: it is the specificity, {found['specificity']:.2f}. Its precision is "
        f"{found['precision']:.3f}, from a matrix that still holds one batch twice."
    )


def twice(y: Any, y_twice: Any, told: Mapping[str, Any]) -> str:
    """How many films are counted, here and in the write-up."""
    total = {sum(map(sum, matrix)) for matrix in matrices_002(told).values()}
    tested = told["test_films"]
    return (
        f"The matrix holds {len(y_twice)} films, though {len(y)} were tested. The write-up's three matrices hold "
        f"{max(total):.0f} each, though its test set has {tested:.0f}: {max(total) - tested:.0f} more, one batch."
    )


def recommendation(
    recall: Mapping[str, float],
    precision: Mapping[str, float],
    specificity: Mapping[str, float],
    told: Mapping[str, Any],
) -> str:
    """What the misread precision does to write-up 002's choice, and which network here has the highest recall."""
    base, chosen = (read_matrix(matrices_002(told)[name]) for name in ("002-baseline", "002-augmented"))
    first = highest_recall(recall, precision)
    here = (
        "On this run no recall is defined."
        if np.isnan(recall[first])
        else f"On this run the highest recall, {number(recall[first])}, is that of {first}, with a precision of "
        f"{number(precision[first])} and a specificity of {number(specificity[first])}."
    )
    return (
        "The write-up's rule has two halves: recall is more important, \"but we still want the model to have "
        'reasonable precision". By the second half it turns down its baseline: "the precision was only '
        f'{told["baseline_precision_read"]:.2f}". Read rightly, the baseline has a precision of '
        f"{base['precision']:.3f} and a recall of {base['sensitivity']:.3f}; 002-augmented, which it chooses, has "
        f"{chosen['precision']:.3f} and {chosen['sensitivity']:.3f}. So the reason falls away, and not the rule. "
        "Whether the baseline's precision is reasonable the write-up does not say, and its choice has the higher "
        f"accuracy. {here}"
    )
