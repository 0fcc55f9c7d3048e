"""What the pneumonia chapter's reference run found: for its first figure, and for the cover, which needs no torch."""

import pandas as pd

from medutils.chapters import Finding
from medutils.evidence import real_numbers, reported_and_reference

CHAPTER = "pneumonia_cnn"
LARGE, AUGMENTED = "002: large pretrained network", "003: small network with augmentation"
WHOLE = "ImageNet network, three trained whole"
FEATURES, PIXELS = "ImageNet features, logistic regression", "32 × 32 pixels, logistic regression"


def answer_rows() -> pd.DataFrame:
    """Accuracies on the test films that were reported, and those of the reference run."""
    names = {
        LARGE: "002-xception.as_written.accuracy",
        "002: small network with augmentation": "002-augmented.as_written.accuracy",
        AUGMENTED: "003-augmented.as_written.accuracy",
        WHOLE: "whole.ensemble.accuracy",
        FEATURES: "frozen.tf_efficientnet_lite0.accuracy",
        PIXELS: "frozen.thumbnails.accuracy",
        "every film called ill": "majority.accuracy",
    }
    claims = {
        LARGE: "002-xception_test_accuracy",
        "002: small network with augmentation": "002-augmented_test_accuracy",
        AUGMENTED: "003_aug_accuracy",
    }
    return reported_and_reference(CHAPTER, names, claims)


def finding() -> Finding:
    """What the cover tells: accuracy on the test films."""
    real, rows = real_numbers(CHAPTER), answer_rows().loc[[AUGMENTED, FEATURES, PIXELS]]
    ours, features, thumbnails = (
        real.metric(name)
        for name in (
            "003-augmented.as_written.accuracy",
            "frozen.tf_efficientnet_lite0.accuracy",
            "frozen.thumbnails.accuracy",
        )
    )
    sentence = (
        f"A network for children's chest films was reported with an accuracy of {rows['reported'].iloc[0]:.3f} on the "
        f"test films; ours, as written, has {ours}, logistic regression on features that were learned from photographs "
        f"{features}, and on 32 × 32 pixels {thumbnails}."
    )
    words = ("003 with augmentation", "ImageNet features", "32 × 32 pixels")
    return Finding(sentence, rows.set_axis([f"chest accuracy, {what}" for what in words]))
