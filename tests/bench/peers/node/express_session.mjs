// Step 3 with express-session: the user's name in a session that connect-redis keeps.
import { RedisStore } from 'connect-redis';
import express from 'express';
import session from 'express-session';
import { createClient } from 'redis';

import { escape, page } from './page.mjs';
import { inProcesses } from './processes.mjs';

await inProcesses(async ({ host, port }) => {
  const redis = await createClient({ url: process.env.REDIS_URL }).connect();
  const app = express();
  app.use(
    session({
      store: new RedisStore({ client: redis }),
      secret: process.env.SECRET_KEY,
      resave: false,
      saveUninitialized: false,
    }),
  );

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
