import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import { BodyRoom } from "../body-room.ts";
import { FORMATS, type Format, JSON_HEADERS, type Json, PLAIN_CALL, post } from "./calls.ts";
import { answerChat, chatEvent, type RawProvider, STREAM_HEADERS, startRawProvider } from "./raw-provider.ts";
import { eventually, PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const MODEL = '"model":"m","max_tokens":100';
const MESSAGES = '"messages":[{"role":"user","content":"Ahoy"}]';

/** Bodies that are refused with 400 in both formats, by what is wrong with them. */
const BAD_BODIES: Readonly<Record<string, string | Buffer>> = {
  "nothing at all": "",
  "blanks only": " \n ",
  "no JSON": "hello",
  "an array": `[{${MODEL},${MESSAGES}}]`,
  "a text": '"model"',
  null: "null",
  "JSON that ends too early": `{${MODEL},"messages":[{"role":"user"`,
  "a trailing comma": `{${MODEL},${MESSAGES},}`,
  "a second object behind the first": `{${MODEL},${MESSAGES}}{${MODEL},${MESSAGES}}`,
  "single quotes": `{'model':'m'}`,
  "a comment": `{${MODEL},/* x */${MESSAGES}}`,
  NaN: `{"model":"m","max_tokens":NaN,${MESSAGES}}`,
  "a byte order mark": `\ufeff{${MODEL},${MESSAGES}}`,
  "bytes that are no UTF-8": Buffer.from(`{${MODEL},"messages":[{"role":"user","content":"\xff\xfe"}]}`, "latin1"),
  "UTF-16": Buffer.from(`{${MODEL},${MESSAGES}}`, "utf16le"),
  "metadata without end": `{${MODEL},${MESSAGES},"metadata":{${Array.from({ length: 1_000 }, (_, i) => `"k${i}":"v"`).join(",")}}}`,
  "a NUL between fields": `{${MODEL},\u0000${MESSAGES}}`,
  "the model twice": `{${MODEL},${MESSAGES},"model":"m2"}`,
  "the cap twice": `{${MODEL},"max_tokens":1,${MESSAGES}}`,
  "the cap twice, once spelled with escapes": `{${MODEL},"max\\u005ftokens":1,${MESSAGES}}`,
  "the messages twice": `{${MODEL},${MESSAGES},${MESSAGES}}`,
  "60,000 brackets": `{${MODEL},"messages":${"[".repeat(30_000)}${"]".repeat(30_000)}}`,
  "60,000 brackets that are never closed": `{${MODEL},"messages":${"[".repeat(60_000)}`,
  "no model": `{"max_tokens":100,${MESSAGES}}`,
  "a model that is no text": `{"model":{"name":"m"},"max_tokens":100,${MESSAGES}}`,
  "a model without a name": `{"model":"","max_tokens":100,${MESSAGES}}`,
  "a model with a name without end": `{"model":"${"m".repeat(5_000)}","max_tokens":100,${MESSAGES}}`,
  "no messages": `{${MODEL}}`,
  "an empty list of messages": `{${MODEL},"messages":[]}`,
  "messages that are a text": `{${MODEL},"messages":"Ahoy"}`,
  "messages that are an object": `{${MODEL},"messages":{"0":{"role":"user","content":"Ahoy"},"length":1}}`,
  "messages that are null": `{${MODEL},"messages":null}`,
  "a cap below zero": `{"model":"m","max_tokens":-1,${MESSAGES}}`,
  "a cap of zero": `{"model":"m","max_tokens":0,${MESSAGES}}`,
  "a cap that is no whole number": `{"model":"m","max_tokens":1.5,${MESSAGES}}`,
  "a cap that is a text": `{"model":"m","max_tokens":"100",${MESSAGES}}`,
  "a cap beyond all numbers": `{"model":"m","max_tokens":1e400,${MESSAGES}}`,
  "a cap of a billion": `{"model":"m","max_tokens":1000000000,${MESSAGES}}`,
  "a cap that is a list": `{"model":"m","max_tokens":[100],${MESSAGES}}`,
  "a stream that is a text": `{${MODEL},${MESSAGES},"stream":"true"}`,
  "a stream that is a number": `{${MODEL},${MESSAGES},"stream":1}`,
  "tools that are an object": `{${MODEL},${MESSAGES},"tools":{}}`,
  "metadata that is a list": `{${MODEL},${MESSAGES},"metadata":[]}`,
  "another address to send it to": `{${MODEL},${MESSAGES},"api_base":"http://169.254.169.254/latest"}`,
  "another address, in other words": `{${MODEL},${MESSAGES},"base_url":"http://evil.test"}`,
  "another key to send it with": `{${MODEL},${MESSAGES},"api_key":"sk-other"}`,
  "another address, spelled with escapes": `{${MODEL},${MESSAGES},"api\\u005fbase":"http://evil.test"}`,
};

/** Those that only one of the formats has a word for. */
const BAD_CHATS: Readonly<Record<string, string>> = {
  "two caps": `{${MODEL},"max_completion_tokens":50,${MESSAGES}}`,
  "a cap below zero, by its new name": `{"model":"m","max_completion_tokens":-5,${MESSAGES}}`,
  "no answers": `{${MODEL},${MESSAGES},"n":0}`,
  "129 answers": `{${MODEL},${MESSAGES},"n":129}`,
  "minus one answer": `{${MODEL},${MESSAGES},"n":-1}`,
  "half an answer": `{${MODEL},${MESSAGES},"n":0.5}`,
  "a number of answers that is a text": `{${MODEL},${MESSAGES},"n":"2"}`,
  "options of the stream that are a text": `{${MODEL},${MESSAGES},"stream_options":"usage"}`,
  "a wish for usage that is a text": `{${MODEL},${MESSAGES},"stream":true,"stream_options":{"include_usage":"yes"}}`,
  "functions that are an object": `{${MODEL},${MESSAGES},"functions":{}}`,
  "a user that is a number": `{${MODEL},${MESSAGES},"user":7}`,
  "a safety identifier that is an object": `{${MODEL},${MESSAGES},"safety_identifier":{}}`,
  "a service tier that is a list": `{${MODEL},${MESSAGES},"service_tier":["priority"]}`,
};

const BAD_MESSAGES: Readonly<Record<string, string>> = {
  "no cap": `{"model":"m",${MESSAGES}}`,
  "thinking that is a text": `{${MODEL},${MESSAGES},"thinking":"a lot"}`,
  "a thinking budget below zero": `{${MODEL},${MESSAGES},"thinking":{"type":"enabled","budget_tokens":-1000000}}`,
  "a thinking budget that is no whole number": `{${MODEL},${MESSAGES},"thinking":{"type":"enabled","budget_tokens":50.5}}`,
  "a thinking budget that is a text": `{${MODEL},${MESSAGES},"thinking":{"type":"enabled","budget_tokens":"50"}}`,
  "fewer than no searches": `{${MODEL},${MESSAGES},"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":-1000000}]}`,
  "half a search": `{${MODEL},${MESSAGES},"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":0.5}]}`,
  "a speed that is a number": `{${MODEL},${MESSAGES},"speed":2}`,
};

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
}

