"""Parameters of the chapter `lumbar_embeddings`, and how it finds its data."""

from pydantic import Field

from medutils.chapters import Chapter, Finding, Parameters
from medutils.data.manifest import Located
from medutils.files import BOOK


class LumbarEmbeddings(Parameters):
    """Parameters of `book/lumbar_embeddings.ipynb`."""

    data: str = Field("auto", min_length=1, description="auto, phantom, or the folder of your own annotated slices")
    parts: str = Field(
        "protocol,attention,grid,finetune,studies,spider,neighbours,chosen",
        description="what is computed beside the frozen embeddings, with commas between; empty for nothing more",
    )
    size: int = Field(96, ge=32, le=512, description="pixels a side of a slice that is embedded")
    embedders: str = Field("lite0", min_length=1, description="embedders of the grid, with commas between")
    recipes: str = Field(
        "svc,xgboost,ann_ns", description="classifiers of the grid, with commas between; empty for all"
    )
    splits: int = Field(2, ge=1, le=100, description="splits that each fault of the protocol is tried on")
    draws: int = Field(5, ge=2, le=1000, description="draws of the attention that is never trained")
    depth: int = Field(
        18, ge=10, le=200, description="layers of the 3-D network whose weights are loaded into a 2-D one"
    )
    fine_size: int = Field(64, ge=32, le=512, description="pixels a side of a slice that the network is fine-tuned on")
    epochs: int = Field(2, ge=1, le=1000, description="epochs of fine-tuning")
    seeds: int = Field(2, ge=1, le=100, description="fine-tunings")
    repeats: int = Field(1, ge=1, le=100, description="how often the folds of the cross-validation on discs are drawn")
    studies: str = Field("8", description="numbers of training studies of the learning curve, with commas between")


def _find_slices(parameters: LumbarEmbeddings) -> Located:
    from medutils.data import registry

    if not CHAPTER.of_a_profile(parameters):
        from medutils.chapters.lumbar_embeddings.plan import check  # slow to import

        check(parameters)
    if parameters.split:  # it was saved for the slices that can be read, so all of them are looked at
        from medutils.data.graded_slices import open_slices

        return open_slices(parameters.data, parameters.seed, parameters.split).located
    return registry.find("rsna_lumbar_t1", parameters.data)


def _found() -> Finding:
    from medutils.chapters.lumbar_embeddings.finding import finding

    return finding()


CHAPTER = Chapter(
    number=4,
    name="lumbar_embeddings",
    title="Lumbar MRI: what 92.21 % and 42 configurations know",
    parameters=LumbarEmbeddings,
    profiles={
        "smoke": {
            "parts": "protocol,grid,finetune",
            "size": 64,
            "recipes": "xgboost,ann_ns",
            "splits": 1,
            "draws": 2,
            "fine_size": 32,
            "epochs": 1,
            "resamples": 50,
        },
        "demo": {},
        "full": {
            "parts": "protocol,attention,pixels,grid,finetune,curve,studies,targets,spider,neighbours,chosen",
            "size": 224,
            "embedders": "aal,rn50,mn152,lite0",
            "recipes": "",
            "splits": 3,
            "draws": 20,
            "depth": 152,
            "fine_size": 288,
            "epochs": 3,
            "seeds": 3,
            "repeats": 3,
            "studies": "100,300,600",
        },
    },
    find=_find_slices,
    datasets=("rsna_lumbar_t1", "rsna_lumbar", "rsna_lumbar_studies", "spider_midsagittal"),
    # Until there is a reference run the cover has nothing to say.
    finding=_found if (BOOK / "reference" / "lumbar_embeddings.json").is_file() else None,
)
