// Senders' own libraries for Node.js sign requests and send them: each as it is, which must be accepted, and with one
// byte of it altered, which must be refused. Reads {address, base_url, secrets} and prints a line of JSON per library.

import '@shopify/shopify-api/adapters/node';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { signRequest } from '@contentful/node-apps-toolkit';
import { Webhooks as GitHub } from '@octokit/webhooks';
import { createSHA256HMAC } from '@shopify/shopify-api/runtime';
import { WorkOS } from '@workos-inc/node';
import { Webhook as StandardWebhooks } from 'standardwebhooks';
import { Webhook as Svix } from 'svix';

// Those that a module cannot import by name.
const require = createRequire(import.meta.url);
const { encodeSignatureHeader } = require('@sanity/webhook');
const { hmacValidator: Adyen } = require('@adyen/api-library');
const { Signature: HubSpot } = require('@hubspot/api-client');
const { BraintreeGateway, Environment } = require('braintree');
const twilio = require('twilio/lib/webhooks/webhooks');
const Stripe = require('stripe');

const { address, base_url, secrets } = JSON.parse(readFileSync(0, 'utf8'));
const agent = new Agent({ keepAlive: true, maxSockets: 8 });
const now = Date.now();
const seconds = Math.floor(now / 1000);
const JSON_TYPE = { 'Content-Type': 'application/json' };
const FORM_TYPE = { 'Content-Type': 'application/x-www-form-urlencoded' };

// What JSON of strangers is like: escapes, numbers that a float would change, other alphabets, spaces, a line end.
const BODIES = [
  '{"id":"evt_1","type":"order.paid","amount":10.10,"big":123456789012345678901234567890}',
  '{ "text" : "Zo\\u00eb \u2014 \u65e5\u672c\u8a9e \ud83d\ude00", "list": [1, 2.50, null, true], "nested": {"a": {"b": []}} }\n',
  `{"long":"${'x'.repeat(100_000)}"}`,
];
const FORMS = [
  { CallSid: 'CA1', From: '+15551234567', Body: 'Zo\u00eb & co = 100 %' },
  { Body: '', NumMedia: '0', 'Odd.Key': 'a+b' },
];