async function startScene(context: TestContext, budgets = "[{ name: all, limits: [$10] }]"): Promise<Scene> {
  const provider = await startRawProvider(context);
  const config = `${providersAt(provider.url)}\n${PRICES}\nbudgets: ${budgets}`;
  return { provider, stand: await startStand(context, { config, server: `, max_body: 64 KiB`, requestTimeoutMs: 300 }) };
}

/** A refusal in the words of the format, for good, and of the caller's own making. */
function checkRefusal({ name }: Format, status: number, json: Json, expected: number): void {
  assert.equal(status, expected);
  assert.equal(typeof json?.error?.message, "string");
  if (name === "anthropic") {
    assert.equal(json.type, "error");
    assert.match(json.request_id, /^req_/);
  } else {
    assert.ok("code" in json.error && "param" in json.error);
  }
  assert.match(json.error.type, /_error$|^request_too_large$/);
}

/** Whatever came before: the next call works, is the only one that the provider saw, and the books are right. */
async function checkAlive({ stand, provider }: Scene, calls = 1): Promise<void> {
  for (const { path } of FORMATS) assert.equal((await post(stand.url + path, PLAIN_CALL)).status, 200);
  assert.equal(provider.received.length, calls + FORMATS.length - 1);
  await stand.checkBooks();
  assert.deepEqual(stand.notices, [], "nothing that an operator has to look at");
}

