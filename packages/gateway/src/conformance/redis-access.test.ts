import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startTestRedis } from "@purser/core/testing";
import { Redis } from "ioredis";
import { call, type Gateway, openAgent, startGateways, startProvider } from "./several-gateways.ts";
import { eventually } from "./stand.ts";

/** What the guide tells to give a user. */
const RIGHTS = ["~{acme}:*", "+@read", "+@write", "+@scripting", "+@connection", "+info", "+time"];

/** A server that is reached encrypted, by one user only. A text says why there is none. */
async function startGuarded(context: TestContext): Promise<{ readonly port: number; readonly certificate: string } | string> {
  if (spawnSync("openssl", ["version"]).status !== 0) return "openssl is not installed";
  const directory = await mkdtemp(join(tmpdir(), "purser-tls-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  const [key, certificate] = [join(directory, "key.pem"), join(directory, "certificate.pem")];
  const request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2"];
  spawnSync("openssl", [...request, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]);
  const port = await freePort();
  const files = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate];
  const server = await startTestRedis("redis-server", ["--tls-port", String(port), ...files, "--tls-auth-clients", "no"]);
  if (typeof server === "string") return server;
  context.after(() => server.close());
  const owner = new Redis({ host: "127.0.0.1", port: server.port });
  await owner.acl("SETUSER", "purser", "on", ">hu$h/1", ...RIGHTS);
  await owner.acl("SETUSER", "default", "off");
  owner.disconnect();
  return { port, certificate };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

test("a Redis is used over TLS by a user who may do what the guide says and no more; who it does not let in is told why", async (context) => {
  const guarded = await startGuarded(context);
  if (typeof guarded === "string") return context.skip(`not run: ${guarded}`);
  const { port, certificate } = guarded;
  const provider = await startProvider(context);
  const start = (user: string, env: Readonly<Record<string, string>> = { NODE_EXTRA_CA_CERTS: certificate }, protocol = "rediss") =>
    startGateways(context, {
      redis: [`${protocol}://${user}@127.0.0.1:${port}`],
      provider: provider.url,
      budgets: "[{ name: all, limits: [3 requests, $9000], ladder: { 50%: tell hook } }]",
      channels: '{ hook: { kind: webhook, url: "http://127.0.0.1:9/" } }',
      count: 1,
      env,
    });
  const [gateway] = (await start("purser:hu%24h%2F1")) as [Gateway];
  const agent = openAgent(context);
  const statuses: (number | undefined)[] = [];
  for (let i = 0; i < 4; i++) statuses.push((await call(agent, gateway, "ann"))?.status);
  assert.deepEqual(statuses, [200, 200, 200, 402]);
  await eventually("the notice to be tried", async () => {
    const { data } = (await (await fetch(`${gateway.url}/api/deliveries`)).json()) as { data?: readonly unknown[] };
    return (data?.length ?? 0) > 0 || undefined;
  });

  await assert.rejects(start("purser:wrong"), /WRONGPASS/);
  await assert.rejects(start("purser:hu%24h%2F1", {}), /cannot be used: .*self-signed certificate/);
});
