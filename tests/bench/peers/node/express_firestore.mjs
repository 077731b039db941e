// Step 4 with Express and the official Firestore client.
import { randomUUID } from 'node:crypto';

import { Firestore, Timestamp } from '@google-cloud/firestore';
import express from 'express';

import { page } from './page.mjs';
import { inProcesses } from './processes.mjs';

const GREETINGS = ['Hello World', 'Hallo Welt', 'Ciao Mondo', 'Salut le Monde', 'Hola Mundo'];
const LIFETIME_MS = 14 * 24 * 60 * 60 * 1000;

const cookieOf = (request) => /(?:^|; )session_id=([^;]*)/.exec(request.headers.cookie ?? '')?.[1];

await inProcesses(async ({ host, port }) => {
  const firestore = new Firestore();
  const sessions = firestore.collection('sessions');
  const app = express();

  const visit = (id) =>
    firestore.runTransaction(async (transaction) => {
      const document = await transaction.get(sessions.doc(id));
      const greeting =
        document.get('greeting') ?? GREETINGS[Math.floor(Math.random() * GREETINGS.length)];
      const views = (document.get('views') ?? 0) + 1;
      const expireAt = Timestamp.fromMillis(Date.now() + LIFETIME_MS);
      transaction.set(sessions.doc(id), { greeting, views, expireAt }, { merge: true });
      return { greeting, views };
    });

  app.get('/', async (request, response) => {
    const id = cookieOf(request) ?? randomUUID();
    const { greeting, views } = await visit(id);
    response.cookie('session_id', id, { httpOnly: true, sameSite: 'lax' });
    response.send(page(`${views} views for "${greeting}"`));
  });

  app.listen(port, host);
});