/** One library: how it is found, and the requests that it signs. */
const LIBRARIES = [
  {
    flow: 'github',
    library: '@octokit/webhooks',
    async *requests(secret) {
      const github = new GitHub({ secret });
      for (const { name, examples } of require('@octokit/webhooks-examples')) {
        for (const example of examples) {
          const body = JSON.stringify(example);
          const signature = await github.sign(body);
          yield { body, headers: { ...JSON_TYPE, 'X-GitHub-Event': name, 'X-Hub-Signature-256': signature } };
        }
      }
    },
  },
  {
    flow: 'stripe',
    library: 'stripe',
    async *requests(secret) {
      const stripe = new Stripe('sk_test_1');
      for (const payload of BODIES) {
        const signature = stripe.webhooks.generateTestHeaderString({ payload, secret });
        yield { body: payload, headers: { ...JSON_TYPE, 'Stripe-Signature': signature } };
      }
    },
  },
  { flow: 'svix', library: 'svix', requests: (secret) => standard(new Svix(secret), 'svix') },
  {
    flow: 'standard-webhooks',
    library: 'standardwebhooks',
    requests: (secret) => standard(new StandardWebhooks(secret), 'webhook'),
  },
  {
    flow: 'twilio-form',
    library: 'twilio',
    async *requests(secret) {
      for (const form of FORMS) {
        const path = '/hook/twilio-form?a=1&b=%20';
        const signature = twilio.getExpectedTwilioSignature(secret, base_url + path, form);
        const body = new URLSearchParams(form).toString();
        yield { path, body, headers: { ...FORM_TYPE, 'X-Twilio-Signature': signature } };
      }
    },
  },
  {
    flow: 'twilio-json',
    library: 'twilio',
    async *requests(secret) {
      for (const body of BODIES) {
        const path = `/hook/twilio-json?bodySHA256=${twilio.getExpectedBodyHash(body)}`;
        const signature = twilio.getExpectedTwilioSignature(secret, base_url + path, {});
        yield { path, body, headers: { ...JSON_TYPE, 'X-Twilio-Signature': signature } };
      }
    },
  },
  {
    flow: 'adyen-platform',
    library: '@adyen/api-library',
    async *requests(secret) {
      for (const body of BODIES) {
        const signature = new Adyen().calculateHmac(body, secret);
        yield { body, headers: { ...JSON_TYPE, HmacSignature: signature } };
      }
    },
  },
  {
    flow: 'adyen-payments',
    library: '@adyen/api-library',
    async *requests(secret) {
      const items = ['7914073381342284', '8515131751004933'].map((pspReference) => {
        const item = {
          pspReference,
          merchantAccountCode: 'AcmeShop',
          merchantReference: 'A-1:2\\3',
          amount: { value: 1130, currency: 'EUR' },
          eventCode: 'AUTHORISATION',
          success: 'true',
          additionalData: {},
        };
        item.additionalData.hmacSignature = new Adyen().calculateHmac(item, secret);
        return { NotificationRequestItem: item };
      });
      const body = JSON.stringify({ live: 'false', notificationItems: items });
      // The signature covers eight fields and not all of the body, so it is one of them that is altered, in the second item.
      const at = Buffer.byteLength(body.slice(0, body.lastIndexOf('EUR')));
      yield { body, at, headers: JSON_TYPE };
    },
  },
  {
    flow: 'contentful',
    library: '@contentful/node-apps-toolkit',
    async *requests(secret) {
      for (const body of BODIES) {
        const path = '/hook/contentful?a=1&b=%20';
        const signed = signRequest(secret, { method: 'POST', path, headers: JSON_TYPE, body }, now);
        yield { path, body, headers: { ...JSON_TYPE, ...signed } };
      }
    },
  },
  {
    flow: 'sanity',
    library: '@sanity/webhook',
    async *requests(secret) {
      for (const body of BODIES) {
        const signature = await encodeSignatureHeader(body, now, secret);
        yield { body, headers: { ...JSON_TYPE, 'sanity-webhook-signature': signature } };
      }
    },
  },
  {
    flow: 'workos',
    library: '@workos-inc/node',
    async *requests(secret) {
      const { webhooks } = new WorkOS('sk_test_1');
      for (const text of BODIES) {
        // It signs an object as JavaScript writes it.
        const payload = JSON.parse(text);
        const signature = await webhooks.computeSignature(now, payload, secret);
        const header = `t=${now}, v1=${signature}`;
        yield { body: JSON.stringify(payload), headers: { ...JSON_TYPE, 'WorkOS-Signature': header } };
      }
    },
  },
  ...['v1', 'v2', 'v3'].map((version) => ({
    flow: `hubspot-${version}`,
    library: '@hubspot/api-client',
    async *requests(secret) {
      for (const body of BODIES) {
        const path = `/hook/hubspot-${version}?a=1`;
        const timestamp = `${now}`;
        const options = { clientSecret: secret, requestBody: body, url: base_url + path, timestamp };
        const signature = HubSpot.getSignature('POST', version, options);
        const headers =
          version === 'v3'
            ? { 'X-HubSpot-Signature-v3': signature, 'X-HubSpot-Request-Timestamp': timestamp }
            : { 'X-HubSpot-Signature': signature, 'X-HubSpot-Signature-Version': version };
        yield { path, body, headers: { ...JSON_TYPE, ...headers } };
      }
    },
  })),
  {
    flow: 'shopify',
    library: '@shopify/shopify-api',
    async *requests(secret) {
      for (const body of BODIES) {
        const signature = await createSHA256HMAC(secret, body);
        yield { body, headers: { ...JSON_TYPE, 'X-Shopify-Hmac-Sha256': signature } };
      }
    },
  },
  {
    flow: 'braintree',
    library: 'braintree',
    async *requests(privateKey) {
      const gateway = new BraintreeGateway({
        environment: Environment.Sandbox,
        merchantId: 'm',
        publicKey: 'public',
        privateKey,
      });
      for (const kind of ['check', 'subscription_went_past_due', 'dispute_opened']) {
        const notification = gateway.webhookTesting.sampleNotification(kind, 'id-1');
        yield { body: new URLSearchParams(notification).toString(), headers: FORM_TYPE };
      }
    },
  },
];

async function* standard(webhook, prefix) {
  for (const [nth, body] of BODIES.entries()) {
    const id = `msg_${nth}`;
    const signature = webhook.sign(id, new Date(now), body);
    const headers = {
      [`${prefix}-id`]: id,
      [`${prefix}-timestamp`]: `${seconds}`,
      [`${prefix}-signature`]: signature,
    };
    yield { body, headers: { ...JSON_TYPE, ...headers } };
  }
}

function send(flow, { path, headers }, body) {
  const url = new URL(path ?? `/hook/${flow}`, `http://${address}`);
  return new Promise((resolve, reject) => {
    const options = { method: 'POST', agent, headers: { ...headers, 'Content-Length': body.length } };
    const sent = request(url, options, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => resolve({ status: answer.statusCode, text: Buffer.concat(parts).toString() }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

function version(library) {
  // Many libraries do not show their package.json to who asks in the usual way.
  return JSON.parse(readFileSync(`node_modules/${library}/package.json`, 'utf8')).version;
}

for (const { flow, library, requests } of LIBRARIES) {
  const row = { flow, library: `${library} ${version(library)}`, requests: 0, accepted: 0, refused: 0, wrong: [] };
  for await (const signed of requests(secrets[flow])) {
    row.requests += 1;
    const body = Buffer.from(signed.body);
    const right = await send(flow, signed, body);
    const by = right.status === 200 ? JSON.parse(right.text).by : undefined;
    if (by === flow) row.accepted += 1;
    else row.wrong.push(`request ${row.requests}: ${right.status} ${right.text}`);
    const altered = Buffer.from(body);
    altered[signed.at ?? Math.floor(body.length / 2)] ^= 1;
    const { status } = await send(flow, signed, altered);
    if (status === 401) row.refused += 1;
    else row.wrong.push(`request ${row.requests}, altered: ${status}`);
  }
  console.log(JSON.stringify(row));
}
agent.destroy();
