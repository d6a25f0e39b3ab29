"""The roles that the providers ship: Azure's built-in roles, Google Cloud's predefined roles, AWS's managed policies."""
import ast
import json

import sources

FIELDS = ("actions", "notActions", "dataActions", "notDataActions")


def line(*fields):
    """One record. No field holds a tab or a line break."""
    fields = [" ".join(str(field).split()) if not isinstance(field, list) else " ".join(field) for field in fields]
    assert not any("\t" in field or "\n" in field for field in fields)
    return "\t".join(fields)


def header(name, source):
    return [f"{name}\t1", line("source", source, sources.PINS["iam-dataset"]["commit"][:12] if source == "iam-dataset" else sources.version(source))]


def azure(dataset):
    roles = json.loads((dataset / "azure/built-in-roles-raw.json").read_text())
    lines = header("curfew-roles-azure", "iam-dataset")
    for role in sorted(roles, key=lambda role: (role["roleName"].lower(), role["name"])):
        lines.append(line("role", role["name"], role["roleName"]))
        for block in role["permissions"]:
            names = [sorted({name.strip() for name in block[field] or []}) for field in FIELDS]
            assert not any(" " in name for some in names for name in some)
            lines.append("\t".join(["allow", *(" ".join(some) for some in names), " ".join((block.get("condition") or "").split())]))
    return "\n".join(lines) + "\n"


def ranges(numbers):
    """1 2 3 7 -> `1-3 7`."""
    parts = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return " ".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)


def gcp(dataset):
    """A role without a file of its own has the field `?`: what it permits is not public."""
    listed = json.loads((dataset / "gcp/predefined_roles.json").read_text())
    have = {}
    for role in listed:
        file = dataset / "gcp/roles" / (role["name"].removeprefix("roles/") + ".json")
        have[role["name"]] = set(json.loads(file.read_text()).get("includedPermissions", [])) if file.exists() else None
    names = sorted(set().union(*(some for some in have.values() if some)))
    place = {name: index for index, name in enumerate(names)}
    tags = json.loads((dataset / "gcp/tags.json").read_text())["iam"]
    marks = {"C": "CredentialExposure", "D": "DataAccess", "P": "PrivEsc"}
    lines = header("curfew-roles-gcp", "iam-dataset")
    for name in names:
        flags = "".join(mark for mark, tag in marks.items() if name in tags[tag])
        lines.append(f"permission\t{name}\t{flags}".rstrip("\t"))
    for role in sorted(listed, key=lambda role: role["name"]):
        some = have[role["name"]]
        lines.append(line("role", role["name"], role["stage"], role["title"], "?" if some is None else ranges(place[name] for name in some)))
    return "\n".join(lines) + "\n"


def aws():
    source = (sources.package("moto") / "iam/aws_managed_policies.py").read_text()
    [data] = [node.value for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    policies = json.loads(ast.literal_eval(data))
    lines = header("curfew-roles-aws", "moto")
    for name, policy in sorted(policies.items()):
        document = json.dumps(policy["Document"], separators=(",", ":"), sort_keys=True)
        lines.append("\t".join(["policy", f"arn:aws:iam::aws:policy{policy['Path']}{name}", policy["DefaultVersionId"], document]))
    return "\n".join(lines) + "\n"
