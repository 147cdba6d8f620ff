"""A process as if nothing but TensorFlow, what it needs, and numpy were installed."""

import re
from importlib import metadata

from packaging.requirements import Requirement

_ABSENT = """\
import sys

class _Absent:
    names = {names!r}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, _Absent())
"""
# Code that ends it.
ALL_AGAIN = "import sys\nsys.meta_path.pop(0)\n"


def _plain(name):
    """A distribution's name as the packaging rules compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed_by(*roots):
    """Distributions that these need, with themselves; those that are not installed have none."""
    found, to_do = set(), [_plain(root) for root in roots]
    while to_do:
        name = to_do.pop()
        if name in found:
            continue
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        for text in requires:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                to_do.append(_plain(requirement.name))
    return found


def refuse_others():
    """Code that makes every import of something else fail, this project's included."""
    needed = needed_by("tensorflow", "tensorflow-cpu", "numpy")
    refused = {"balrog_keras", "data_prep"}
    for module, distributions in metadata.packages_distributions().items():
        if not needed & {_plain(name) for name in distributions}:
            refused.add(module)
    assert {"pandas", "scipy"} <= refused
    assert not refused & {"tensorflow", "numpy"}
    return _ABSENT.format(names=refused)
