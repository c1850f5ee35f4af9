import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "functions" / "optimizer"
WEB_AND_CLOUD = {"flask", "flask_limiter", "werkzeug", "limits", "boto3", "botocore", "awsgi"}
IMAGES = {"PIL", "cv2", "numpy", "oxipng", "optimizer.imaging"}


def imports(path: Path) -> set[str]:
    """Return all modules that a file imports, each with its parents: `a.b` and `a`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {".".join(name.split(".")[: end + 1]) for name in names for end in range(name.count(".") + 1)}
    return found


@pytest.mark.parametrize("path", sorted((PACKAGE / "imaging").rglob("*.py")), ids=lambda path: path.name)
def test_imaging_knows_nothing_of_http_or_aws(path: Path) -> None:
    assert not imports(path) & (WEB_AND_CLOUD | {"optimizer.store", "optimizer.app", "optimizer.routes"})


@pytest.mark.parametrize("name", ["store.py", "rate_limit.py", "filenames.py", "config.py"])
def test_the_aws_code_knows_nothing_of_images(name: str) -> None:
    assert not imports(PACKAGE / name) & IMAGES


@pytest.mark.processes
def test_starting_the_function_imports_neither_numpy_nor_opencv() -> None:
    code = "import sys, optimizer.handlers; sys.exit(bool({'numpy', 'cv2'} & sys.modules.keys()))"

    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, check=False)

    assert done.returncode == 0
