"""Installation of one version of an application from its registry into the cache folder."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from corpus.entries import Case

CACHE = Path(os.environ.get("WSCHECK_CORPUS", Path.home() / ".cache" / "wscheck-corpus"))
PAGES = Path(__file__).with_name("pages")
BUNDLER = "esbuild@0.25.10"
_LIMIT_S = 900
_NPM = ["npm", "--silent", "--no-audit", "--no-fund", "--no-update-notifier"]


class NotInstalled(Exception):
    """The package manager failed; the text is the end of its output."""


def installed(case: Case) -> Path:
    """Install a case unless it is installed, and return its folder.

    Raises:
        NotInstalled: the package manager or the bundler failed, or a patch does not fit.
    """
    folder = CACHE / "installed" / case.id
    stamp, wanted = folder / ".installed", _recipe(case)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _fetch(case, folder)
    for patch in case.variant.patch:
        _apply(folder / patch.file, patch.find, patch.replace)
    if case.entry.serve.page:
        _bundle(case.entry.serve.page, folder)
    stamp.write_text(wanted, encoding="utf-8")
    return folder


def _recipe(case: Case) -> str:
    """Return what an installation depends on, as text."""
    page = PAGES / case.entry.serve.page
    sources = {path.name: path.read_text(encoding="utf-8") for path in page.iterdir()} if case.entry.serve.page else {}
    patches = [[patch.file, patch.find, patch.replace] for patch in case.variant.patch]
    return json.dumps([case.entry.registry, case.variant.install, patches, sources], indent=1)


def _fetch(case: Case, folder: Path) -> None:
    wanted = case.variant.install
    if case.entry.registry == "pypi":
        _call([sys.executable, "-m", "venv", str(folder)], folder)
        _call([str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *wanted], folder)
    elif case.entry.registry == "npm":
        (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
        bundler = [BUNDLER] if case.entry.serve.page else []
        _call([*_NPM, "install", "--ignore-scripts", "--legacy-peer-deps", *wanted, *bundler], folder)
    elif case.entry.registry == "pypi-files":
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
        _call([sys.executable, "-m", "pip", "download", *options, wanted[0]], folder)
        for archive in folder.glob("*.whl"):
            with zipfile.ZipFile(archive) as files:
                files.extractall(folder)
    else:
        _call([*_NPM, "pack", wanted[0]], folder)
        for archive in folder.glob("*.tgz"):
            with tarfile.open(archive) as files:
                files.extractall(folder, filter="data")


def _call(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{Path(command[0]).name} took more than {_LIMIT_S} s") from None
    if done.returncode:
        raise NotInstalled(f"{Path(command[0]).name}: {(done.stderr or done.stdout).strip()[-300:]}")


def _apply(path: Path, find: str, replace: str) -> None:
    """Replace a text of a file that occurs exactly once.

    Raises:
        NotInstalled: it does not.
    """
    text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    if text.count(find) != 1:
        raise NotInstalled(f"the patch of {path.name} fits {text.count(find)} times")
    path.write_text(text.replace(find, replace), encoding="utf-8")


def _bundle(page: str, folder: Path) -> None:
    """Build a page of the corpus with the library, as a development build with a source map."""
    target = folder / "page"
    shutil.copytree(PAGES / page, target)
    source = next(path for path in target.iterdir() if path.stem == "app")
    options = ["--bundle", "--sourcemap", "--jsx=automatic", "--log-level=error", "--define:global=window"]
    options += ['--define:process.env.NODE_ENV="development"', f"--outfile={target / 'out.js'}"]
    _call([str(folder / "node_modules" / ".bin" / "esbuild"), str(source), *options], folder)