/** Writes bytes to a connection of its own and returns all that comes back until it is closed, or until `enough`. */
function exchange({ port }: Stand, bytes: string | Buffer, enough: RegExp = /$^/): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (enough.test(text)) socket.destroy();
    });
    socket.on("close", () => resolve(text));
    // A server may close while bytes are still on their way to it; what it said before counts.
    socket.on("error", (error: NodeJS.ErrnoException) =>
      error.code === "ECONNRESET" || error.code === "EPIPE" ? undefined : reject(error),
    );
    socket.write(bytes);
  });
}

describe("bodies that are not right", () => {
  for (const format of FORMATS) {
    test(`${format.name}: each is refused in this format, reaches nobody, and leaves no trace`, async (context) => {
      const scene = await startScene(context);
      const bodies = { ...BAD_BODIES, ...(format.name === "openai" ? BAD_CHATS : BAD_MESSAGES) };
      for (const [what, body] of Object.entries(bodies)) {
        await context.test(what, async () => {
          const response = await fetch(scene.stand.url + format.path, { method: "POST", headers: JSON_HEADERS, body });
          checkRefusal(format, response.status, await response.json(), 400);
          assert.equal(response.headers.get("x-should-retry"), "false");
        });
      }
      assert.deepEqual(await scene.stand.ledger("reserved", "denied", "settled"), []);
      await checkAlive(scene);
    });

    test(`${format.name}: a body beyond the limit is refused, declared or not, without being read to its end`, async (context) => {
      const scene = await startScene(context);
      const head = `POST ${format.path} HTTP/1.1\r\nhost: localhost\r\n`;
      const declared = await exchange(scene.stand, `${head}content-length: 10000000000\r\n\r\n{"model":`, /\}$/);
      assert.match(declared, /^HTTP\/1\.1 413 /);
      assert.match(declared, /10,000,000,000 bytes or more, and this server takes at most 65,536/);
      const chunk = `4000\r\n${"x".repeat(0x4000)}\r\n`;
      const chunked = await exchange(scene.stand, `${head}transfer-encoding: chunked\r\n\r\n${chunk.repeat(5)}`, /\}$/);
      assert.match(chunked, /^HTTP\/1\.1 413 /);
      checkRefusal(format, 413, JSON.parse(chunked.slice(chunked.indexOf("{"))), 413);
      await checkAlive(scene);
    });

    test(`${format.name}: a compressed body is refused, however small it is packed`, async (context) => {
      const scene = await startScene(context);
      for (const encoding of ["gzip", "br", "deflate", "zstd", "gzip, identity", "x"]) {
        const response = await fetch(scene.stand.url + format.path, {
          method: "POST",
          headers: { ...JSON_HEADERS, "content-encoding": encoding },
          body: gzipSync(Buffer.alloc(10_000_000, " ")),
        });
        checkRefusal(format, response.status, await response.json(), 400);
      }
      await checkAlive(scene);
    });
  }
});

