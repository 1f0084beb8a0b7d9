// The order hook as one writes it by hand with Express. `cargo xtask bench hand` compares with it.
//
//   node express_door.mjs SECRET sync      answers with three fields of the order
//   node express_door.mjs SECRET durable   answers 202 when the order is on the disk, in ./orders.db
//
// Prints its URL when it listens.
import { createHmac, timingSafeEqual } from 'node:crypto';
import express from 'express';

const [secret, mode] = process.argv.slice(2);
const keep = mode === 'durable' ? await store('orders.db') : null;

const app = express();
app.disable('x-powered-by');
app.disable('etag');
app.post('/hook/door', express.raw({ type: '*/*', limit: '1mb' }), (request, response) => {
  const body = request.body;
  if (!Buffer.isBuffer(body) || !isSigned(body, request.get('x-signature'))) {
    response.status(401).json({ error: 'wrong signature' });
    return;
  }
  let order;
  try {
    order = JSON.parse(body);
  } catch {
    response.status(400).json({ error: 'no JSON' });
    return;
  }
  if (keep) {
    keep(Date.now(), body);
    response.status(202).json({ status: 'queued' });
  } else {
    response.json({ id: order?.id, amount: order?.amount, customer: order?.customer?.name });
  }
});
const server = app.listen(0, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}/hook/door`);
});

function isSigned(body, signature) {
  const right = createHmac('sha256', secret).update(body).digest();
  const given = Buffer.from(signature ?? '', 'hex');
  return given.length === right.length && timingSafeEqual(given, right);
}

// Each call is a commit of its own, which waits for the disk.
async function store(path) {
  const { default: Database } = await import('better-sqlite3');
  const database = new Database(path);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  database.exec('CREATE TABLE orders (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, body BLOB NOT NULL)');
  const insert = database.prepare('INSERT INTO orders (at, body) VALUES (?, ?)');
  return (at, body) => insert.run(at, body);
}
