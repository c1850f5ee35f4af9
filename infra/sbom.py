"""Lists the deployed packages with version, licence and hashes, in the CycloneDX format.

make sbom   lists build/functions in build/sbom.json
"""

import json
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.lock import read_lock
from infra.setup import LOCKS, ROOT, TOOLS, SetupError, run
from optimizer import __version__

CYCLONEDX = TOOLS / "cyclonedx-bom" / "bin" / "cyclonedx-py"
FUNCTIONS, OUTPUT = ROOT / "build" / "functions", ROOT / "build" / "sbom.json"


def list_packages(functions: Path, output: Path) -> int:
    """Write the SBOM of the built functions, and return the number of packages; raises SetupError if that fails."""
    with TemporaryDirectory() as folder:
        # An environment that contains only the packages of the artefact.
        venv.create(folder)
        (site_packages,) = Path(folder).glob("lib/python*/site-packages")
        (site_packages / "functions.pth").write_text(f"{functions.resolve()}\n")
        options = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--output-file", str(output)]
        run([CYCLONEDX, "environment", folder, *options], "the packages could not be listed. Check the lines above.")
    described = json.loads(output.read_text())
    described["metadata"]["component"]["version"] = __version__
    hashes = {package.name: package.hashes for package in read_lock(LOCKS / "requirements.txt")}
    for component in described["components"]:
        name = component["purl"].removeprefix("pkg:pypi/").partition("@")[0]
        component.setdefault("externalReferences", []).append(
            {
                "type": "distribution",
                "comment": "the files of this version, for all platforms",
                "url": f"https://pypi.org/project/{name}/{component['version']}/",
                "hashes": [{"alg": "SHA-256", "content": each} for each in hashes[name]],
            }
        )
    output.write_text(json.dumps(described, indent=2, sort_keys=True) + "\n")
    return len(described["components"])


def main() -> int:
    try:
        count = list_packages(FUNCTIONS, OUTPUT)
    except SetupError as error:
        print(f"Pinch cannot list what is deployed: {error}", file=sys.stderr)
        return 1
    print(f"{OUTPUT.relative_to(ROOT)}: {count} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
