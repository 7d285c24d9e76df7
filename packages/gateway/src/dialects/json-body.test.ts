import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { editBody, elementsFromEnd, longTextBeginning, memberValue, readJsonBody } from "./json-body.ts";

const read = (text: string) => readJsonBody(Buffer.from(text));

test("every object that JSON.parse reads is read the same, member by member", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }), fc.integer({ min: 0, max: 2 }), (value, indent) => {
      const body = read(JSON.stringify(value, undefined, indent));
      assert.deepEqual([...body.members.keys()], Object.keys(JSON.parse(JSON.stringify(value))).sort(byOwnOrder(body.members)));
      for (const name of body.members.keys())
        assert.deepEqual(memberValue(body, name), JSON.parse(JSON.stringify(value))[name] ?? undefined);
    }),
  );
});

function byOwnOrder(members: ReadonlyMap<string, unknown>) {
  const order = [...members.keys()];
  return (a: string, b: string) => order.indexOf(a) - order.indexOf(b);
}

test("a text that JSON.parse refuses is refused, whatever is cut, doubled or swapped", () => {
  const base = '{"model":"gpt-4o","max_tokens":12,"messages":[{"role":"user","content":"a \\"b\\" c"},{"x":[1,-2.5e3,null,true]}],"n":{}}';
  fc.assert(
    fc.property(
      fc.nat(base.length - 1),
      fc.constantFrom("", ",", '"', "]", "}", "[", "{", ":", "0", "x", " "),
      fc.nat(2),
      (at, text, cut) => {
        const broken = base.slice(0, at) + text + base.slice(at + cut);
        let parsed: unknown;
        try {
          parsed = JSON.parse(broken);
        } catch {
          // Strings are left to the provider, so only what is broken outside of them must be refused here.
          if (!isOnlyBrokenInString(broken)) assert.throws(() => read(broken), { code: "body_invalid" }, broken);
          return;
        }
        if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed) && !hasDuplicate(broken)) read(broken);
      },
    ),
    { numRuns: 2000 },
  );
});

function isOnlyBrokenInString(text: string): boolean {
  return /\\[^"\\/bfnrtu]/.test(text);
}

function hasDuplicate(text: string): boolean {
  try {
    read(text);
    return false;
  } catch (error) {
    return (error as Error).message.includes("twice");
  }
}

test("a field that is there twice is refused, also when one is spelled with escapes", () => {
  assert.throws(() => read('{"model":"a","model":"b"}'), { code: "body_invalid" });
  assert.throws(() => read('{"model":"a","mod\\u0065l":"b"}'), { code: "body_invalid" });
});

test("nesting without end is refused, and 100,000 brackets do not overflow the stack", () => {
  assert.throws(() => read(`{"a":${"[".repeat(100_000)}`), { code: "body_invalid", message: /nested/ });
});

test("media is noticed even when its name is spelled with escapes", () => {
  assert.equal(read('{"messages":[{"content":[{"type":"image_url"}]}]}').mayHoldMedia, true);
  assert.equal(read('{"messages":[{"content":[{"type":"im\\u0061ge"}]}]}').mayHoldMedia, true);
  assert.equal(read('{"messages":[{"content":"an image of a cat\\n"}]}').mayHoldMedia, false);
});

test("an edit changes its member and nothing else, byte for byte", () => {
  const body = read('{ "a" : 1 , "max_tokens":  500, "big": 12345678901234567890.50 }');
  assert.equal(
    String(
      editBody(
        body,
        new Map([
          ["max_tokens", "7"],
          ["stream", "true"],
        ]),
      ),
    ),
    '{ "stream":true,"a" : 1 , "max_tokens":  7, "big": 12345678901234567890.50 }',
  );
  assert.equal(String(editBody(read("{}"), new Map([["a", "1"]]))), '{"a":1}');
});

test("the beginning of a long text is had without decoding it all, and never from a name, another field or possible media", () => {
  const long = String.raw`one \u0074wo \n\"three\" `.repeat(1_000);
  const body = (members: string) => longTextBeginning(read(`{${members}}`), ["messages"], 100);
  const beginning = body(`"messages":[{"content":"${long}"}]`) ?? assert.fail();
  assert.ok(beginning.length > 50 && 'one two \n"three" '.repeat(1_000).startsWith(beginning), beginning);
  assert.equal(body(`"messages":[{"content":"short text"}]`), undefined);
  assert.equal(body(`"messages":[{"content":"short text"}],"metadata":{"a":"${long}"}`), undefined);
  assert.equal(body(`"messages":[{"${long}":"short text"}]`), undefined);
  assert.equal(body(`"messages":[{"type":"image","content":"${long}"}]`), undefined);
  assert.equal(body(`"messages":["${"x".repeat(1_000)}"]`), undefined);
});

test("the name of a kind of media is seen however its letters are escaped", () => {
  const escaped = (name: string) => [...name].map((letter) => `\\u00${letter.charCodeAt(0).toString(16)}`).join("");
  for (const name of ["image", "image_url", "input_image", "document"])
    for (const text of [name, escaped(name), escaped(name[0] as string) + name.slice(1)])
      assert.equal(read(`{"messages":[{"type":"${text}"}]}`).mayHoldMedia, true, text);
  assert.equal(
    read(JSON.stringify({ messages: [{ text: 'a text with "quotes" that is longer than any name of media '.repeat(2) }] })).mayHoldMedia,
    false,
  );
});

test("a body of endless small values is refused before it is built: that would keep every other call waiting", () => {
  const values = (count: number, value: string) => `{"x":[${Array(count).fill(value).join(",")}]}`;
  for (const value of ["[]", '{"a":0}', "0"])
    assert.throws(() => read(values(600_000, value)), { code: "body_invalid", message: /values|fields in all/ });
  const fields = Array.from({ length: 2_000 }, (_, i) => `"${i}":0`).join(",");
  assert.throws(() => read(`{${fields}}`), { code: "body_invalid", message: /fields/ });
  assert.equal(read(values(400_000, "0")).members.get("x")?.elements, 400_000);
  const inner = (count: number) => `{"x":{${Array.from({ length: count }, (_, i) => `"k${i}":0`).join(",")}}}`;
  assert.throws(() => read(inner(150_000)), { code: "body_invalid", message: /fields in all/ });
  assert.equal(read(inner(50_000)).members.get("x")?.elements, 50_000);
});

test("the elements of an array are found from its end, whatever stands in them", () => {
  const nasty = fc.oneof(fc.jsonValue(), fc.string({ unit: fc.constantFrom('"', "\\", "[", "]", "{", "}", ",", "a"), maxLength: 200 }));
  fc.assert(
    fc.property(fc.array(nasty), fc.integer({ min: 0, max: 2 }), (list, indent) => {
      const body = read(JSON.stringify({ before: ["x", { y: "]" }], list, after: [1] }, undefined, indent));
      const found = Array.from(elementsFromEnd(body, "list"), (bytes) => JSON.parse(bytes.toString("utf8")));
      assert.deepEqual(found.reverse(), JSON.parse(JSON.stringify(list)));
    }),
  );
  for (const text of ["{}", '{"list":"a"}', '{"list":[ ]}', '{"list":{"a":1}}'])
    assert.deepEqual([...elementsFromEnd(read(text), "list")], []);
});