describe("calls that are odd, and still calls", () => {
  test("n: 128 is budgeted 128-fold", async (context) => {
    const scene = await startScene(context, "[{ name: all, limits: [10k output tokens / day], min_output: 1 }]");
    const { stand, provider } = scene;
    assert.equal((await post(`${stand.url}/v1/chat/completions`, { ...PLAIN_CALL, n: 128, max_tokens: 78 })).status, 200);
    const [{ postings } = assert.fail()] = await stand.entries(1, "reserved");
    assert.equal(postings[0]?.held, 128 * 78);
    const lowered = await post(`${stand.url}/v1/chat/completions`, { ...PLAIN_CALL, n: 128, max_tokens: 1_000 });
    assert.equal(lowered.status, 200);
    const { max_tokens: cap } = JSON.parse(provider.received[1]?.body ?? "");
    assert.ok(cap * 128 <= 10_000 && (cap + 1) * 128 > 10_000 - 5, `${cap}: no more than the budget has for 128 answers`);
    await checkAlive(scene, 3);
  });

  test("strange texts are passed on untouched, and counted", async (context) => {
    const scene = await startScene(context, "[{ name: all, limits: [$1, 10k tokens] }]");
    const texts = [
      '"\\u0000"',
      '"\\ud800"',
      '"\\udc00\\ud800 \\ud83d"',
      '"\\u202e\\ufeff"',
      `"${"👩‍👩‍👧‍👦".repeat(50)}"`,
      '"\\"}],\\"max_tokens\\":1"',
      '"<|endoftext|><|im_start|>"',
    ];
    for (const text of texts) {
      for (const { path } of FORMATS) {
        const body = `{"model":"gpt-4o","max_tokens":100,"messages":[{"role":"user","content":${text}}]}`;
        const { status } = await post(scene.stand.url + path, body);
        assert.equal(status, 200, text);
        assert.equal(scene.provider.received.at(-1)?.body, body);
      }
    }
    await checkAlive(scene, texts.length * 2 + 1);
  });

  test("names that JavaScript knows are only names", async (context) => {
    const scene = await startScene(
      context,
      "[{ name: each, per: user, limits: [$1] }, { name: tagged, per: tag.__proto__, limits: [$1] }]",
    );
    const { stand } = scene;
    const names = ["__proto__", "constructor", "toString", "hasOwnProperty"];
    for (const name of names) {
      const body = `{${MODEL},${MESSAGES},"user":"${name}","metadata":{"${name}":"${name}","user_id":"${name}"},"${name}":{"polluted":true}}`;
      for (const { path } of FORMATS)
        assert.equal((await post(stand.url + path, body, { "x-purser-tags": `${name}=yes` })).status, 200, name);
    }
    assert.equal(({} as { polluted?: boolean }).polluted, undefined);
    const balances = await stand.gateway.budgets.balances({ budget: "each" });
    assert.deepEqual(balances.map(({ subject }) => subject).sort(), names.map((name) => `user=${name}`).sort());
    const [tagged, ...others] = await stand.gateway.budgets.balances({ budget: "tagged" });
    assert.deepEqual([tagged?.subject, others], ["tag.__proto__=yes", []]);
    await checkAlive(scene, names.length * 2 + 1);
  });

  test("users that differ keep balances that differ, whatever is in their names", async (context) => {
    const scene = await startScene(context, "[{ name: each, per: [user, feature], limits: [100 requests] }]");
    const users = ["a", "a,feature=b", "A", "%2C", ",", "=", "|", "(none)", "\\ud800", "\\udfff", "é", "e\\u0301"];
    for (const user of users) {
      const body = `{${MODEL},${MESSAGES},"user":"${user}"}`;
      assert.equal((await post(`${scene.stand.url}/v1/chat/completions`, body)).status, 200, user);
    }
    const balances = await scene.stand.gateway.budgets.balances();
    assert.deepEqual(
      balances.map(({ spent }) => spent),
      users.map(() => 1),
    );
    await checkAlive(scene, users.length + 1);
  });
});

