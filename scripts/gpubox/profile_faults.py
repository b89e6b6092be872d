"""Turn pydantic's errors into faults in our words: `file: field: fault (got x); remedy`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel

from gpubox import profile as forms
from gpubox.errors import Fault, nearest
from gpubox.profile import Profile
from gpubox.server_options import Sampling, ServerOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Place = tuple[str | int, ...]

_PATTERNS = {
    forms.COMMIT_PATTERN: ("must be a commit: 40 hex digits", "a branch, tag or short hash can change what it means"),
    forms.SHA256_PATTERN: ("must be a SHA-256: 64 hex digits", ""),
    forms.PATH_PATTERN: ("must be an absolute path on the box", ""),
    forms.DEVICE_PATTERN: ("must be a device", "write CPU, CUDA0, CUDA1, …"),
    forms.REPO_PATTERN: ("must be a Hugging Face repository", "write ORG/NAME"),
    forms.NAME_PATTERN: ("must be the name of a profile", ""),
    forms.FILE_PATTERN: ("must be the path of a .gguf file inside the repository", ""),
}
_WORDS = {
    "missing": ("is required", ""),
    "int_type": ("must be a whole number", ""),
    "int_from_float": ("must be a whole number", ""),
    "float_type": ("must be a number", ""),
    "finite_number": ("must be a finite number", ""),
    "bool_type": ("must be true or false", ""),
    "string_type": ("must be text", "put it in quotes"),
    "string_too_short": ("must not be empty", ""),
    "list_type": ("must be a list", "write each item on a line of its own, after `- `"),
    "dict_type": ("must be a mapping of fields", ""),
    "model_type": ("must be a mapping of fields", ""),
    "model_attributes_type": ("must be a mapping of fields", ""),
}
_BOUNDS = {
    "greater_than_equal": ("must be at least {ge}", ""),
    "greater_than": ("must be more than {gt}", ""),
    "less_than_equal": ("must be at most {le}", ""),
    "less_than": ("must be less than {lt}", ""),
    "too_short": ("needs at least {min_length} item(s)", ""),
    "too_long": ("can have at most {max_length} items", ""),
}
_GPUS = ("must be `all`, `none`, or a list of GPU indices and UUIDs", "e.g. [0, 1] or [GPU-…]")
_LAYERS = ("must be layer numbers and ranges", "e.g. 3-6,40-42")


def fault_of(
    error: Any,  # noqa: ANN401  # pydantic's ErrorDetails
    document: dict[str, Any],
    file_of: Callable[[Place], str],
    form: type[BaseModel] = Profile,
) -> Fault:
    """Return the fault that one of pydantic's errors describes.

    Args:
        error: an item of `ValidationError.errors()`.
        document: what was validated.
        file_of: the file that wrote the value at a place.
        form: the model that it was validated with.
    """
    place: Place = error["loc"]
    kind: str = error["type"]
    if place and place[0] == "gpus":  # a union: pydantic reports each branch
        place = ("gpus",)
        fault, remedy = _GPUS
    elif kind == "extra_forbidden":
        return Fault(file_of(place), dotted(place), "unknown field", remedy=_unknown_field_remedy(place, form))
    elif kind == "string_pattern_mismatch":
        default = _LAYERS if place[-1] == "layers" else (error["msg"], "")
        fault, remedy = _PATTERNS.get(error["ctx"]["pattern"], default)
    elif kind == "literal_error":
        wanted = error["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        fault = f"must be one of {wanted}"
        remedy = nearest(str(error["input"]), wanted.split(", "))
    elif kind in _BOUNDS:
        text, remedy = _BOUNDS[kind]
        fault = text.format(**error["ctx"])
    else:
        fault, remedy = _WORDS.get(kind, (error["msg"][:1].lower() + error["msg"][1:], ""))
    if kind == "missing":
        return Fault(file_of(place), dotted(place), fault, remedy=_missing_remedy(place))
    return Fault(file_of(place), dotted(place), fault, got=shown_value(value_at(document, place)), remedy=remedy)


def dotted(place: Place) -> str:
    """Return a place as users read it: `experts[0].layers`."""
    text = ""
    for key in place:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def value_at(document: Any, place: Place) -> object:  # noqa: ANN401  # any YAML value
    """Return the value at `place`, or None where there is none."""
    for key in place:
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def shown_value(value: object) -> str:
    """Return a value as faults show it: as JSON, at most 80 characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:79]}…"


class SoundPart:
    """A document without its faulty values, so that the rest can still be checked.

    Args:
        document: the whole document.
        faulty: places of the faults; a place that does not exist (a missing field) takes what should hold it along.
    """

    def __init__(self, document: dict[str, Any], faulty: Sequence[Place]) -> None:
        self._faulty = {self._holder(document, place) for place in faulty} - {()}
        self._kept: dict[Place, list[int]] = {}
        self.document: dict[str, Any] = self._sound(document, ())

    @staticmethod
    def _holder(document: Any, place: Place) -> Place:  # noqa: ANN401  # any YAML value
        """Return the part of `place` that exists: pydantic adds the branch of a union, and names missing fields."""
        for depth, key in enumerate(place):
            try:
                document = document[key]
            except (KeyError, IndexError, TypeError):
                return place[:depth]
        return place

    def _sound(self, value: Any, place: Place) -> Any:  # noqa: ANN401  # any YAML value
        if isinstance(value, dict):
            return {
                key: self._sound(inner, (*place, key))
                for key, inner in value.items()
                if not any((*place, key)[: len(bad)] == bad for bad in self._faulty)
            }
        if isinstance(value, list):  # an item with a fault inside is left out whole
            size = len(place) + 1
            self._kept[place] = [
                index for index in range(len(value)) if not any(bad[:size] == (*place, index) for bad in self._faulty)
            ]
            return [self._sound(value[index], (*place, index)) for index in self._kept[place]]
        return value

    def original(self, place: Place) -> Place:
        """Return the place in the whole document of a place in the sound part."""
        result: Place = ()
        for key in place:
            result = (*result, self._kept[result][key] if isinstance(key, int) else key)
        return result


def _missing_remedy(place: Place) -> str:
    return "give `repo`, `revision` and `files`, or `path`" if place == ("model",) else ""


def _unknown_field_remedy(place: Place, form: type[BaseModel]) -> str:
    name = str(place[-1])
    siblings = _fields_around(place, form)
    if guess := nearest(name, siblings):
        return guess
    if form is not Profile:
        return f"known are: {', '.join(siblings)}"
    homes: dict[str, type[BaseModel]] = {"server": ServerOptions, "sampling": Sampling, "the top level": Profile}
    for home, model in homes.items():
        if name in model.model_fields:
            return f"`{name}` belongs to {home}"
    if place[0] == "server":
        flag = "--" + name.replace("_", "-")
        return f"an option without a field goes into extra_args: [{flag}, VALUE]"
    return f"known are: {', '.join(siblings)}" if siblings else ""


def _fields_around(place: Place, model: type[BaseModel]) -> list[str]:
    """Return the names of the fields of the model in which `place` lies, seen from the document's own."""
    for key in place[:-1]:
        if isinstance(key, int) or key not in model.model_fields:
            continue
        inner = _model_in(model.model_fields[key].annotation)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) is None:
        return None
    return next((model for part in get_args(annotation) if (model := _model_in(part)) is not None), None)
