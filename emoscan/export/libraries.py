"""pympi-ling, which knows ELAN's and Praat's files: it comes with the extra `report`."""

from importlib import import_module
from types import ModuleType

from emoscan.errors import MissingPartError


def load_pympi() -> ModuleType:
    """Import pympi. Raises MissingPartError where it is not installed."""
    try:
        return import_module("pympi")
    except ImportError as error:
        raise MissingPartError(
            'Files for ELAN and Praat need pympi-ling: pip install "emoscan[report]".'
        ) from error
