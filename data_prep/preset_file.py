"""YAML that users write: presets and settings, in which no key may be given twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_prep.errors import BalrogError

__all__ = ["read_yaml"]


def read_yaml(path: Path) -> dict[str, Any]:
    """Content of a YAML file that is a mapping.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict

    Raises
    ------
    BalrogError
        If it is no YAML or no mapping, or a key is given twice, of which YAML readers silently
        take the last.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses a key that a mapping has already."""

        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            lines: dict[tuple[str, str], int] = {}
            for key, _ in node.value:
                line, name = key.start_mark.line + 1, (key.tag, str(key.value))
                if name in lines:
                    raise BalrogError(
                        f"{path} must give every key once; {key.value} of line {lines[name]} is "
                        f"there again in line {line}; remove one"
                    )
                lines[name] = line
            return node

    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BalrogError(f"{path} must be YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise BalrogError(f"{path} must be a mapping of keys to values, found {content!r}")
    return content
