import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { describe, test } from "node:test";
import { type IdentifyOptions, identify, refine, roleOf } from "./identify.ts";
import type { Key, Keys } from "./key.ts";

const ANN: Key = {
  id: "key_ann",
  name: "ann",
  attributes: { team: "eng", user: "ann" },
  maySet: ["session", "tag.customer"],
  role: "caller",
  createdAt: 0,
  expiresAt: undefined,
};
const OPEN: Key = { ...ANN, id: "key_open", name: "open", attributes: {}, maySet: ["user", "team", "tag.*"], role: "admin" };
const SECRETS: Record<string, Key> = { "pk-ann": ANN, "pk-open": OPEN };
const KEYS: Keys = {
  isEmpty: false,
  find: (secret) => SECRETS[secret],
  create: () => Promise.reject(new Error("not asked for")),
  signing: () => undefined,
  list: () => [ANN, OPEN],
  revoked: async () => [],
  revoke: async () => false,
  close: () => undefined,
};
const TOKEN = `pa-${"t".repeat(43)}`;
const WITH_KEYS: IdentifyOptions = { ownerMode: false, now: 0, adminToken: TOKEN };
const OWNER: IdentifyOptions = { ownerMode: true, now: 0, adminToken: TOKEN };

function callerOf(headers: IncomingHttpHeaders, options = WITH_KEYS, url = "/v1/chat/completions") {
  const identified = identify(headers, url, KEYS, options);
  assert.ok(identified.ok, identified.ok ? "" : identified.message);
  return identified.caller;
}

function refusalOf(headers: IncomingHttpHeaders, options = WITH_KEYS) {
  const identified = identify(headers, "/v1/messages", KEYS, options);
  assert.ok(!identified.ok);
  return identified;
}

const asAnn = (headers: IncomingHttpHeaders = {}) => ({ authorization: "Bearer pk-ann", ...headers });
const asOpen = (headers: IncomingHttpHeaders = {}) => ({ "x-api-key": "pk-open", ...headers });

describe("credentials", () => {
  test("a key is found wherever the clients of any provider put it", () => {
    for (const headers of [
      { authorization: "Bearer pk-ann" },
      { authorization: "bearer  pk-ann" },
      { "x-api-key": "pk-ann" },
      { "x-goog-api-key": "pk-ann" },
      { "api-key": "pk-ann" },
      { authorization: "Bearer sk-of-the-provider", "x-api-key": "pk-ann" },
    ]) {
      assert.equal(callerOf(headers).key, ANN);
    }
    assert.equal(callerOf({}, WITH_KEYS, "/v1beta/models?alt=sse&key=pk-ann").key, ANN);
  });

  test("no key and a wrong key are told apart", () => {
    assert.equal(refusalOf({}).code, "key_missing");
    assert.equal(refusalOf({ authorization: "Basic cGs=" }).code, "key_missing");
    assert.equal(refusalOf({ "x-api-key": "pk-nobody" }).code, "key_invalid");
  });

  test("a refusal never repeats the secret", () => {
    assert.ok(!refusalOf({ "x-api-key": "pk-nobody" }).message.includes("pk-nobody"));
  });

  test("only admin keys and the owner's token open /api once there are keys", () => {
    assert.equal(roleOf(callerOf(asAnn())), "caller");
    assert.equal(roleOf(callerOf(asOpen())), "admin");
    const owner = callerOf({ authorization: `Bearer ${TOKEN}` });
    assert.deepEqual([owner, roleOf(owner)], [{ key: undefined, subject: {} }, "owner"]);
  });

  test("while everybody is the owner, a credential is the caller's own provider key, and no secret of ours is", () => {
    assert.deepEqual(callerOf({ authorization: "Bearer sk-1" }, OWNER), {
      key: undefined,
      subject: {},
      providerKey: "sk-1",
    });
    assert.equal(callerOf({}, OWNER).providerKey, undefined);
    assert.equal(callerOf({ "x-api-key": `pk-${"a".repeat(43)}` }, OWNER).providerKey, undefined);
    assert.equal(callerOf({ "x-api-key": TOKEN }, OWNER).providerKey, undefined);
  });
});

