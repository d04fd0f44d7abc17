"""The official SDK plays a theft; exactly one user must be contained.

Starts `evictd lab` and `evictd run`, sends real sign-in records (from
../shared/data where it exists) and one stolen session built on their shape
through azure-eventhub, and reads from the stand-in's tenant who was revoked.
"""

import copy
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import datetime, timedelta, timezone

ROOT = pathlib.Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared/data/sign-ins/panther-azure-signin-tests.ndjson"
PATIENCE_SECONDS = 60


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def real_records():
    if not REAL.exists():
        print(f"{REAL} is not here: only the stolen session is sent")
        return []
    return [json.loads(line)["log"] for line in REAL.read_text().splitlines()]


def template(records):
    """A real successful sign-in to build on, or our own."""
    for record in records:
        properties = record.get("properties", {})
        if record.get("category") == "SignInLogs" and "location" in properties:
            return copy.deepcopy(record)
    return {"category": "SignInLogs", "operationName": "Sign-in activity", "properties": {}}


def sign_in(shape, user, at, session, address, asn, place, interactive):
    record = copy.deepcopy(shape)
    record["category"] = "SignInLogs" if interactive else "NonInteractiveUserSignInLogs"
    record["time"] = at.isoformat()
    city, country, latitude, longitude = place
    record["properties"].update(
        id=f"peer-{user['id']}-{address}",
        createdDateTime=at.isoformat(),
        userId=user["id"],
        userPrincipalName=user["userPrincipalName"],
        ipAddress=address,
        autonomousSystemNumber=asn,
        sessionId=session,
        isInteractive=interactive,
        status={"errorCode": 0},
        # At home on the managed laptop; the thief has none.
        deviceDetail={
            "deviceId": f"laptop-{user['id']}" if interactive else "",
            "isCompliant": interactive,
            "isManaged": interactive,
        },
        location={
            "city": city,
            "countryOrRegion": country,
            "geoCoordinates": {"latitude": latitude, "longitude": longitude},
        },
    )
    return record


def send(places, directory, records):
    """Each record a message of its own, to the partitions in turn."""
    for partition in range(places["partitions"]):
        share = records[partition :: places["partitions"]]
        path = pathlib.Path(directory) / f"records-{partition}.ndjson"
        path.write_text("".join(json.dumps({"records": [record]}) + "\n" for record in share))
        subprocess.run(
            [sys.executable, ROOT / "tests/peers/eventhubs_peer.py", "send"]
            + ["--connection-string", places["connection_string"], "--hub", places["hub"]]
            + ["--endpoint", places["amqp"].removeprefix("amqp://")]
            + ["--partition", str(partition), path],
            check=True,
        )


def main(binary):
    with tempfile.TemporaryDirectory() as directory:
        lab = subprocess.Popen(
            [binary, "lab", "--directory", directory, "--format", "json"],
            stdout=subprocess.PIPE,
            text=True,
        )
        daemon = None
        try:
            places = json.loads(read_json(lab.stdout))
            environment = dict(os.environ, SSL_CERT_FILE=places["ca_file"])
            daemon = subprocess.Popen([binary, "run", "--config", places["config"]], env=environment)
            play(places, directory)
        finally:
            for process in (daemon, lab):
                if process:
                    process.terminate()
                    process.wait(timeout=20)


def read_json(stream):
    """The first JSON object that the lab prints."""
    text = ""
    for line in stream:
        text += line
        try:
            json.loads(text)
            return text
        except json.JSONDecodeError:
            continue
    raise SystemExit("the lab ended before it said where it is")


def play(places, directory):
    users = [entry["user"] for entry in get(places["lab"] + "/lab/tenant")["users"]]
    victim, bystander = users[3], users[8]
    records = real_records()
    shape = template(records)
    now = datetime.now(timezone.utc)
    paris = ("Paris", "FR", 48.86, 2.35)
    ashburn = ("Ashburn", "US", 39.04, -77.49)
    records += [
        sign_in(shape, bystander, now - timedelta(minutes=20), "s-2", "198.18.10.9", 64496, paris, True),
        sign_in(shape, victim, now - timedelta(minutes=15), "s-1", "198.18.10.8", 64496, paris, True),
        sign_in(shape, victim, now, "s-1", "198.19.30.7", 64500, ashburn, False),
        sign_in(shape, bystander, now, "s-2", "198.18.10.9", 64496, paris, False),
    ]
    send(places, directory, records)
    print(f"{len(records)} records sent by azure-eventhub")

    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        revoked = contained(places)
        if revoked:
            break
        time.sleep(0.2)
    # What else might be contained has had its chance once the last record,
    # sent after the theft, is read: the bystander's.
    wait_until_read(places, len(records))
    revoked = contained(places)
    assert revoked == [victim["id"]], f"expected {victim['id']} alone to be contained, found {revoked}"
    touched = {user for call in get(places["lab"] + "/lab/calls")["calls"] for user in call["users"]}
    assert touched == {victim["id"]}, f"Graph was asked about {touched}"
    print("the stolen session's user is contained, and nobody else was touched")


def contained(places):
    users = [entry["user"] for entry in get(places["lab"] + "/lab/tenant")["users"]]
    return [u["id"] for u in users if not u["signInSessionsValidFrom"].startswith("1970")]


def wait_until_read(places, count):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        metrics = metrics_text(places)
        read = sum(
            int(float(line.rsplit(" ", 1)[1]))
            for line in metrics.splitlines()
            if line.startswith("evictd_records_total")
        )
        if read >= count:
            return
        time.sleep(0.2)
    raise SystemExit(f"the daemon did not read {count} records")


def metrics_text(places):
    import http.client
    import socket

    class Unix(http.client.HTTPConnection):
        def connect(self):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.connect(places["socket"])

    control = Unix("localhost", timeout=10)
    control.request("GET", "/v1/status")
    address = json.load(control.getresponse())["http"]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        return answer.read().decode()


if __name__ == "__main__":
    main(sys.argv[1])
