"""Reads messages with Python's email package (policy.SMTPUTF8), which shares nothing with what composed them, and tells what it saw.

stdin: frames of a four-byte length (big endian) and a message. stdout: a JSON line per message.
"""
import hashlib
import json
import re
import sys
from email import policy
from email.header import decode_header, make_header
from email.parser import BytesParser, Parser
from email.utils import getaddresses


QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def addresses(plain, name):
    # With the older half of the package: the newer one (3.11) leaves the space between two encoded words in a name (RFC 2047 section 6.2).
    if plain[name] is None:
        return None
    # What looks like an encoded word between quotes is none (RFC 2047 section 5).
    text = QUOTED.sub(lambda found: found[0].replace("=?", "\x01"), plain[name].replace("\r\n", ""))
    found = getaddresses([text])
    return [[str(make_header(decode_header(shown))).replace("\x01", "=?"), address] for shown, address in found]


def content(part):
    return None if part is None else part.get_payload(decode=True).decode("utf-8", "strict")


def look(raw):
    message = BytesParser(policy=policy.SMTPUTF8).parsebytes(raw)
    # Of bytes beyond ASCII the older half makes nothing: they are UTF-8 (RFC 6532).
    plain = Parser(policy=policy.compat32).parsestr(raw.split(b"\r\n\r\n", 1)[0].decode("utf-8", "strict"), headersonly=True)
    lines = raw.split(b"\r\n")
    defects, attachments, text, html = [], [], None, None
    for part in message.walk():
        defects += [type(one).__name__ for one in part.defects]
        for name, value in part.items():
            defects += [f"{name}: {type(one).__name__}" for one in getattr(value, "defects", ())]
        if part.is_multipart():
            continue
        disposition = part.get_content_disposition()
        if disposition is None and part.get_content_type() in ("text/plain", "text/html"):
            if part.get_content_type() == "text/html":
                html = content(part)
            else:
                text = content(part)
            continue
        payload = part.get_payload(decode=True) or b""
        attachments.append(
            {
                # get_filename() takes quotes off twice, so that a file called "" would have no name.
                "filename": disposition and part["content-disposition"].params.get("filename"),
                "type": part.get_content_type(),
                "disposition": disposition,
                "content_id": part["content-id"] and str(part["content-id"]),
                "size": len(payload),
                "sha256": hashlib.sha256(payload).hexdigest(),
            }
        )
    return {
        "names": [name.lower() for name in message.keys()],
        "from": addresses(plain, "from"),
        "to": addresses(plain, "to"),
        "cc": addresses(plain, "cc"),
        "reply_to": addresses(plain, "reply-to"),
        "subject": message["subject"] and str(message["subject"]),
        "own": message["x-own"] and str(message["x-own"]),
        "text": text,
        "html": html,
        "attachments": attachments,
        "defects": defects,
        "longest_line": max(map(len, lines)),
        "bare": any(b"\r" in line or b"\n" in line for line in lines),
        "utf8_fields": [name.lower() for name, value in plain.items() if not value.isascii()],
        "eight_bit": any(byte > 127 for byte in raw) if len(raw) < 1_000_000 else not raw.isascii(),
    }


while True:
    head = sys.stdin.buffer.read(4)
    if len(head) < 4:
        break
    raw = sys.stdin.buffer.read(int.from_bytes(head, "big"))
    print(json.dumps(look(raw)), flush=True)
