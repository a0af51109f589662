/** Answers /api/v1 inside Vite's own server, so that the console can be worked on without a service. */
import type { IncomingMessage } from 'node:http';
import type { Plugin } from 'vite';
import { answer } from './answer';

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  return text ? JSON.parse(text) : undefined;
}

export function mockApi(): Plugin {
  return {
    name: 'mock-api',
    configureServer(server) {
      server.middlewares.use('/api/v1', async (request, response) => {
        const url = new URL(request.url ?? '/', 'http://mock');
        const reply = await answer(request.method ?? 'GET', url, await bodyOf(request));
        if (reply.events) {
          response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
          const end = reply.events((event, data) =>
            response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`),
          );
          request.on('close', end);
          return;
        }
        response.writeHead(reply.status ?? 200, { 'Content-Type': 'application/json' });
        response.end(JSON.stringify(reply.body ?? {}));
      });
    },
  };
}
