"""What is in a program of hack/release/build: the list of crates that cargo-auditable has stored in it, and what cargo knows of them."""
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def fail(message):
    sys.exit(f"release: {message}")


def section(program, wanted):
    """The bytes of an ELF section. 64 bits, little-endian: what both architectures are."""
    data = program.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        fail(f"{program} is not an ELF file of 64 bits; give a program of hack/release/build")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", data, table + i * size) for i in range(count)]
    strings = headers[names][4]
    for name, _, _, _, offset, length in headers:
        start = strings + name
        if data[start : data.index(b"\0", start)].decode() == wanted:
            return data[offset : offset + length]
    fail(f"{program} has no section {wanted}: it was not built by hack/release/build")


def crates(program):
    """The crates that are in the program: name, version, source, kind, and the places of their dependencies in this list."""
    return json.loads(zlib.decompress(section(program, ".dep-v0")))["packages"]


def packages():
    """Every package of Cargo.lock, by name and version, as `cargo metadata` describes it."""
    command = ["cargo", "metadata", "--locked", "--all-features", "--format-version", "1"]
    found = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)["packages"]
    return {(package["name"], package["version"]): package for package in found}
