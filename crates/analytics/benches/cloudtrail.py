"""Reads CloudTrail records as other tools do, and prints the seconds of processor time and the table of (identity, operation, calls).

Usage: cloudtrail.py METHOD DIRECTORY. It reads all files of the directory on one thread; the seconds are without the start of the interpreter.
"""

import collections
import glob
import gzip
import hashlib
import json
import sys
import time

FIELDS = (
    "STRUCT(eventVersion VARCHAR, eventSource VARCHAR, eventName VARCHAR, errorCode VARCHAR, "
    "userIdentity STRUCT(arn VARCHAR, sessionContext STRUCT(sessionIssuer STRUCT(arn VARCHAR))))"
)
TABLE = """
    SELECT coalesce(r.userIdentity.sessionContext.sessionIssuer.arn, r.userIdentity.arn) AS identity,
           replace(r.eventSource, '.amazonaws.com', '') || ':' || r.eventName AS operation, count(*)
    FROM ({records}) WHERE r.errorCode IS NULL GROUP BY ALL
"""


def duckdb_rows(directory, lines):
    import duckdb

    path = directory + "/*"

    database = duckdb.connect(config={"threads": 1})
    started = time.process_time()
    if lines:
        columns = FIELDS.removeprefix("STRUCT(").removesuffix(")")
        typed = ", ".join(f"{name}: '{kind}'" for name, kind in (column.split(" ", 1) for column in split(columns)))
        records = f"SELECT t AS r FROM read_json('{path}', format='newline_delimited', columns={{{typed}}}) t"
    else:
        size = 64 << 20
        records = (
            f"SELECT unnest(Records) AS r FROM read_json('{path}', format='unstructured', maximum_object_size={size}, "
            f"columns={{Records: '{FIELDS}[]'}})"
        )
    rows = database.execute(TABLE.format(records=records)).fetchall()
    return time.process_time() - started, rows


def split(columns):
    """The columns of a struct, at the commas that are not in brackets."""
    depth, start, found = 0, 0, []
    for at, letter in enumerate(columns):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            found.append(columns[start:at].strip())
            start = at + 1
    return found + [columns[start:].strip()]


def records_of(path, lines, loads):
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        yield from map(loads, file) if lines else loads(file.read())["Records"]


def python_rows(directory, lines, loads):
    started = time.process_time()
    table = collections.Counter()
    for path in sorted(glob.glob(directory + "/*")):
        for record in records_of(path, lines, loads):
            if record.get("errorCode") is not None:
                continue
            user = record["userIdentity"]
            issuer = user.get("sessionContext", {}).get("sessionIssuer", {}).get("arn")
            operation = record["eventSource"].replace(".amazonaws.com", "") + ":" + record["eventName"]
            table[issuer or user["arn"], operation] += 1
    rows = [(identity, operation, count) for (identity, operation), count in table.items()]
    return time.process_time() - started, rows


def main():
    method, path = sys.argv[1:]
    lines = "lines" in path.rsplit("/", 1)[-1]
    if method == "duckdb":
        seconds, rows = duckdb_rows(path, lines)
    elif method == "orjson":
        import orjson

        seconds, rows = python_rows(path, lines, orjson.loads)
    else:
        seconds, rows = python_rows(path, lines, json.loads)
    table = "".join(f"{identity} {operation} {count}\n" for identity, operation, count in sorted(rows))
    print(seconds, hashlib.sha256(table.encode()).hexdigest())


main()