describe("headers and addresses", () => {
  let shared: Scene;
  let ended: () => Promise<void>;
  before(async () => {
    const endings: (() => unknown)[] = [];
    shared = await startScene({ after: (end: () => unknown) => endings.push(end) } as unknown as TestContext);
    ended = async () => {
      for (const end of endings.reverse()) await end();
    };
  });
  after(() => ended());

  const BODY = JSON.stringify(PLAIN_CALL);
  const whole = (target: string, headers = "", method = "POST") =>
    `${method} ${target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${headers}content-length: ${BODY.length}\r\n\r\n${BODY}`;

  const refused: Readonly<Record<string, readonly [bytes: string, status: number]>> = {
    "a path that climbs": [whole("/v1/../api/keys"), 404],
    "a path that climbs, encoded": [whole("/v1/%2e%2e/api/keys"), 404],
    "a path that climbs to the calls": [whole("/x/../v1/chat/completions"), 404],
    "two slashes": [whole("//v1/chat/completions"), 404],
    "a slash at the end": [whole("/v1/chat/completions/"), 404],
    "an encoded slash": [whole("/v1%2fchat/completions"), 404],
    "a path in capitals": [whole("/V1/CHAT/COMPLETIONS"), 404],
    "a NUL in the path": [whole("/v1/chat/completions%00"), 404],
    "an address of another server": [whole("http://evil.test/v1/chat/completions"), 404],
    "a route that is not metered": [whole("/v1/fine_tuning/jobs"), 404],
    "a method that no call has": [whole("/v1/chat/completions", "", "PUT"), 404],
    "a deletion": [whole("/v1/messages", "", "DELETE"), 404],
    "a look at a call": [whole("/v1/messages", "", "GET"), 404],
    "a method that nobody knows": [whole("/v1/chat/completions", "", "BREW"), 400],
    "a question before a call": [whole("/v1/chat/completions", "", "OPTIONS"), 404],
    "two lengths": [whole("/v1/chat/completions", "content-length: 5\r\n"), 400],
    "a length and chunks": [whole("/v1/chat/completions", "transfer-encoding: chunked\r\n"), 400],
    "chunks that are not the last coding": [whole("/v1/chat/completions", "transfer-encoding: chunked, gzip\r\n"), 400],
    "a length below zero": ["POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n", 400],
    "bare line feeds": [`POST /v1/messages HTTP/1.1\nhost: localhost\ncontent-length: ${BODY.length}\n\n${BODY}`, 400],
    "a header on two lines": [whole("/v1/chat/completions", "x-a: 1\r\n x-b: 2\r\n"), 400],
    "a space before the colon": [whole("/v1/chat/completions", "content-length : 5\r\n"), 400],
    "a control character in a header": [whole("/v1/chat/completions", "x-a: a\u0000b\r\n"), 400],
    "a header of 256 kB": [whole("/v1/chat/completions", `x-a: ${"a".repeat(256 * 1024)}\r\n`), 431],
    "10,000 headers": [whole("/v1/chat/completions", "x-a: b\r\n".repeat(10_000)), 431],
    "no HTTP": ["\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003", 400],
    "HTTP of another kind": ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
    "a name that is not this machine's": [whole("/v1/messages").replace("localhost", "evil.test"), 401],
    "a name that begins like this machine's": [whole("/v1/messages").replace("localhost", "localhost.evil.test"), 401],
    "two names": [whole("/v1/messages", "host: evil.test\r\n"), 400],
    "no name": [whole("/v1/messages").replace("host: localhost\r\n", ""), 400],
    "a page of another site": [whole("/v1/messages", "origin: https://evil.test\r\ncontent-type: text/plain\r\n"), 401],
    "a page of another site that has a key in the address": [whole("/v1/messages?key=x", "sec-fetch-site: cross-site\r\n"), 401],
    "an attribute with a control character": [whole("/v1/messages", "x-purser-user: a\tb\r\n"), 403],
    "an attribute without end": [whole("/v1/messages", `x-purser-user: ${"a".repeat(300)}\r\n`), 403],
    "tags that are none": [whole("/v1/messages", "x-purser-tags: a b c\r\n"), 403],
    "tags without end": [whole("/v1/messages", `x-purser-tags: ${Array.from({ length: 40 }, (_, i) => `t${i}=1`)}\r\n`), 403],
    "a socket instead of a call": [whole("/v1/chat/completions", "upgrade: websocket\r\n").replace("close", "upgrade"), 426],
  };

  for (const [what, [bytes, status]] of Object.entries(refused)) {
    test(`${what}: ${status}`, async () => {
      const { stand, provider } = shared;
      const answer = await exchange(stand, Buffer.from(bytes, "latin1"), /\}\n?$/);
      assert.equal(answer.slice(0, 13), `HTTP/1.1 ${status} `, answer);
      assert.equal(answer.match(/HTTP\/1\.1 /g)?.length, 1, "one request, one answer");
      if (answer.includes("{")) {
        const json = JSON.parse(answer.slice(answer.indexOf("{")));
        assert.equal(typeof json.error.message, "string");
        if (/ \/v1\/messages/.test(bytes.slice(0, 40))) assert.equal(json.type, "error");
      }
      assert.equal(provider.received.length, 0);
    });
  }

  test("a request that never ends is cut", async () => {
    const { stand } = shared;
    for (const bytes of [
      "POST /v1/messages HTT",
      "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-",
      `${whole("/v1/messages").slice(0, -5)}`,
    ]) {
      const answer = await exchange(stand, bytes);
      assert.match(answer, /^HTTP\/1\.1 408 .*"error":/s);
    }
  });

  test("a client that offers HTTP/2 with its call is answered in HTTP/1.1", async () => {
    const { stand, provider } = shared;
    const offered = whole("/v1/chat/completions", "upgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n");
    const answer = await exchange(stand, offered.replace("connection: close", "connection: Upgrade, HTTP2-Settings"), /\}$/);
    assert.match(answer, /^HTTP\/1\.1 200 .*Aye/s);
    const { headers } = provider.received.at(-1) ?? assert.fail();
    assert.deepEqual([headers.upgrade, headers["http2-settings"]], [undefined, undefined]);
  });

  test("after all of this the server lives, and its books are right", async () => {
    await checkAlive(shared, 2);
  });
});

