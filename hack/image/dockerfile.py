"""Reads the Dockerfile of an image that has no base: files, settings and labels, and no command that would have to run.

What BuildKit would make of each instruction is in its reference. An instruction, or a form of it, that is not known here is an error,
so that hack/image/build never makes another image than an engine would.
"""
import json
import re
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

KNOWN = ("FROM", "ARG", "COPY", "LABEL", "ENV", "USER", "WORKDIR", "ENTRYPOINT")


@dataclass
class Image:
    """files: (path in the image, file here, mode). The rest is as in an image's configuration."""

    files: list = field(default_factory=list)
    labels: dict = field(default_factory=dict)
    env: dict = field(default_factory=dict)
    user: str = ""
    workdir: str = "/"
    entrypoint: list = field(default_factory=list)


def fail(line, message):
    sys.exit(f"image: hack/image/Dockerfile: {message}, in: {line}")


def instructions(text):
    """Each instruction on one line, without comments."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines()


def substitute(line, values):
    """Replaces ${NAME} and $NAME; a name without a value is an error, where BuildKit would put nothing."""

    def value(match):
        name = match[1] or match[2]
        if name not in values:
            fail(line, f"{name} has no value")
        return values[name]

    return re.sub(r"\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)", value, line)


def pairs(line, rest):
    for word in shlex.split(rest):
        name, equals, value = word.partition("=")
        if not equals:
            fail(line, f"{word} is not NAME=VALUE")
        yield name, value


def copy(line, rest, folder, image):
    words = shlex.split(rest)
    option = words.pop(0) if words and words[0].startswith("--") else ""
    mode = re.fullmatch(r"--chmod=(0?[0-7]{3})", option)
    if not mode or len(words) < 2 or words[0].startswith("--"):
        fail(line, "only COPY --chmod=MODE FILE... TARGET is known")
    *sources, target = words
    if not target.startswith("/") or (len(sources) > 1 and not target.endswith("/")):
        fail(line, "the target is a path from /, and a folder that ends in / for several files")
    for source in sources:
        file = Path(folder) / source
        if not file.is_file():
            fail(line, f"{source} is not a file of the context")
        image.files.append((target + file.name if target.endswith("/") else target, file, int(mode[1], 8)))


def read(text, folder, given):
    """The image that the Dockerfile gives for the files of `folder` and the values of its ARGs that are given."""
    image, values, begun = Image(), {}, False
    for line in instructions(text):
        name, _, rest = line.partition(" ")
        name, rest = name.upper(), rest.strip()
        if name not in KNOWN or begun == (name == "FROM"):
            fail(line, f"known are, after one FROM: {' '.join(KNOWN)}")
        if name == "FROM":
            begun = rest == "scratch" or fail(line, "the only base that is known is scratch")
            continue
        if name == "ARG":
            argument, equals, default = rest.partition("=")
            if argument in given or equals:
                values[argument] = given.get(argument, default)
            continue
        rest = substitute(rest, values)
        match name:
            case "COPY":
                copy(line, rest, folder, image)
            case "LABEL":
                image.labels |= dict(pairs(line, rest))
            case "ENV":
                image.env |= dict(pairs(line, rest))
            case "USER":
                image.user = rest
            case "WORKDIR":
                image.workdir = rest
            case "ENTRYPOINT":
                image.entrypoint = json.loads(rest)
    return image
