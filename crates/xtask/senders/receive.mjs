// Receivers verify what the program delivers, with their own libraries for Node.js: each delivery as it is, which must be
// taken, and with one byte altered, which must not. Reads {port, ops, secrets} and prints a line of JSON per library.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Webhook as StandardWebhooks } from 'standardwebhooks';
import { Webhook as Svix } from 'svix';

const { port, ops, secrets } = JSON.parse(readFileSync(0, 'utf8'));
const DATA = [
  '{"id":"evt_1","amount":10.10,"big":123456789012345678901234567890}',
  '{ "text": "Zo\\u00eb \u2014 \u65e5\u672c\u8a9e \ud83d\ude00", "list": [1, 2.50, null, true] }',
  `{"long":"${'x'.repeat(100_000)}"}`,
];

const throws = (verify) => {
  try {
    verify();
    return false;
  } catch {
    return true;
  }
};
const plain = (secret, header) => (body, headers) => {
  const expected = Buffer.from(createHmac('sha256', secret).update(body).digest('hex'));
  if (!timingSafeEqual(expected, Buffer.from(headers[header]))) throw new Error('no');
};
const version = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8')).version;
const LIBRARIES = secrets.flatMap((secret, n) => [
  {
    library: `standardwebhooks ${version('standardwebhooks')}, secret ${n + 1}`,
    verify: (body, headers) => new StandardWebhooks(secret).verify(body, headers),
  },
  {
    library: `svix ${version('svix')}, secret ${n + 1}`,
    verify: (body, headers) => new Svix(secret).verify(body, headers),
  },
  {
    library: `node:crypto, secret ${n + 1}`,
    verify: plain(secret, n === 0 ? 'x-signature' : `x-signature-${n + 1}`),
  },
]);

const rows = LIBRARIES.map(({ library }) => ({
  flow: 'delivery', library, requests: 0, accepted: 0, refused: 0, wrong: [],
}));
let left = DATA.length;
const server = createServer(async (incoming, answer) => {
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const altered = Buffer.from(body);
  altered[Math.floor(body.length / 2)] ^= 1;
  LIBRARIES.forEach(({ verify }, n) => {
    rows[n].requests += 1;
    rows[n].accepted += throws(() => verify(body.toString(), incoming.headers)) ? 0 : 1;
    rows[n].refused += throws(() => verify(altered.toString(), incoming.headers)) ? 1 : 0;
  });
  answer.writeHead(204).end();
  left -= 1;
  if (left === 0) {
    rows.forEach((row) => console.log(JSON.stringify(row)));
    process.exit(0);
  }
});
server.listen(port, '127.0.0.1', async () => {
  for (const data of DATA) {
    const body = `{"event":"node.delivered","data":${data}}`;
    const taken = await fetch(`http://${ops}/api/events`, { method: 'POST', body });
    if (taken.status !== 202) throw new Error(`the event was not taken: ${taken.status}`);
  }
});
setTimeout(() => process.exit(1), 60_000);
