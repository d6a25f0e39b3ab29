"""Where the catalogues come from: pinned packages of this virtual environment, and two repositories pinned by content."""
import hashlib
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PINS = json.loads((HERE / "sources.json").read_text())


def package(name):
    """The directory of an installed package, without importing it."""
    [directory] = {str(file).split("/")[0] for file in importlib.metadata.files(name) if str(file).endswith("/__init__.py")
                   and str(file).count("/") == 1}
    return pathlib.Path(importlib.metadata.distribution(name).locate_file(directory))


def version(name):
    return importlib.metadata.version(name)


def licence(name):
    """The licence texts that a package brings."""
    texts = [file for file in importlib.metadata.files(name) if "/licenses/LICENSE" in str(file)]
    return "\n".join(file.read_text() for file in texts)


def chosen(directory, patterns):
    return sorted({file for pattern in patterns for file in directory.glob(pattern)})


def digest(directory, patterns):
    """One hash over names and contents of the files that are read."""
    lines = [f"{file.relative_to(directory).as_posix()} {hashlib.sha256(file.read_bytes()).hexdigest()}\n" for file in chosen(directory, patterns)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def fetched(name):
    """The pinned commit of a repository, fetched once into the cache."""
    pin = PINS[name]
    cache = pathlib.Path(os.environ.get("CURFEW_CACHE") or pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "curfew")
    directory = cache / "catalogue" / f"{name}-{pin['commit'][:12]}"
    if not (directory / ".complete").exists():
        directory.mkdir(parents=True, exist_ok=True)
        git = ["git", "-C", str(directory)]
        subprocess.run([*git, "init", "--quiet"], check=True)
        subprocess.run([*git, "fetch", "--quiet", "--depth", "1", pin["repository"], pin["commit"]], check=True)
        subprocess.run([*git, "checkout", "--quiet", "--force", "FETCH_HEAD"], check=True)
        (directory / ".complete").touch()
    return directory


def repository(name, directory=None):
    """A copy of a pinned repository; its content must be what the pin says."""
    pin = PINS[name]
    directory = pathlib.Path(directory) if directory else fetched(name)
    found = digest(directory, pin["files"])
    if found != pin["sha256"]:
        sys.exit(f"{directory}: the files {', '.join(pin['files'])} have the hash {found}, and sources.json pins {pin['sha256']}: "
                 f"use commit {pin['commit']} of {pin['repository']}, or pin this content")
    return directory
