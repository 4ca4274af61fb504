"""Run tests on the poller with one piece of its source replaced: ``mutated.py FILE OLD NEW TEST...``.

The file stays as it is; what is imported of it is not. It exits as pytest does: with 1 where a test failed.
"""

import sys
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType

import pytest

ROOT = Path(__file__).parent.parent.parent


def mutate(file: str, old: str, new: str) -> str:
    """The source with ``old``, which has to be in it once, replaced."""
    source = (ROOT / file).read_text()
    if source.count(old) != 1:
        raise ValueError(f"{file} has {source.count(old)} times, and not once: {old}")
    return source.replace(old, new)


class Mutated(SourceFileLoader):
    """Loads a module from other source than its file's."""

    source = ""

    def get_code(self, fullname: str) -> CodeType:
        """Compiled anew, and not from any cache."""
        return compile(self.source, self.get_filename(fullname), "exec")


class Finder(PathFinder):
    """Finds modules as ever, but loads one of them mutated."""

    path = ""
    source = ""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        spec = super().find_spec(fullname, path, target)
        if spec is None or spec.origin != cls.path:
            return spec
        spec.loader = Mutated(fullname, cls.path)
        spec.loader.source = cls.source
        return spec


def main(file: str, old: str, new: str, *tests: str) -> int:
    Finder.path, Finder.source = str(ROOT / file), mutate(file, old, new)
    sys.meta_path.insert(0, Finder)
    return pytest.main(["-x", "-q", "-pno:cacheprovider", "--hypothesis-profile=mutants", *tests])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
