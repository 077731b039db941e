// Step 3 with Fastify: the user's name in a signed cookie, the counter in Redis.
import cookie from '@fastify/cookie';
import Fastify from 'fastify';
import { Redis } from 'ioredis';

import { escape, page } from './page.mjs';
import { inProcesses } from './processes.mjs';

await inProcesses(async ({ host, port }) => {
  const redis = new Redis(process.env.REDIS_URL, { enableAutoPipelining: true });
  const app = Fastify();
  await app.register(cookie, { secret: process.env.SECRET_KEY });
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    async (request, body) => new URLSearchParams(body),
  );

  app.get('/', async (request, reply) => {
    reply.type('text/html; charset=utf-8');
    const { valid, value: username } = request.unsignCookie(request.cookies.session ?? '');
    if (!valid) {
      return page('You are not logged in');
    }
    const [visits] = await Promise.all([
      redis.hincrby(`user:${username}`, 'visits', 1),
      redis.expire(`user:${username}`, 10),
    ]);
    return page(`Logged in as ${escape(username)}.<br>\nVisits: ${visits}`);
  });

  app.post('/login', async (request, reply) => {
    const options = { signed: true, httpOnly: true, sameSite: 'lax', path: '/' };
    return reply.setCookie('session', request.body.get('username'), options).redirect('/');
  });

  await app.listen({ host, port });
});
