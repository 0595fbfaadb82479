"""What Schemathesis is told about Maildoot: whose credential an operation is called with, what addresses look like, and which refusals of a
request that fits its schema are right because no schema can say what they are about.

The runner (main.ts) sets MAILDOOT_API, MAILDOOT_PEOPLE, MAILDOOT_CREDENTIAL and MAILDOOT_TALLY.
"""

import atexit
import base64
import contextlib
import http.client
import itertools
import json
import os
import socket
import threading
import time
import urllib.parse
from collections import Counter
from datetime import datetime, timedelta, timezone

import schemathesis
import urllib3.connection
from hypothesis import strategies as st

API = os.environ["MAILDOOT_API"]
PEOPLE = json.loads(os.environ["MAILDOOT_PEOPLE"])
TOKENS = json.loads(os.environ["MAILDOOT_TOKENS"])
CREDENTIAL = os.environ["MAILDOOT_CREDENTIAL"]


# ── who calls ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

# They end what they are called with, or other sessions of the same person, or make logging in slow by wrong passwords: called as people on
# whom nothing else depends.
SPARE = {"logout": "spare", "endSessions": "spare", "endSession": "spare", "listSessions": "spare", "changePassword": "changer"}


def has_many_addresses():
    """Whether all of 127.0.0.0/8 is this machine, as on Linux."""
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.2", 0))
        return True
    except OSError:
        print("· only 127.0.0.1 here: more requests will be answered 429")
        return False


MANY_ADDRESSES = has_many_addresses()


def spread_callers():
    """Each connection comes from another address of loopback: refused credentials are counted by address, and the run shows many."""
    numbers = itertools.count(2)
    original = urllib3.connection.HTTPConnection.__init__

    def from_elsewhere(self, *args, **kwargs):
        number = next(numbers)
        kwargs["source_address"] = (f"127.1.{number // 250 % 250}.{number % 250 + 2}", 0)
        original(self, *args, **kwargs)

    urllib3.connection.HTTPConnection.__init__ = from_elsewhere


if MANY_ADDRESSES:
    spread_callers()


# Where each person logs in, and nobody guesses from: who has come from an address before is counted apart from strangers.
HOMES = {"owner": "127.2.0.1", "spare": "127.2.0.2", "changer": "127.2.0.3"}


class Refused(Exception):
    def __init__(self, status, retry_after):
        super().__init__(f"answered {status}")
        self.retry_after = retry_after


