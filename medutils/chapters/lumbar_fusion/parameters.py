"""Parameters of the chapter `lumbar_fusion`, and how it finds its data."""

from pydantic import Field

from medutils.chapters import Chapter, Finding, Parameters
from medutils.data.manifest import Located
from medutils.files import BOOK


class LumbarFusion(Parameters):
    """Parameters of `book/lumbar_fusion.ipynb`."""

    data: str = Field("auto", min_length=1, description="auto, phantom, or the folder of your own SPIDER-like patients")
    resamples: int = Field(500, ge=10, le=100_000, description="bootstrap resamples behind each interval")
    parts: str = Field(
        "spider,phantoms,looks,pseudo,model",
        description="what is computed, with commas between; also three, tuned, embedders and ablation",
    )
    architectures: str = Field("sets,regions,slices", min_length=1, description="networks, with commas between")
    remedies: str = Field(
        "nothing,zero,neutral,dynamic,modality_dropout,pseudo,pseudo_vae,pseudo_attention_vae,unregularised,dropout,l2",
        min_length=1,
        description="ways to live without a series, with commas between; dynamic is one of them",
    )
    features: str = Field(
        "16,32", min_length=1, description="principal components of a token; of several each fold chooses"
    )
    learning_rates: str = Field(
        "0.001,0.004", min_length=1, description="of each network's training; of several each fold chooses"
    )
    size: int = Field(96, ge=32, le=512, description="pixels a side of a slice that is embedded")
    studies: int = Field(48, ge=12, le=5000, description="phantom studies")
    study_size: int = Field(64, ge=32, le=512, description="pixels a side of a phantom study's slices")
    epochs: int = Field(15, ge=1, le=1000, description="epochs of each network")
    folds: int = Field(3, ge=2, le=20, description="folds of the cross-validation by patient")
    repeats: int = Field(1, ge=1, le=100, description="how often the folds are drawn")
    seeds: int = Field(1, ge=1, le=100, description="trainings of each network in each fold")


def _find_patients(parameters: LumbarFusion) -> Located:
    from medutils.data import registry

    if not CHAPTER.of_a_profile(parameters):
        from medutils.chapters.lumbar_fusion.plan import check  # slow to import

        check(parameters)
    return registry.find("spider_midsagittal", parameters.data)


def _found() -> Finding:
    from medutils.chapters.lumbar_fusion.finding import finding

    return finding()


CHAPTER = Chapter(
    number=5,
    name="lumbar_fusion",
    title="Lumbar MRI: fusion that survives a missing series",
    parameters=LumbarFusion,
    profiles={
        "smoke": {
            "parts": "spider,phantoms,model",
            "architectures": "sets,slices",
            "remedies": "nothing,dynamic,pseudo,unregularised,l2",
            "learning_rates": "0.002",
            "size": 32,
            "studies": 12,
            "study_size": 32,
            "epochs": 2,
            "folds": 2,
            "resamples": 50,
        },
        "demo": {},
        "full": {
            "parts": "spider,embedders,three,phantoms,ablation,looks,tuned,pseudo,model",
            "size": 224,
            "studies": 200,
            "study_size": 128,
            "epochs": 50,
            "folds": 5,
            "repeats": 3,
            "resamples": 1000,
        },
    },
    find=_find_patients,
    datasets=("spider_midsagittal", "rsna_lumbar", "rsna_lumbar_studies", "rsna_lumbar_t1"),
    # Until there is a reference run the cover has nothing to say.
    finding=_found if (BOOK / "reference" / "lumbar_fusion.json").is_file() else None,
)
