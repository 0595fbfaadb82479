/** The bare chain's first process: Express takes the JSON, grpc-js carries it on. No checks of any kind. */
import { credentials, makeGenericClientConstructor } from '@grpc/grpc-js';
import express from 'express';
import { storeService } from './wire.ts';

interface StoreClient {
  accept(request: Buffer, callback: (error: Error | null, response: Buffer) => void): void;
}

const Client = makeGenericClientConstructor(storeService, 'Store');
const store = new Client(`unix:${process.argv[2]}`, credentials.createInsecure()) as unknown as StoreClient;

const app = express();
app.disable('x-powered-by');
app.use(express.json({ limit: '1mb' }));
app.post('/v1/messages', (request, response) => {
  store.accept(Buffer.from(JSON.stringify(request.body)), (error, answer) => {
    if (error) response.status(503).json({ error: error.message });
    else response.status(202).type('application/json').send(answer);
  });
});
const server = app.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as { port: number }).port }));
process.once('disconnect', () => process.exit(0));
