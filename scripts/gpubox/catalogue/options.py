"""The options of one engine at one commit, and how an argv falls apart into them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Self

from gpubox.errors import GpuboxError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_NUMBER = re.compile(r"-(\d|\.\d)")


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        names: all spellings; the first is the canonical one: long where there is a long one.
        values: the kind of each value that it takes: `int` (32 bits), `long`, `float`, `number` (an int or a float),
            `text`, `json`, `tensor_override` or `speculative`. Empty for a switch; None where a help text does not say.
        choices: the values that it takes; empty where any will do.
        any_case: whether choices may be in capitals.
        form: how the value looks, for messages; empty where there is no such rule.
        pattern: the regular expression behind `form`.
        default: the engine's own value; None where it has none or computes one.
        repeatable: whether every occurrence counts, not only the last.
        setting: what the option sets; options that share it override each other.
        replacement: what to write instead of an option that the engine refuses; empty for options in force.
        note: what surprises about it.
    """

    names: tuple[str, ...]
    values: tuple[str, ...] | None = ()
    choices: tuple[str, ...] = ()
    any_case: bool = False
    form: str = ""
    pattern: str = ""
    default: float | str | bool | None = None
    repeatable: bool = False
    setting: str = ""
    replacement: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """The canonical spelling."""
        return self.names[0]

    @property
    def sets(self) -> str:
        """What the option sets: `setting`, else its name."""
        return self.setting or self.name


@dataclass(frozen=True)
class Conflict:
    """Options that the engine refuses together, by canonical name, and why."""

    flags: tuple[str, ...]
    fault: str


@dataclass(frozen=True)
class Catalogue:
    """All options of an engine.

    Attributes:
        engine: `ik_llama` or `llama_cpp`.
        commit: the full commit, or what is known of the build.
        options: in the engine's order.
        conflicts: combinations that it refuses.
        speculative_types: the stage types of `--spec-type`.
        speculative_keys: the stage keys of `--spec-type`, and the kind of each value.
    """

    engine: str
    commit: str
    options: tuple[Option, ...]
    conflicts: tuple[Conflict, ...] = ()
    speculative_types: tuple[str, ...] = ()
    speculative_keys: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, engine: str, commit: str) -> Self:
        """Return the shipped catalogue of an engine and commit; the commit may be abbreviated to 7 digits or more.

        Raises:
            GpuboxError: if there is none.
        """
        shipped = []
        for file in files("gpubox").joinpath("data").iterdir():
            match = re.fullmatch(r"(\w+)-([0-9a-f]{7})\.json", file.name)
            if match is None:
                continue
            if match[1] == engine and commit.startswith(match[2]):
                loaded = cls._from_document(json.loads(file.read_text(encoding="utf-8")))
                if loaded.commit.startswith(commit):
                    return loaded
            shipped.append(f"{match[1]} {match[2]}")
        remedy = f"shipped are: {', '.join(sorted(shipped))}; for another build read its llama-server --help"
        raise GpuboxError(f"{engine} {commit}", "no flag catalogue for this engine and commit", remedy)

    @classmethod
    def _from_document(cls, document: dict[str, Any]) -> Self:
        options = []
        for row in document["options"]:
            fields: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in row.items()
            }
            options.append(Option(**fields))
        return cls(
            engine=document["engine"],
            commit=document["commit"],
            options=tuple(options),
            conflicts=tuple(Conflict(tuple(row["flags"]), row["fault"]) for row in document["conflicts"]),
            speculative_types=tuple(document["speculative_types"]),
            speculative_keys=document["speculative_keys"],
        )

    def completed(self, known: Self) -> Self:
        """Return this catalogue, read from a help text, with what another commit's catalogue knows better.

        ik_llama.cpp's help leaves out options that it takes (`--alias`, `-ot`), and kinds of values.

        Args:
            known: the shipped catalogue of the same engine at another commit.
        """
        both = [replace(option, names=self._all_names(option)) for option in known.options]
        names = {name for option in both for name in option.names}
        new = [option for option in self.options if not names & set(option.names)]
        return replace(known, commit=self.commit, options=(*both, *new))

    def _all_names(self, option: Option) -> tuple[str, ...]:
        """Return the option's spellings, and those that this catalogue has beside one of them."""
        own = (self.by_name[name].names for name in option.names if name in self.by_name)
        return tuple(dict.fromkeys([*option.names, *(name for names in own for name in names)]))

    @cached_property
    def by_name(self) -> Mapping[str, Option]:
        """Every spelling and its option; where two options claim one, the earlier has it."""
        return {name: option for option in reversed(self.options) for name in option.names}

    def option(self, flag: str) -> Option | None:
        """Return the option with this spelling, or None; long options may have underscores for dashes."""
        return self.by_name.get(spelling(flag))


@dataclass(frozen=True)
class Word:
    """One option of an argv with its values.

    Attributes:
        index: of the flag in the argv.
        flag: as written.
        option: None where the engine has no such option.
        values: what follows; fewer than the option takes where the argv ends.
    """

    index: int
    flag: str
    option: Option | None
    values: tuple[str, ...]


def spelling(flag: str) -> str:
    """Return a flag as the engines compare it: underscores of a long option count as dashes."""
    return flag.replace("_", "-") if flag.startswith("--") else flag


def words(catalogue: Catalogue, argv: Sequence[str]) -> Iterator[Word]:
    """Divide an argv, without the program's name, as the engine does.

    An option takes as many arguments as it has values, whatever they look like. Where the catalogue does not know how
    many, the next argument is its value unless it looks like an option.
    """
    index = 0
    while index < len(argv):
        option = catalogue.option(argv[index])
        taken = 0
        if option is not None and option.values is not None:
            taken = len(option.values)
        elif option is not None and index + 1 < len(argv):
            following = argv[index + 1]
            taken = int(not following.startswith("-") or _NUMBER.match(following) is not None)
        yield Word(index, argv[index], option, tuple(argv[index + 1 : index + 1 + taken]))
        index += 1 + taken


def canonical(catalogue: Catalogue, argv: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Return an argv as (canonical name, values), sorted so that equal lists mean equal command lines.

    Repeatable options keep their order among themselves; of others that set the same thing only the last is kept, since
    the engine does so. What the catalogue does not know stays as written.
    """
    kept: dict[str, tuple[str, tuple[str, ...]]] = {}
    for word in words(catalogue, argv):
        name = word.option.name if word.option else word.flag
        alone = word.option is not None and not word.option.repeatable
        key = word.option.sets if alone and word.option else f"{word.index}"
        kept[key] = (name, word.values)
    return sorted(kept.values(), key=lambda pair: pair[0])
