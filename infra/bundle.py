"""Bundles web/ into the page that is served: `python -m infra.bundle FOLDER`. It uses only the standard library, so the
container's build needs no packages for it.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from infra.setup import NODE_MODULES, ROOT

WEB = ROOT / "web"
# HTML files or a worker's URL refer to these, so they keep their names.
ENTRY_POINTS = ("js/early.js", "js/main.js", "js/privacy.js", "js/estimate-worker.js", "styles/app.css")
OPTIONS = (
    *("--bundle", "--minify", "--charset=utf8", "--target=es2022", "--log-level=error"),
    # A module that is imported dynamically, or by two entry points, becomes a chunk.
    *("--format=esm", "--splitting", "--outbase=.", "--chunk-names=js/[name]-[hash]"),
)
# These are only for development and are not served.
TOOLING = ("package.json", "tsconfig.json")
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}
REFERENCE = re.compile(r'(?<=\s)(href|src)="(?![#/]|[a-z]+:)([^"?#]+)')  # relative ones only
STATIC_IMPORT = re.compile(r'\b(?:from|import)"(\./[^"]+)"')


class BundleError(Exception):
    """Says in one sentence why there is no page to serve."""


@contextmanager
def built_page() -> Iterator[Path]:
    """Yield a folder with the built page, and remove it afterwards; raises BundleError."""
    with TemporaryDirectory() as folder:
        build_page(Path(folder))
        yield Path(folder)


def build_page(target: Path) -> None:
    """Fill the empty folder with the page, built from web/; raises BundleError."""
    _bundle(target)
    for source in sorted(WEB.rglob("[!.]*")):
        if source.is_file() and source.suffix not in (".css", ".js") and source.name not in TOOLING:
            _copy(source, target / source.relative_to(WEB))
    for page in target.rglob("*.html"):
        page.write_text(_with_preloads(page.name, page.read_text(), target))


def _bundle(target: Path) -> None:
    # Runs the binary itself, which needs neither Node nor the package's install script.
    esbuild = next(NODE_MODULES.glob("@esbuild/*/bin/esbuild"), None)
    if esbuild is None:
        raise BundleError("esbuild is missing. Run make again, which installs it.")
    command = [str(esbuild), *ENTRY_POINTS, *OPTIONS, f"--outdir={target.resolve()}"]
    done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BundleError(f"esbuild cannot bundle web/. It says: {done.stderr[-2_000:].strip()}")


def _copy(source: Path, target: Path) -> None:
    if source.suffix not in MEDIA_TYPES:
        raise BundleError(f"{source.name} has no media type. Add {source.suffix!r} to MEDIA_TYPES in infra/bundle.py.")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())


def _with_preloads(page: str, html: str, folder: Path) -> str:
    """Return the page's HTML with a preload for each chunk that its scripts import, so that all are fetched at once."""
    names = [name for _, name in REFERENCE.findall(html)]
    for name in names:
        if not (folder / name).is_file():
            raise BundleError(f"{page} names {name}, which is not built. Correct it, or add it to ENTRY_POINTS.")
    scripts = [name for name in names if name.endswith(".js")]
    modules = list(scripts)
    for module in modules:  # includes the chunks that the loop adds
        for name in STATIC_IMPORT.findall((folder / module).read_text()):
            chunk = (PurePosixPath(module).parent / name).as_posix()
            if chunk not in modules:
                modules.append(chunk)
    links = [f'<link rel="modulepreload" href="{chunk}">\n' for chunk in modules[len(scripts) :]]
    return html.replace("</head>", f"{''.join(links)}</head>")


if __name__ == "__main__":
    try:
        build_page(Path(sys.argv[1]))
    except BundleError as error:
        sys.exit(f"Pinch cannot be bundled: {error}")
