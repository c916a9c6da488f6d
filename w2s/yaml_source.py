"""YAML with its places: plain data, and for every path in it the line and column it came from."""

from __future__ import annotations

from typing import Any

import yaml

from cluster.errors import BadInput

Path_ = tuple[str | int, ...]
MAX_BYTES = 1_000_000
MAX_NODES = 100_000  # a few anchors can expand without end
PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
MERGE = "tag:yaml.org,2002:merge"


class Source:
    """A parsed YAML text: `data`, and `line(path)`."""

    def __init__(self, data: Any, places: dict[Path_, tuple[int, int]]) -> None:
        self.data = data
        self._places = places

    def line(self, path: Path_) -> int | None:
        """The line (from 1) of the nearest written ancestor of `path`; None if nothing of it was written."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._places:
                return self._places[path[:length]][0]
        return None


def parse(text: str, where: str) -> Source:
    """Safe YAML only. Raises BadInput with line and column for bad syntax, doubled keys, or a text without bounds."""
    if len(text.encode()) > MAX_BYTES:
        raise BadInput(where, f"larger than {MAX_BYTES:,} bytes", "a recipe is a page of text; is this the right file?")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        builder = _Builder(where)
        data = builder.build(node, ()) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        raise BadInput(place, f"not readable as YAML: {error.problem or error.context}") from None
    except RecursionError:
        raise BadInput(where, "nested too deeply", "a recipe is a few levels deep; is this the right file?") from None
    except (yaml.YAMLError, ValueError) as error:
        raise BadInput(where, f"not readable as YAML: {' '.join(str(error).split())}") from None
    return Source(data, builder.places)


class _Builder(yaml.constructor.SafeConstructor):
    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where
        self.places: dict[Path_, tuple[int, int]] = {}
        self._count = 0
        self._inside: set[int] = set()  # the nodes we are in: an alias to one of them would never end

    def build(self, node: yaml.Node, path: Path_) -> Any:
        self._count += 1
        if self._count > MAX_NODES:
            raise BadInput(self.where, f"expands to more than {MAX_NODES:,} values", "use fewer anchors")
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        self.places.setdefault(path, (line, column))
        if not isinstance(node, yaml.MappingNode | yaml.SequenceNode):
            return self.construct_object(node)
        if node.tag not in PLAIN_TAGS:
            raise BadInput(
                f"{self.where}:{line}:{column}", f"not readable as YAML: the tag {node.tag}", "write plain values"
            )
        if id(node) in self._inside:
            raise BadInput(
                f"{self.where}:{line}:{column}", "an anchor contains itself", "write it out without the alias"
            )
        self._inside.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        finally:
            self._inside.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name_node, value_node in node.value:
            line, column = name_node.start_mark.line + 1, name_node.start_mark.column + 1
            if not isinstance(name_node, yaml.ScalarNode) or name_node.tag == MERGE:
                what = (
                    "'<<' is not used in recipes"
                    if name_node.tag == MERGE
                    else "a list or mapping cannot be a field's name"
                )
                raise BadInput(f"{self.where}:{line}:{column}", what, "write the fields out")
            name = str(self.construct_object(name_node))
            if name in result:
                raise BadInput(f"{self.where}:{line}:{column}", f"'{name}' is written twice", "keep one of them")
            self.places[(*path, name)] = (line, column)
            result[name] = self.build(value_node, (*path, name))
        return result
