"""What a release is made from: version, commit, and the time that files and labels carry so that two builds are equal."""
import datetime
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def output():
    """Where all of a release is put: OUT, or target/dist."""
    return ROOT / os.environ.get("OUT", "target/dist")


def _git(*words):
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def version():
    """The version of the workspace, as of the chart: `make lint` compares them."""
    text = (ROOT / "Cargo.toml").read_text()
    return re.search(r'^\[workspace\.package\]\nversion = "([^"]+)"', text, re.MULTILINE)[1]


def revision():
    """The commit, marked where the tree has other content; `unknown` outside of git."""
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return "unknown"
    return commit + ("-modified" if _git("status", "--porcelain") else "")


def repository():
    """Where the source is: SOURCE_URL, or the address from which this tree was cloned, if that can be opened in a browser."""
    url = os.environ.get("SOURCE_URL") or _git("remote", "get-url", "origin") or ""
    return url.removesuffix(".git") if url.startswith("https://") else "unknown"


def epoch():
    """Seconds since 1970: SOURCE_DATE_EPOCH, or the time of the commit."""
    text = os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct")
    if not text or not text.isdigit():
        sys.exit("release: no time to write into files: set SOURCE_DATE_EPOCH to the seconds since 1970 of the release")
    return int(text)


def created():
    """The same as RFC 3339 in UTC."""
    return datetime.datetime.fromtimestamp(epoch(), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
