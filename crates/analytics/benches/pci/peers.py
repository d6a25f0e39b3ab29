"""The other tools of the benchmark. Prints the seconds of the work, and then a result to compare.

    peers.py expand   patterns.txt: each pattern expanded by policy_sentry
    peers.py python   the weights of what each identity is granted, by sets
    peers.py duckdb   the same by SQL in DuckDB on one thread
"""
import csv
import sys
import time


def expand():
    from policy_sentry.analysis.expand import expand as expand_one

    patterns = open("patterns.txt").read().split()
    for pattern in patterns:  # its caches are warm before the clock runs
        expand_one(pattern)
    start = time.perf_counter()
    expanded = [expand_one(pattern) for pattern in patterns]
    seconds = time.perf_counter() - start
    return seconds, [" ".join(sorted(name.lower() for name in names)) for names in expanded]


def rows(name):
    with open(name) as file:
        return [tuple(int(field) for field in row) for row in csv.reader(file)]


def python():
    weights = dict(rows("weights.csv"))
    policies, attached = {}, {}
    for policy, permission in rows("grants.csv"):
        policies.setdefault(policy, set()).add(permission)
    for identity, policy in rows("attachments.csv"):
        attached.setdefault(identity, []).append(policy)
    start = time.perf_counter()
    masses = {}
    for identity, names in attached.items():
        masses[identity] = sum(weights[permission] for permission in set().union(*(policies.get(name, ()) for name in names)))
    seconds = time.perf_counter() - start
    return seconds, [f"{identity} {mass}" for identity, mass in sorted(masses.items())]


def duckdb():
    import duckdb as engine

    con = engine.connect(config={"threads": 1})
    for name, columns in [("weights", "permission, weight"), ("grants", "policy, permission"), ("attachments", "identity, policy")]:
        con.execute(f"create table {name} as select * from read_csv('{name}.csv', header = false, names = {columns.split(', ')})")
    query = """select identity, sum(weight)::bigint from (select distinct identity, permission from attachments join grants using (policy))
               join weights using (permission) group by identity order by identity"""
    start = time.perf_counter()
    found = con.execute(query).fetchall()
    seconds = time.perf_counter() - start
    return seconds, [f"{identity} {mass}" for identity, mass in found]


seconds, result = {"expand": expand, "python": python, "duckdb": duckdb}[sys.argv[1]]()
print(seconds)
print("\n".join(result))
