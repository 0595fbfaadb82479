"""A receiving side with nothing of ours in it: aiosmtpd takes the mail, dkimpy checks the signature with the key that dnspython fetches.

usage: receive_and_verify.py <dns host:port>
Prints its own address first, then a JSON line per message: {"to", "size", "dkim", "dkim_flipped", "utf8"}; `dkim_flipped` is the verdict on
the same message with one bit of its body changed, `utf8` the parameters of MAIL and the fields of the header that aren't ASCII (RFC 6531, 6532).
"""
import json
import socket
import sys
import time

import dkim
import dns.resolver
from aiosmtpd.controller import Controller

host, port = sys.argv[1].rsplit(":", 1)
resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers = [host]
resolver.port = int(port)


def txt(name, timeout=5):
    answer = resolver.resolve(name.decode().rstrip("."), "TXT", lifetime=timeout)
    return b"".join(answer[0].strings)


class Handler:
    async def handle_DATA(self, server, session, envelope):
        raw = envelope.content
        flipped = bytearray(raw)
        flipped[raw.index(b"\r\n\r\n") + 6] ^= 1
        print(
            json.dumps(
                {
                    "to": envelope.rcpt_tos,
                    "utf8": [p for p in envelope.mail_options if p.startswith(("SMTPUTF8", "BODY="))]
                    + [line.decode() for line in raw.split(b"\r\n\r\n")[0].split(b"\r\n") if not line.isascii()],
                    "size": len(raw),
                    "dkim": dkim.verify(raw, dnsfunc=txt),
                    "dkim_flipped": dkim.verify(bytes(flipped), dnsfunc=txt),
                }
            ),
            flush=True,
        )
        return "250 2.0.0 taken"


# aiosmtpd's controller connects to the port it was given once, so it can't be 0.
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    free_port = probe.getsockname()[1]
controller = Controller(Handler(), hostname="127.0.0.1", port=free_port, enable_SMTPUTF8=True)
controller.start()
print(json.dumps({"address": "127.0.0.1:%d" % free_port}), flush=True)
while True:
    time.sleep(3600)
