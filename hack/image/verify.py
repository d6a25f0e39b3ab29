"""Checks the configuration and the files of one architecture; hack/image/check calls it in the root of the repository.

usage: verify.py ARCH CONFIG.json ROOT
"""
import json
import ssl
import struct
import subprocess
import sys
import zlib
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

MACHINES = {"amd64": 62, "arm64": 183}
PT_LOAD, PT_INTERP, PT_GNU_STACK, ET_DYN = 1, 3, 0x6474E551, 3
TRIPLES = {"amd64": "x86_64-unknown-linux-musl", "arm64": "aarch64-unknown-linux-musl"}
LABELS = ("title", "description", "licenses", "source", "version", "revision", "created")


def expect(what, condition):
    if not condition:
        sys.exit(f"image: {what}")


def program(file, arch):
    """Static, for this architecture, loaded at an address that varies, without a stack that can be executed; answers its crates."""
    data = file.read_bytes()
    kind, machine = struct.unpack_from("<HH", data, 0x10)
    expect(f"{file.name} is not for {arch}", data[:4] == b"\x7fELF" and machine == MACHINES[arch])
    expect(f"{file.name} is loaded at a fixed address", kind == ET_DYN)
    (offset,) = struct.unpack_from("<Q", data, 0x20)
    size, count = struct.unpack_from("<HH", data, 0x36)
    segments = [struct.unpack_from("<II", data, offset + i * size) for i in range(count)]
    expect(f"{file.name} needs a loader, which the image has not", all(segment != PT_INTERP for segment, _ in segments))
    for segment, flags in segments:
        expect(f"{file.name} has memory that can be written and executed", segment not in (PT_LOAD, PT_GNU_STACK) or flags & 3 != 3)
    # zlib-compressed JSON of a known beginning; hack/release/sbom reads the section table, so this is another way to it.
    for level in (b"\x78\x9c", b"\x78\xda", b"\x78\x5e", b"\x78\x01"):
        at = data.rfind(level)
        while at > 0:
            try:
                found = zlib.decompressobj().decompress(data[at:])
                if found.startswith(b'{"packages":'):
                    return {(crate["name"], crate["version"]) for crate in json.loads(found)["packages"]}
            except zlib.error:
                pass
            at = data.rfind(level, 0, at)
    sys.exit(f"image: {file.name} does not name its dependencies: it was built without cargo-auditable")


def resolved(arch):
    """The crates that cargo would link, by its own account: what was compiled in names itself, and this does not ask it."""
    command = ["cargo", "tree", "--locked", "--target", TRIPLES[arch], "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]
    command += ["-p", "curfew", "-p", "curfew-analytics", "--features", "curfew/aws,curfew-analytics/aws"]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    # NAME vVERSION (place)
    return {(words[0], words[1].removeprefix("v")) for words in map(str.split, lines) if words}


def main():
    arch, config, root = sys.argv[1], json.loads(Path(sys.argv[2]).read_text()), Path(sys.argv[3])
    settings = config["config"]
    expect("the architecture is another one", (config["os"], config["architecture"]) == ("linux", arch))
    expect(f"the user is {settings['User']}", settings["User"] == "65532:65532")
    expect(f"the entrypoint is {settings['Entrypoint']}", settings["Entrypoint"] == ["/usr/local/bin/curfew"])
    # `command: [curfew-analytics]` of a Pod is looked up in PATH.
    expect(f"the environment is {settings['Env']}", settings["Env"] == ["PATH=/usr/local/bin"])
    missing = [name for name in LABELS if not settings["Labels"].get(f"org.opencontainers.image.{name}")]
    expect(f"labels are missing: {missing}", not missing)

    compiled = set()
    for name in ("curfew", "curfew-analytics"):
        compiled |= program(root / "usr/local/bin" / name, arch)
    bill = (root / "usr/share/sbom/curfew.cdx.json").read_text()
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill)
    expect(f"the bill of materials is not valid: {error}", error is None)
    listed = {(each["name"], each.get("version")) for each in json.loads(bill)["components"]}
    expect(f"not in the bill of materials: {compiled - listed}", compiled <= listed)
    tree = resolved(arch)
    expect(f"cargo tree has what is not in the bill of materials: {tree - listed}", len(tree) > 100 and tree <= listed)

    context = ssl.create_default_context(cafile=str(root / "etc/ssl/certs/ca-certificates.crt"))
    authorities = context.cert_store_stats()["x509_ca"]
    expect(f"only {authorities} certificate authorities", authorities > 100)
    print(f"image: {arch}: {len(compiled)} crates named in the programs, {len(tree)} in cargo tree: all in the bill of materials; {authorities} certificate authorities")


main()
