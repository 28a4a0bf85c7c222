// Drives a client of npm for tests/end_to_end/test_npm_clients.py: a call a line in, its result a line out, as JSON.
// A call is [names of attributes, arguments]. Run it as: node npm_client.cjs URL PACKAGE SETTINGS
"use strict";

const http = require("node:http");
const https = require("node:https");
const readline = require("node:readline");

const target = new URL(process.argv[2]);

// The clients know Vipps' own hosts alone. What goes there goes to the sandbox; all else of a request stays as it is.
https.request = (options, done) => http.request({ ...options, hostname: target.hostname, port: target.port }, done);
const { fetch } = globalThis;
globalThis.fetch = async (request) => {
  const { pathname, search } = new URL(request.url);
  const body = request.body === null ? undefined : await request.arrayBuffer();
  return fetch(new URL(pathname + search, target), { method: request.method, headers: request.headers, body });
};

const loaded = require(process.argv[3]);
const settings = JSON.parse(process.argv[4]);
const client = loaded.Client ? loaded.Client(settings) : new loaded.default(settings);

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [names, given] = JSON.parse(line);
    const last = names.pop();
    let said;
    try {
      said = { result: await names.reduce((owner, name) => owner[name], client)[last](...given) };
    } catch (error) {
      said = { thrown: String(error) };
    }
    console.log(JSON.stringify(said, (_, value) => (value instanceof Error ? { message: value.message } : value)));
  }
})();
