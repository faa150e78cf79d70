"""Settings of one command or call, whichever way they are given: on the command line, in a YAML file, as keywords."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from walras.experiments.settings.fields import as_tree, as_yaml, flat, leaf_values, nested, read_settings
from walras.experiments.settings.names import canonical_names, told
from walras.experiments.settings.trust import as_data


class CommandSettings(ABC):
    """Base of frozen dataclasses whose fields are made by `setting` and `section`.

    Attributes:
        command: of `walras` that takes them as options.
        sweep: the one that takes several of them.
    """

    command: ClassVar[str] = ""
    sweep: ClassVar[str] = ""

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Self:
        """Settings as given on the command line, in a file or in a call, sections inside or taken apart.

        Values may be texts, mappings with a `name`, or objects of the kinds that registries hold.

        Raises:
            InputError, UnknownNameError: whatever is wrong with a key or a value, the nearest valid one named.
        """
        return nested(cls.completed(canonical_names(cls.flat(given), cls)), cls)

    @classmethod
    def read(cls, path: str | Path, given: Mapping[str, Any], code: Collection[Any] = ()) -> Self:
        """Settings of a YAML file, or of an earlier run's `config.yaml`; what is `given` besides comes first.

        The file names no code but what is named in `given` or in `code`.

        Raises:
            InputError, UnknownNameError: as `parse`, or a file that cannot be read, or names other code.
        """
        return cls.parse({**cls.written(path, given, code), **cls.flat(given)})

    @classmethod
    def written(cls, path: str | Path, given: Mapping[str, Any], code: Collection[Any] = ()) -> dict[str, Any]:
        """Settings of a file by the names of their fields; code as `read` says.

        Raises:
            InputError, UnknownNameError: as `read`; whatever is wrong in the file is told, whether it counts or not.
        """
        found = as_data(cls.flat(read_settings(path)), path, given, code)
        cls.parse(found)
        return found

    @classmethod
    def flat(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Given settings by the names of their fields, those of earlier versions by today's."""
        return flat(cls.converted(given), cls)

    @classmethod
    def converted(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Given settings, those of earlier versions as they are called today; none were called otherwise."""
        return given

    @classmethod
    @abstractmethod
    def completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Values by the names of fields, and what follows from them for others."""

    def with_values(self, **values: Any) -> Self:
        """The same with other values of some fields, whichever section they are in."""
        return nested({**leaf_values(self), **values}, type(self))

    def as_yaml(self) -> str:
        """The settings as `config.yaml` has them; `parse` makes the same of it."""
        return as_yaml(self.tree)

    @cached_property
    def tree(self) -> dict[str, Any]:
        """The settings as plain data, objects by their names."""
        return as_tree(self, told)