describe("callers who want to be somebody else", () => {
  test("a key says who calls, and headers and bodies change nothing that it does not allow", async (context) => {
    const scene = await startScene(context, "[{ name: crew, per: team, limits: [$1] }]");
    const { stand, provider } = scene;
    const { secret } = await stand.gateway.keys.create({
      name: "deck",
      attributes: { team: "deck", "tag.ship": "ann" } as never,
      maySet: ["user"],
    });
    const bearer = { authorization: `Bearer ${secret}` };
    const spoofs: readonly Record<string, string>[] = [
      { "x-purser-team": "officers" },
      { "X-Purser-Team": "Officers" },
      { "x-purser-tier": "gold" },
      { "x-purser-org": "other" },
      { "x-purser-tags": "cost-center=other" },
    ];
    for (const format of FORMATS) {
      for (const spoof of spoofs) {
        const { status, json } = await post(stand.url + format.path, PLAIN_CALL, { ...bearer, ...spoof });
        checkRefusal(format, status, json, 403);
      }
      for (const credential of [
        {},
        { authorization: "Bearer pk-wrong" },
        { authorization: `Basic ${secret}` },
        { "x-api-key": `${secret}x` },
      ]) {
        const { status, json } = await post(stand.url + format.path, PLAIN_CALL, credential as Record<string, string>);
        checkRefusal(format, status, json, 401);
      }
    }
    assert.equal(provider.received.length, 0);
    const quiet = { ...bearer, "x-purser-user": "ann", baggage: "purser.team=officers,purser.user=bob" };
    const body = { ...PLAIN_CALL, user: "carl", metadata: { team: "officers" } };
    assert.equal((await post(`${stand.url}/v1/chat/completions`, body, quiet)).status, 200);
    const [reserved] = await stand.entries(1, "reserved");
    const { team, user, tags } = reserved?.detail.subject ?? assert.fail();
    assert.deepEqual([team, user], ["deck", "ann"]);
    assert.equal(tags?.team, undefined);
    await stand.checkBooks();
  });

  test("what belongs to the connection, to us or to the provider's account is the gateway's to say", async (context) => {
    const provider = await startRawProvider(context);
    const stand = await startStand(context, {
      config: `${providersAt(provider.url, ", headers: { OpenAI-Organization: org-ours }")}\n${PRICES}`,
    });
    const { status } = await post(`${stand.url}/v1/chat/completions?key=sk-theirs&beta=true&fields=choices&%24alt=media`, PLAIN_CALL, {
      authorization: "Bearer sk-theirs",
      "x-api-key": "sk-theirs",
      "api-key": "sk-theirs",
      cookie: "session=1",
      "openai-organization": "org-theirs",
      "x-forwarded-for": "10.0.0.1",
      "x-purser-user": "ann",
      "x-stainless-lang": "js",
      "x-goog-fieldmask": "choices",
      "if-none-match": "*",
      "accept-encoding": "gzip",
    });
    assert.equal(status, 200);
    const { url, rawHeaders, headers } = provider.received[0] ?? assert.fail();
    assert.equal(url, "/v1/chat/completions?beta=true");
    assert.doesNotMatch(rawHeaders.join("\n"), /theirs|cookie|session=1|10\.0\.0\.1|x-purser|gzip|fieldmask|if-none-match/i);
    assert.deepEqual([headers["openai-organization"], headers.authorization], ["org-ours", "Bearer provider-secret"]);
    assert.equal(headers["x-stainless-lang"], "js");
  });

  test("bodies have only so much room in memory, and it is free again when their answers are over", async (context) => {
    const provider = await startRawProvider(context);
    const bodies = new BodyRoom(1_000_000);
    const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}`, bodies });
    const large = { ...PLAIN_CALL, messages: [{ role: "user", content: "a".repeat(700_000) }] };
    let finish = () => {};
    provider.answer = (response, received) => {
      finish = () => void answerChat()(response, received);
    };
    const first = post(`${stand.url}/v1/chat/completions`, large);
    await eventually("the first call", () => provider.received[0]);
    const second = await post(`${stand.url}/v1/chat/completions`, large);
    assert.deepEqual([second.status, second.headers.get("retry-after"), second.json.error.code], [429, "1", "rate_limit_exceeded"]);
    finish();
    assert.equal((await first).status, 200);
    provider.answer = answerChat();
    await eventually(
      "the room to be free",
      async () => (await post(`${stand.url}/v1/chat/completions`, large)).status === 200 || undefined,
    );
  });

  test("garbage behind a call does not get into an answer that has begun", async (context) => {
    const scene = await startScene(context);
    const { stand, provider } = scene;
    const { answer } = provider;
    provider.answer = (response) => {
      provider.answer = answer;
      response.writeHead(200, STREAM_HEADERS).write(chatEvent("Aye."));
    };
    const body = JSON.stringify({ ...PLAIN_CALL, stream: true });
    const socket = connect(stand.port, "127.0.0.1");
    let text = "";
    socket.on("data", (chunk) => {
      // The answer has begun: now comes what is no request.
      if (text === "") socket.write("GARBAGE\r\n\r\n");
      text += chunk;
    });
    const closed = new Promise((resolve) => socket.on("error", () => {}).on("close", resolve));
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    await closed;
    assert.match(text, /Aye\./);
    assert.doesNotMatch(text, /no valid HTTP/);
    await stand.entries(1, "settled");
    await checkAlive(scene, 2);
  });
});
