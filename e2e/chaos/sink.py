"""The receiving side of the chaos run, with nothing of ours in it: aiosmtpd takes the mail.

usage: sink.py <file>
Prints {"address": "127.0.0.1:port"}, then answers 250 to a message only when its line is on the disk:
{"at": seconds since the epoch, "id": the msg_… of the Message-ID, "number": X-Chaos-Number, "to": [recipients]}
Sessions that wait for the disk at the same moment share one fsync.
"""
import asyncio
import json
import os
import re
import signal
import sys
import time

from aiosmtpd.smtp import SMTP

MESSAGE_ID = re.compile(rb"^message-id:\s*<?(msg_[0-9a-z]{26})", re.IGNORECASE | re.MULTILINE)
NUMBER = re.compile(rb"^x-chaos-number:\s*(\d+)", re.IGNORECASE | re.MULTILINE)


class Record:
    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.waiting = []
        self.writing = False

    async def append(self, line):
        written = asyncio.get_running_loop().create_future()
        self.waiting.append((line, written))
        if not self.writing:
            self.writing = True
            asyncio.create_task(self.write())
        await written

    async def write(self):
        loop = asyncio.get_running_loop()
        while self.waiting:
            batch, self.waiting = self.waiting, []
            await loop.run_in_executor(None, self.synced, b"".join(line for line, _ in batch))
            for _, written in batch:
                if not written.done():
                    written.set_result(None)
        self.writing = False

    def synced(self, data):
        while data:
            data = data[os.write(self.fd, data):]
        os.fsync(self.fd)


class Handler:
    def __init__(self, record):
        self.record = record

    async def handle_DATA(self, server, session, envelope):
        head = envelope.content.split(b"\r\n\r\n", 1)[0]
        found, number = MESSAGE_ID.search(head), NUMBER.search(head)
        line = {
            "at": time.time(),
            "id": found.group(1).decode() if found else None,
            "number": int(number.group(1)) if number else None,
            "to": envelope.rcpt_tos,
        }
        await self.record.append(json.dumps(line).encode() + b"\n")
        return "250 2.0.0 taken"


async def main():
    handler = Handler(Record(sys.argv[1]))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, hostname="sink.example", loop=loop), "127.0.0.1", 0, backlog=511)
    print(json.dumps({"address": "127.0.0.1:%d" % server.sockets[0].getsockname()[1]}), flush=True)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    # Whoever started us is gone.
    loop.add_reader(sys.stdin.fileno(), lambda: sys.stdin.buffer.read1(1) or stop.set())
    await stop.wait()


asyncio.run(main())
