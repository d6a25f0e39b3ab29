"""Writes an OCI image layout as a tar archive: https://github.com/opencontainers/image-spec, version 1.1."""
import gzip
import hashlib
import io
import json
import tarfile
from pathlib import PurePosixPath

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def encode(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def entry(name, epoch, mode, kind=tarfile.REGTYPE, size=0):
    """Owned by root, so that the image's user cannot change it, with the time of the release."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.mtime = kind, mode, size, epoch
    info.uid = info.gid = 0
    return info


def layer(files, epoch):
    """One layer: the folders above the files, then the files, sorted."""
    folders = {str(parent) for path, _, _ in files for parent in PurePosixPath(path).parents} - {"/"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in sorted(folders):
            tar.addfile(entry(folder.lstrip("/") + "/", epoch, 0o755, tarfile.DIRTYPE))
        for path, file, mode in sorted(files, key=lambda each: each[0]):
            data = file.read_bytes()
            tar.addfile(entry(path.lstrip("/"), epoch, mode, size=len(data)), io.BytesIO(data))
    return buffer.getvalue()


class Layout:
    def __init__(self):
        self.blobs = {}

    def add(self, media, data, **more):
        """Stores a blob; answers its descriptor."""
        self.blobs[digest(data)] = data
        return {"mediaType": media, "digest": digest(data), "size": len(data)} | more

    def image(self, arch, image, created, epoch):
        """Stores an image; answers the descriptor of its manifest and the bytes that a node downloads."""
        plain = layer(image.files, epoch)
        packed = self.add(LAYER, gzip.compress(plain, compresslevel=9, mtime=0))
        config = {
            "architecture": arch,
            "os": "linux",
            "created": created,
            "config": {
                "User": image.user,
                "Env": [f"{name}={value}" for name, value in image.env.items()],
                "Entrypoint": image.entrypoint,
                "WorkingDir": image.workdir,
                "Labels": image.labels,
            },
            "rootfs": {"type": "layers", "diff_ids": [digest(plain)]},
            "history": [{"created": created, "created_by": "hack/image/build"}],
        }
        config = self.add(CONFIG, encode(config))
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [packed], "annotations": image.labels}
        platform = {"architecture": arch, "os": "linux"}
        return self.add(MANIFEST, encode(manifest), platform=platform), packed["size"] + config["size"]


def full_name(tag):
    """A name as containerd stores it: what names no registry is of docker.io."""
    first, slash, _ = tag.partition("/")
    if not slash:
        return f"docker.io/library/{tag}"
    return tag if "." in first or ":" in first or first == "localhost" else f"docker.io/{tag}"


def write(archive, images, tag, epoch):
    """Writes the archive of {architecture: image}; answers lines that say what is in it."""
    layout, manifests, lines = Layout(), [], []
    for arch, image in images.items():
        descriptor, size = layout.image(arch, image, image.labels["org.opencontainers.image.created"], epoch)
        manifests.append(descriptor)
        lines.append(f"linux/{arch}  {descriptor['digest']}  {size / 1e6:.1f} MB to download")
    labels = next(iter(images.values())).labels
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests, "annotations": labels}
    # The names by which containerd, and tools that follow the layout's specification, find the image.
    names = {"io.containerd.image.name": full_name(tag), "org.opencontainers.image.ref.name": tag.rpartition(":")[2]}
    top = layout.add(INDEX, encode(index), annotations=names)
    files = {"oci-layout": encode({"imageLayoutVersion": "1.0.0"})}
    files["index.json"] = encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": [top]})
    files |= {f"blobs/sha256/{name.removeprefix('sha256:')}": data for name, data in layout.blobs.items()}
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for folder in ("blobs/", "blobs/sha256/"):
            tar.addfile(entry(folder, epoch, 0o755, tarfile.DIRTYPE))
        for name in sorted(files):
            tar.addfile(entry(name, epoch, 0o644, size=len(files[name])), io.BytesIO(files[name]))
    return [f"index        {top['digest']}"] + lines
