// Step 3 with Express: the user's name in a signed cookie, the counter in Redis.
import cookieSession from 'cookie-session';
import express from 'express';
import { createClient } from 'redis';

import { escape, page } from './page.mjs';
import { inProcesses } from './processes.mjs';

await inProcesses(async ({ host, port }) => {
  const redis = await createClient({ url: process.env.REDIS_URL }).connect();
  const app = express();
  app.use(cookieSession({ name: 'session', secret: process.env.SECRET_KEY, sameSite: 'lax' }));

  app.get('/', async (request, response) => {
    const { username } = request.session;
    if (!username) {
      return response.send(page('You are not logged in'));
    }
    const [visits] = await Promise.all([
      redis.hIncrBy(`user:${username}`, 'visits', 1),
      redis.expire(`user:${username}`, 10),
    ]);
    response.send(page(`Logged in as ${escape(username)}.<br>\nVisits: ${visits}`));
  });

  app.post('/login', express.urlencoded(), (request, response) => {
    request.session.username = request.body.username;
    response.redirect('/');
  });

  app.listen(port, host);
});
