"""What the chapter is told: parts, networks and remedies that there are, profiles that hold."""

import pytest

from medutils.chapters.lumbar_fusion.parameters import CHAPTER, LumbarFusion
from medutils.chapters.lumbar_fusion.plan import check
from medutils.errors import InputError


@pytest.mark.parametrize("profile", CHAPTER.profiles)
def test_every_profile_can_be_run(profile: str) -> None:
    check(LumbarFusion(**{"profile": profile, **CHAPTER.profiles[profile]}))


@pytest.mark.parametrize(
    ("parameter", "value", "said"),
    [
        ("parts", "spider,other", "parts: found 'other'"),
        ("architectures", "sets,unet", "architectures: found 'unet'"),
        ("remedies", "hope", "remedies: found 'hope'"),
        ("remedies", " , ", "remedies: found none"),
    ],
)
def test_what_there_is_not_is_refused(parameter: str, value: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        check(LumbarFusion(**{parameter: value}))
