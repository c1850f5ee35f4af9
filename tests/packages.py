"""Tells which packages there are, and which there should be."""

from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from infra.lock import read_lock
from infra.setup import LOCKS


def installed(environment: Path) -> dict[str, Distribution]:
    """Return the packages of an environment by name."""
    folders = map(str, environment.glob("lib/python*/site-packages"))
    return {canonicalize_name(each.metadata["Name"]): each for each in distributions(path=[*folders])}


def locked(name: str) -> dict[str, str]:
    """Return what a lock installs here, with versions."""
    packages = read_lock(LOCKS / name)
    return {each.name: each.version for each in packages if not each.marker or Marker(each.marker).evaluate()}