describe("attributes", () => {
  test("a caller cannot pose as somebody else", () => {
    const { code, message } = refusalOf(asAnn({ "x-purser-user": "bob" }));
    assert.equal(code, "attribute_forbidden");
    assert.match(message, /x-purser-user.*"bob".*key_ann.*"ann"/);
  });

  test("an attribute that the key may not set is refused, naming header and key", () => {
    const { code, message } = refusalOf(asAnn({ "x-purser-tier": "enterprise" }));
    assert.equal(code, "attribute_forbidden");
    assert.match(message, /x-purser-tier.*"ann" \(key_ann\)/);
    assert.match(refusalOf(asAnn({ "x-purser-tags": "customer=acme, region=eu" })).message, /tag\.region/);
  });

  test("what the key already says may be said again", () => {
    assert.deepEqual(callerOf(asAnn({ "x-purser-user": "ann" })).subject, { team: "eng", user: "ann", key: "key_ann" });
  });

  test("what the key allows is taken from the headers", () => {
    assert.deepEqual(callerOf(asOpen({ "x-purser-user": " eva ", "x-purser-tags": "customer=acme, region=eu=west" })).subject, {
      key: "key_open",
      user: "eva",
      tags: { customer: "acme", region: "eu=west" },
    });
  });

  test("where a call goes is not the caller's to say", () => {
    const subject = callerOf({ "x-purser-model": "free", "x-purser-provider": "p", "x-purser-key": "key_bob" }, OWNER).subject;
    assert.deepEqual(subject, {});
  });

  test("baggage fills what is allowed and free, and is never a reason to refuse", () => {
    const baggage = "userId=7,purser.user=J%C3%BCrgen;p=1, purser.tag.region=eu ,purser.tier=gold,purser.user=%E0%A4%A";
    assert.deepEqual(callerOf(asOpen({ baggage, "x-purser-team": "ops" })).subject, {
      key: "key_open",
      team: "ops",
      user: "Jürgen",
      tags: { region: "eu" },
    });
    assert.deepEqual(callerOf(asAnn({ baggage })).subject, { team: "eng", user: "ann", key: "key_ann" });
  });

  test("coding agents' sessions are known by their own headers, behind ours", () => {
    assert.equal(callerOf(asOpen({ "x-claude-code-session-id": "s1" })).subject.session, "s1");
    assert.equal(callerOf(asAnn({ "session-id": "s2", "thread-id": "t2" })).subject.session, "s2");
    assert.equal(callerOf(asAnn({ "x-purser-session": "mine", "x-claude-code-session-id": "s1" })).subject.session, "mine");
  });

  test("values that could break a log, a header or a table are refused", () => {
    for (const value of ["a\u0007b", "x".repeat(257), "   "]) {
      assert.equal(refusalOf({ "x-purser-user": value }, OWNER).code, "attribute_forbidden");
    }
    assert.equal(refusalOf({ "x-purser-tags": "no-value" }, OWNER).code, "attribute_forbidden");
    assert.equal(refusalOf({ "x-purser-tags": Array.from({ length: 33 }, (_, i) => `t${i}=1`).join() }, OWNER).code, "attribute_forbidden");
  });

  test("a name written in UTF-8 is the same in a header and in a body", () => {
    const header = Buffer.from("Jürgen").toString("latin1");
    assert.equal(callerOf({ "x-purser-user": header }, OWNER).subject.user, "Jürgen");
    assert.equal(refine({}, undefined, { user: "Jürgen" }).user, "Jürgen");
    assert.equal(callerOf({ "x-purser-user": "J\xfcrgen" }, OWNER).subject.user, "Jürgen");
  });

  test("a tag named like a property of every object is a tag like others", () => {
    const { tags } = callerOf({ "x-purser-tags": "__proto__=x,constructor=y" }, OWNER).subject;
    assert.deepEqual(Object.entries(tags ?? {}), [
      ["__proto__", "x"],
      ["constructor", "y"],
    ]);
    assert.equal(Object.getPrototypeOf(tags), Object.prototype);
  });
});

describe("what the body says", () => {
  test("fills user and tags where nothing else did and the key allows it", () => {
    assert.deepEqual(refine({ key: "key_open" }, OPEN, { user: "eva", tags: { plan: "pro" } }), {
      key: "key_open",
      user: "eva",
      tags: { plan: "pro" },
    });
    assert.deepEqual(refine({}, undefined, { user: "eva" }), { user: "eva" });
  });

  test("keeps no more tags of a body than of a header, however many it has", () => {
    const tags = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`tag-${i}`, "x"]));
    const refined = refine({ tags: { first: "y" } }, undefined, { tags });
    assert.deepEqual(Object.keys(refined.tags ?? {}), ["first", ...Object.keys(tags).slice(0, 31)]);
  });

  test("never changes what key or headers said, and is never a reason to refuse", () => {
    const subject = { user: "ann", tags: { plan: "free" } };
    assert.equal(refine(subject, ANN, { user: "bob", tags: { plan: "pro", other: "x" } }), subject);
    assert.deepEqual(refine(subject, OPEN, { user: "bob", tags: { plan: "pro", bad: "a\nb", long: "x".repeat(300) } }), subject);
    assert.equal(refine(subject, OPEN, {}), subject);
  });
});
