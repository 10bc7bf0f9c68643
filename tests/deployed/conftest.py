"""One bare Debian for all tests of whole machines (`make test-deployed`)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from deployed_place import bare_debian, wants_root


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a minimal Debian, to be copied."""
    wants_root("debootstrap")
    return bare_debian(tmp_path_factory.mktemp("debian") / "root")
