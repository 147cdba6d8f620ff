"""Learn p(measured | detected, truth, survey properties) with a conditional WGAN-GP and draw it.

Importing this package imports neither TensorFlow nor Keras; the classes below load on first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # What __getattr__ loads, for type checkers and editors.
    from balrog_keras.config import Settings
    from balrog_keras.emulator import Emulator
    from balrog_keras.generator import Generator
    from balrog_keras.networks import Critic
    from balrog_keras.standardizer import Standardizer
    from balrog_keras.wgan_gp import ConditionalWGANGP

__version__ = "0.1.0"
__all__ = [
    "ConditionalWGANGP",
    "Critic",
    "Emulator",
    "Generator",
    "Settings",
    "Standardizer",
    "__version__",
]

_HOMES = {
    "ConditionalWGANGP": "wgan_gp",
    "Critic": "networks",
    "Emulator": "emulator",
    "Generator": "generator",
    "Settings": "config",
    "Standardizer": "standardizer",
}


def __getattr__(name: str) -> Any:
    """Load a public class from its module on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