def post(path, body, token=None, tries=6, source=None):
    """Asked again when there is too much at one time: logging in passes a gate."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    for left in range(tries - 1, -1, -1):
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(API).netloc, timeout=30, source_address=source)
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            if response.status < 300:
                return json.load(response), response.headers
            retry_after = int(response.headers["Retry-After"] or 1)
            if response.status not in (429, 503) or left == 0:
                raise Refused(response.status, retry_after)
        time.sleep(min(3, retry_after))


def log_in(who, tries=6):
    source = (HOMES[who], 0) if MANY_ADDRESSES else None
    tokens, headers = post("/v1/auth/login", PEOPLE[who], tries=tries, source=source)
    return tokens["access_token"], headers["Set-Cookie"].split(";")[0]


def subject_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=="))["sub"]


class Credentials:
    """One of each kind, kept over the rounds of a run; one that the run has ended itself is made anew."""

    def __init__(self):
        self.lock = threading.Lock()
        self.held = PEOPLE.pop("held", {})
        self.over = set()
        self.not_before = {}
        # Before anybody guesses.
        for who in HOMES:
            if who not in self.held:
                self.held[who] = log_in(who)[0]
        self.people = {subject_of(self.held[who]) for who in HOMES}

    def get(self, kind):
        with self.lock:
            held = self.held.get(kind)
            if held is None or (held in self.over and time.monotonic() > self.not_before.get(kind, 0)):
                self.held[kind] = self.renewed(kind, held)
            return self.held[kind]

    def renewed(self, kind, held):
        try:
            return self.new_key() if kind == "key" else log_in(kind, tries=6 if held is None else 1)[0]
        except Refused as error:
            # Wrong passwords have made logging in slow for somebody: until then the request is one with an ended session.
            if held is None:
                raise
            self.not_before[kind] = time.monotonic() + error.retry_after
            return held

    def new_key(self):
        return post("/v1/api-keys", {"name": "schemathesis", "scope": "full"}, self.held["owner"])[0]["key"]


credentials = Credentials()


@schemathesis.auth(refresh_interval=None)
class Caller:
    def get(self, case, context):
        operation = case.operation.definition.raw.get("operationId")
        if not case.operation.definition.raw.get("security"):
            return None
        return credentials.get(SPARE.get(operation, "owner" if CREDENTIAL == "session" else "key"))

    def set(self, case, data, context):
        case.headers["Authorization"] = f"Bearer {data}"


# ── what values look like ──────────────────────────────────────────────────────────────────────────────────────────────────

labels = st.from_regex(r"[a-z]([a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
domains = st.builds("{}.{}".format, labels, st.sampled_from(["example", "test", "example.com", "bücher.example"]))
emails = st.builds("{}@{}".format, st.from_regex(r"[A-Za-z0-9]+([._+-][A-Za-z0-9]+)?", fullmatch=True).filter(lambda t: len(t) <= 64), domains)
names = st.text(st.characters(categories=["L", "N", "So"]), min_size=1, max_size=30)

addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)

schemathesis.openapi.format("cidr", st.one_of(addresses, st.sampled_from(["198.51.100.0/24", "2001:db8::/32", "127.0.0.0/8"])))
schemathesis.openapi.format("http-url", st.builds("https://{}/{}".format, domains, labels))
schemathesis.openapi.format("idn-email", emails)
schemathesis.openapi.format("idn-hostname", domains)
schemathesis.openapi.format("mailbox", st.one_of(emails, st.builds("{} <{}>".format, labels, emails), st.builds('"{}" <{}>'.format, names, emails)))


# ── what nobody makes up ───────────────────────────────────────────────────────────────────────────────────────────────────

def in_an_hour():
    return (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat()


# What every second of these requests has in place of what was made up.
REAL = {
    "login": lambda case: case.body.update(PEOPLE["owner"]),
    "refreshSession": lambda case: case.headers.update({"Cookie": log_in("owner", tries=1)[1]}),
    "changePassword": lambda case: case.body.update(current_password=PEOPLE["changer"]["password"]),
    "completePasswordReset": lambda case: case.body.update(token=TOKENS["password"]),
    "requestPasswordReset": lambda case: case.body.update(email=PEOPLE["spare"]["email"]),
    "trackOpen": lambda case: case.path_parameters.update(token=TOKENS["open"]),
    "trackClick": lambda case: case.path_parameters.update(token=TOKENS["click"]),
    "showUnsubscribe": lambda case: case.path_parameters.update(token=TOKENS["unsubscribe"]),
    "sendMessages": lambda case: isinstance(case.body, dict) and "from" in case.body and case.body.update(send_at=in_an_hour()),
    "rescheduleMessage": lambda case: case.body.update(send_at=in_an_hour()),
    "unsubscribe": lambda case: case.path_parameters.update(token=TOKENS["unsubscribe"]),
}
turns = Counter()


@schemathesis.hook
def before_call(context, case, kwargs):
    operation = case.operation.definition.raw.get("operationId")
    if operation == "listCapturedMail" and isinstance(case.query, dict) and str(case.query.get("wait", "")).isdecimal():
        # It may wait for a minute; one second shows the same.
        if 1 < int(case.query["wait"]) <= 60:
            case.query["wait"] = 1
    if operation == "removeMember" and case.path_parameters.get("id") in credentials.people:
        # Whoever the run calls as stays.
        case.path_parameters["id"] = "usr_00000000000000000000000000"
    if operation not in REAL or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    turns[operation] += 1
    if turns[operation] % 2 == 1:
        with contextlib.suppress(Refused):
            REAL[operation](case)


# ── what an answer may have ────────────────────────────────────────────────────────────────────────────────────────────────

@schemathesis.hook
def before_load_schema(context, raw_schema):
    """To readers the objects of answers are open, because they may get fields later. Here a field that isn't documented is a failure."""
    close(raw_schema["components"]["schemas"])
    close(raw_schema["paths"])


def close(node):
    if isinstance(node, list):
        for inner in node:
            close(inner)
    elif isinstance(node, dict):
        if node.get("type") == "object" and isinstance(node.get("properties"), dict):
            node.setdefault("additionalProperties", False)
        for name, inner in node.items():
            if name not in ("example", "examples"):
                close(inner)


# ── what is right to refuse though it fits the schema ──────────────────────────────────────────────────────────────────────

@schemathesis.check
def refused_for_what_no_schema_says(ctx, response, case):
    """The check positive_data_acceptance lets a 400 or 422 pass (see main.ts); this one says which."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in (400, 422):
        return None
    error = response.json()["error"]
    if response.status_code == 422:
        return None
    assert error["code"] == "VALIDATION_ERROR", f"a request that fits the schema was answered {error['code']}: {error['message']}"
    for issue in error.get("issues", []):
        place = issue["path"].split(".")[-1]
        assert issue["code"] in RULES or f"{issue['code']} {place}" in RULES, f"{issue['path']}: {issue['code']}: the schema takes what the door refuses: {issue['message']}"
    return None


RULES = set(json.loads(os.environ["MAILDOOT_RULES"]))


# ── what came of it ────────────────────────────────────────────────────────────────────────────────────────────────────────

tally = Counter()


@schemathesis.hook
def after_call(context, case, response):
    operation = case.operation.definition.raw.get("operationId")
    tally[f"{operation} {response.status_code}"] += 1
    refused = response.status_code == 401 and response.json()["error"]["code"] == "INVALID_TOKEN"
    if refused or (operation in SPARE and operation != "changePassword" and response.status_code == 204):
        credentials.over.add(response.request.headers.get("Authorization", "").removeprefix("Bearer "))
    if operation == "changePassword" and response.status_code == 204:
        PEOPLE["changer"]["password"] = case.body["new_password"]


@atexit.register
def write_tally():
    with open(os.environ["MAILDOOT_TALLY"], "w", encoding="utf-8") as file:
        json.dump({"answers": tally, "people": {**PEOPLE, "held": credentials.held}}, file)
