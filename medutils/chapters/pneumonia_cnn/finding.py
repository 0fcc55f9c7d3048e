"""What the reference run of the pneumonia chapter found, for the cover, which needs no torch."""

from medutils.chapters import Finding
from medutils.evidence import real_numbers, reported_and_reference


def finding() -> Finding:
    """What the reference run found, for the cover: accuracy on the test films."""
    augmented, frozen_features, pixels = (
        f"chest accuracy, {what}" for what in ("003 with augmentation", "ImageNet features", "32 × 32 pixels")
    )
    names = {
        augmented: "003-augmented.as_written.accuracy",
        frozen_features: "frozen.tf_efficientnet_lite0.accuracy",
        pixels: "thumbnails.accuracy",
    }
    rows = reported_and_reference("pneumonia_cnn", names, {augmented: "003_aug_accuracy"})
    real = real_numbers("pneumonia_cnn")
    ours, features, thumbnails = (real.metric(name) for name in names.values())
    sentence = (
        f"A network for children's chest films was reported with an accuracy of {rows['reported'].iloc[0]:.3f} on the "
        f"test films; ours, as written, has {ours}, logistic regression on features that were learned from photographs "
        f"{features}, and on 32 × 32 pixels {thumbnails}."
    )
    return Finding(sentence, rows)
