"""Sets up what `make run` and `make test` need; standard library only, since nothing is installed yet.

    python3 infra/setup.py local   a virtual environment with the product, and what bundles its page
    python3 infra/setup.py deploy  the same, and the SAM CLI
    python3 infra/setup.py dev     and with the tools of tests and lint, a browser and Redis
    python3 infra/setup.py audit   and with the programs of requirements/node-tools.txt
    python3 infra/setup.py bench   as dev, and with what requirements/bench-tools.txt lists
    python3 infra/setup.py sbom    as local, and with what lists the packages
    python3 infra/setup.py load    as dev, and with locust
    python3 infra/setup.py lock    just what writes requirements/locks/

Each part is set up once and again when the file that lists it changes. pip installs what requirements/locks/ lists,
by hash.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
REQUIREMENTS = ROOT / "requirements"
LOCKS = REQUIREMENTS / "locks"
NPM_OPTIONS = ("--no-package-lock", "--no-fund", "--no-audit", "--no-update-notifier", "--silent")
DEV_TOOLS = ("aws-sam-cli", "checkov", "cyclonedx-bom", "ministack")
# What bundles, lints and checks the page, as web/package.json lists it.
NODE_MODULES = TOOLS / "node" / "node_modules"
NODE_PEERS, PYTHON_PEERS = TOOLS / "bench-node", TOOLS / "bench-python"
# The first is Chromium without windows: the tests take a quarter less of the processors with it.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Debian's names: a browser, and a font, without which headless Chromium draws no text.
BROWSER_PACKAGES = ("chromium-headless-shell", "fonts-inter")


class SetupError(Exception):
    """What a person has to do before the setup can go on, in one sentence."""


def main(target: str) -> int:
    """Set up the target, one of those above. Returns the exit status."""
    try:
        if not os.access(ROOT, os.W_OK):
            raise SetupError(f"the folder {ROOT} cannot be written. Clone the project where you may write.")
        if target == "lock":
            install_tools("uv")
            return 0
        tests = target in ("dev", "audit", "bench", "load")
        _install_python_packages("dev" if tests else "local")
        install_node_packages(dev=tests)
        if target == "deploy":
            install_tools("aws-sam-cli")
        if target == "sbom":
            install_tools("cyclonedx-bom")
        if tests:
            install_tools(*DEV_TOOLS)
            install_system_packages()
        if target == "audit":
            install_node_tools()
        if target == "bench":
            install_peers()
        if target == "load":
            install_tools("locust")
    except SetupError as error:
        print(f"Pinch cannot set up: {error}", file=sys.stderr)
        return 1
    return 0


def _install_python_packages(target: str) -> None:
    _install(VENV, f".{target}-ready", f"{target}.txt")


def install_tools(*names: str) -> None:
    """Install these programs of requirements/tools.txt, each into .tools/<name>."""
    for name in names:
        _install(TOOLS / name, ".ready", f"{name}.txt")


def _install(environment: Path, stamp_name: str, lock: str) -> None:
    """Install into a virtual environment, made when it is missing, unless its stamp says that this was done."""
    stamp = environment / stamp_name
    wanted = _digest(LOCKS / lock, extra=sys.version)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"Setting up {environment.relative_to(ROOT)}; this takes a minute the first time.", flush=True)
    if not (environment / "bin" / "python").exists():
        venv.create(environment, with_pip=True)
    pip = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(
        [*pip, "--no-deps", "--require-hashes", "-r", LOCKS / lock],  # the lock has all of it
        "the Python packages could not be installed. Check the network and the lines above.",
    )
    stamp.write_text(wanted)


def install_node_packages(*, dev: bool) -> None:
    """Install what web/package.json lists, without or with what `dev` adds, unless the stamp says that it is there."""
    listing = ROOT / "web" / "package.json"
    some, all_of_them = (_digest(listing, extra=extra) for extra in ("", "dev"))
    folder, stamp = NODE_MODULES.parent, NODE_MODULES / ".ready"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(listing, folder)
    # package.json pins exactly, and what it names brings nothing but its own binary for each platform. A lock file
    # would have to list all of those, also the ones that a registry mirror leaves out.
    if dev:
        _npm_install(folder, stamp, [all_of_them])
    else:
        _npm_install(folder, stamp, [some, all_of_them], "--omit=dev")


def install_node_tools() -> None:
    """Install each line of requirements/node-tools.txt into .tools/<name>."""
    for requirement in listed("node-tools.txt"):
        folder = TOOLS / requirement.partition("@")[0]
        _npm_install(folder, folder / ".ready", [_digest(extra=requirement)], requirement)


def install_peers() -> None:
    """Install what requirements/bench-tools.txt lists, by pip what is pinned in its way and the rest by npm."""
    node = [each for each in listed("bench-tools.txt") if "==" not in each]
    _install(PYTHON_PEERS, ".ready", "bench-tools.txt")
    _npm_install(NODE_PEERS, NODE_PEERS / ".ready", [_digest(extra=str(node))], *node)


def listed(file: str | Path) -> list[str]:
    """Return what a file of requirements/ lists, without its comments."""
    lines = (line.partition("#")[0].strip() for line in (REQUIREMENTS / file).read_text().splitlines())
    return [line for line in lines if line]


def _npm_install(folder: Path, stamp: Path, accepted: list[str], *what: str) -> None:
    """Install into the folder what is named, or else what its package.json lists, unless its stamp is accepted.

    The first of the accepted stamps is left afterwards.
    """
    if stamp.exists() and stamp.read_text() in accepted:
        return
    print("Setting up Node packages.", flush=True)
    path = f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}"  # npm runs the node of the environment
    run(
        [VENV / "bin" / "npm", "install", "--prefix", folder, *NPM_OPTIONS, *what],
        "the Node packages could not be installed. Check the network and the lines above.",
        env=os.environ | {"PATH": path},
    )
    stamp.write_text(accepted[0])


def install_system_packages() -> None:
    """Install what the tests need of the system and do not find; raises SetupError that names it."""
    wanted: dict[str, tuple[str, ...]] = {}
    if not (os.environ.get("CHROMIUM") or any(map(shutil.which, BROWSERS))):
        wanted["Chromium (or name another browser: CHROMIUM=/path make test)"] = BROWSER_PACKAGES
    if not shutil.which("redis-server"):
        wanted["redis-server"] = ("redis-server",)
    if not wanted:
        return
    names = " and ".join(wanted)
    if not (shutil.which("apt-get") and os.geteuid() == 0):
        raise SetupError(f"the tests need {names}. Install what is missing and run make again.")
    packages = [package for each in wanted.values() for package in each]
    print(f"Installing {', '.join(packages)} from the system's packages.", flush=True)
    problem = f"{', '.join(packages)} could not be installed. Check the lines above, or install them by hand."
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], problem, env=env)
    run(["apt-get", "install", "-qq", "--no-install-recommends", *packages], problem, env=env)


def run(command: list[object], problem: str, env: dict[str, str] | None = None) -> None:
    """Run the command and show its output only when it fails; raises SetupError then."""
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(done.stdout[-2_000:], done.stderr[-2_000:], file=sys.stderr)
        raise SetupError(problem)


def _digest(*files: Path, extra: str = "") -> str:
    content = b"".join(file.read_bytes() for file in sorted(files))
    return hashlib.sha256(content + extra.encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
