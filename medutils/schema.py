"""What the manifests of datasets and of pretrained weights share: YAML read without executing it, held to a schema."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medutils.errors import InputError
from medutils.files import explain

Text = Annotated[str, Field(min_length=1)]
ADDRESS = r"^https://[\w-]+(\.[\w-]+)+(:\d+)?([/?#]\S*)?$"
Address = Annotated[str, Field(pattern=ADDRESS)]
Count = Annotated[int, Field(strict=True, ge=0)]
# What PyYAML raises for a file that is no YAML, or whose tags do not fit their values.
NO_YAML = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, OverflowError, RecursionError)


class Strict(BaseModel):
    """A part of a manifest: keys that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Licence(Strict):
    """The terms that data or weights are given under, and what they let a reader do."""

    name: Text
    url: Address | None = None
    allows: Text


class Named(Strict):
    """A manifest: it bears the name of its file."""

    name: Text


M = TypeVar("M", bound=BaseModel)
N = TypeVar("N", bound=Named)


def read_named(path: Path, schema: type[N]) -> N:
    """Read and check a manifest; `InputError` when it does not fit the schema, or bears another name than its file."""
    found = read_yaml(path, schema)
    if found.name != path.stem:
        raise InputError(f"{path}: name: found '{found.name}'; expected '{path.stem}', as the file is called")
    return found


def read_yaml(path: Path, schema: type[M]) -> M:
    """Read and check a YAML file; `InputError` when it cannot be read or does not fit the schema."""
    try:
        return schema.model_validate(yaml.load(path.read_bytes(), _OnceOnly))  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise explain(error, path) from error
    except ValidationError as error:
        raise InputError(f"{path}: {_first_fault(error)}") from error
    except NO_YAML as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error


class _OnceOnly(yaml.SafeLoader):
    """YAML in which a mapping may hold a key once only; PyYAML itself keeps the last and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            keys = [str(key.value) for key, _ in node.value]
            twice = next((key for key in keys if keys.count(key) > 1), keys[0])
            raise yaml.YAMLError(f"{twice}: found more than once in one mapping; expected each key once")
        return mapping


def _first_fault(error: ValidationError) -> str:
    """The first thing wrong: its key, what was expected, and what was found where that is short."""
    first = error.errors()[0]
    found = f"; found {first['input']!r:.60}" if isinstance(first["input"], str | int | float) else ""
    if first["type"] == "value_error":
        found = ""  # our own sentences say it
    words = [".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")]
    return " ".join(": ".join(filter(None, words)).split()) + found
