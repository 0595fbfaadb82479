// An SMTP server that greets at once. smtp-server holds its greeting back for 100 ms, to catch clients that talk too soon: good on port 25, a
// tenth of a second per session for nothing on the loopback. Its timer can't be set, so the connection is made ready at once and the
// timer's call finds that done.
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { SMTPServer } from 'smtp-server';

export class PromptServer extends SMTPServer {
  override connect(socket: Socket | TLSSocket, options?: Parameters<SMTPServer['connect']>[1]): void {
    const before = new Set(this.connections);
    super.connect(socket, options);
    for (const connection of this.connections) {
      if (before.has(connection)) continue;
      const ready = connection.connectionReady.bind(connection);
      connection.connectionReady = () => undefined;
      ready();
    }
  }
}
