import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Called, CONVERSATIONS, type Said } from "../conformance/tool-conversations.ts";
import type { Dialect } from "../dialects/dialect.ts";
import { readJsonBody } from "../dialects/json-body.ts";
import { openaiChat } from "../dialects/openai-chat/index.ts";
import { CALLS } from "../routes.ts";
import { findToolLoop, roundsFor } from "./tool-loop.ts";
import { toolRounds } from "./tool-rounds.ts";

/** Every format with calls of tools in it. */
const DIALECTS = new Map([...CALLS.values()].filter(({ turns, messages }) => turns ?? messages).map((dialect) => [dialect.name, dialect]));

const TIMES = 3;
const read = (path: string, result = "the same"): Called => ({ tool: "read", input: { path, lines: 10 }, result });
const many = (times: number, ...rounds: readonly (readonly Called[])[]): readonly Said[] =>
  Array.from({ length: times }, () => rounds).flat();
/** Calls that are other ones each time. */
const work = (steps: number): readonly Said[] => Array.from({ length: steps }, (_, i) => [read(`file ${i}`, `content ${i}`)]);

function roundsOf(body: object | Buffer, dialect: Dialect = openaiChat, most = roundsFor(TIMES)) {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
  return toolRounds({ dialect, call: { body: readJsonBody(bytes) } as never }, most);
}

function loopIn(said: readonly Said[], dialect: Dialect = openaiChat) {
  return findToolLoop(roundsOf(CONVERSATIONS[dialect.name]?.(said), dialect), TIMES);
}

const signOf = (said: readonly Said[], dialect?: Dialect) => loopIn(["Go", ...said], dialect)?.sign;

test("formats with conversations are those whose loops are tested", () => {
  assert.deepEqual([...DIALECTS.keys()].sort(), Object.keys(CONVERSATIONS).sort());
});

for (const [name, dialect] of DIALECTS) {
  describe(name, () => {
    test("the same call with the same result is a loop the third time, however often others were made before", () => {
      const loop = loopIn(["Go", ...work(5), ...many(3, [read("a")])], dialect);
      assert.deepEqual([loop?.sign, loop?.tools, loop?.rounds, loop?.times], ["same", ["read"], 1, 3]);
      assert.equal(signOf(many(2, [read("a")]), dialect), undefined);
      assert.equal(signOf(work(20), dialect), undefined);
    });

    test("calls that go round are one, up to four of them, and several at once", () => {
      assert.equal(loopIn(["Go", ...many(3, [read("a")], [read("b")])], dialect)?.rounds, 2);
      assert.equal(loopIn(["Go", ...many(3, ..."abcd".split("").map((path) => [read(path)]))], dialect)?.rounds, 4);
      assert.equal(signOf(many(3, ..."abcde".split("").map((path) => [read(path)])), dialect), undefined);
      assert.equal(loopIn(["Go", ...many(3, [read("a"), read("b")])], dialect)?.rounds, 1);
    });

    test("with other results it takes twice as many, and results are told from each other", () => {
      const poll = (times: number) => Array.from({ length: times }, (_, i) => [read("job", `${i} %`)]);
      assert.equal(signOf(poll(5), dialect), undefined);
      assert.equal(signOf(poll(6), dialect), "changing");
    });

    test("what the user says in between begins anew", () => {
      assert.equal(signOf([...many(2, [read("a")]), "Again", [read("a")]], dialect), undefined);
      assert.equal(signOf(["Again", ...many(3, [read("a")])], dialect), "same");
    });
  });
}

describe("a loop", () => {
  test("of calls between others is one when they come twice as often with the same result", () => {
    const testRuns = (times: number): readonly Said[] =>
      Array.from({ length: times }, (_, i) => [[read(`edit ${i}`, `${i}`)], [read("test")]]).flat();
    assert.equal(signOf(testRuns(5)), undefined);
    assert.equal(signOf(testRuns(6)), "between");
  });

  test("is the same error from other calls", () => {
    const failed = (result: string, more: Partial<Called> = {}) =>
      Array.from({ length: 3 }, (_, i) => [{ ...read(`${i}`, result), ...more }]);
    const texts = ["Error: no space left", '{"error":"quota"}', '{"success": false, "reason": "locked"}', "PermissionError: denied"];
    for (const text of texts) assert.equal(signOf(failed(text)), "error", text);
    for (const text of ["ok", "", "No errors found.", '{"error":null}', "3 failed, 2 passed"])
      assert.equal(signOf(failed(text)), undefined, text);
    for (const name of ["anthropic-messages", "bedrock-converse", "gemini-content", "gemini-interactions"] as const)
      assert.equal(signOf(failed("nothing said", { isError: true }), DIALECTS.get(name)), "error", name);
  });

  test("is told whichever of its calls came last, and from others", () => {
    const fingerprint = (said: readonly Said[]) => loopIn(["Go", ...said])?.fingerprint;
    const cycle = many(4, [read("a")], [read("b")]);
    assert.equal(fingerprint(cycle), fingerprint(cycle.slice(0, -1)));
    assert.notEqual(fingerprint(cycle), fingerprint(many(4, [read("a")], [read("c")])));
  });

  test("is no call that differs in a number too long for a computer to tell, and is one whose fields stand in another order", () => {
    const calls = (...inputs: readonly string[]) =>
      Buffer.from(
        JSON.stringify({
          messages: inputs.flatMap((input, i) => [
            { role: "assistant", tool_calls: [{ id: `${i}`, type: "function", function: { name: "find", arguments: input } }] },
            { role: "tool", tool_call_id: `${i}`, content: "nothing" },
          ]),
        }),
      );
    const ordered = ['{"a":1,"b":{"c":[2],"d":"x"}}', '{"b":{"d":"x","c":[2]},"a":1}', '{ "a": 1, "b": {"c": [2], "d": "\\u0078"} }'];
    assert.equal(findToolLoop(roundsOf(calls(...ordered)), TIMES)?.sign, "same");
    for (const sign of ["", "-"]) {
      const ids = ["1234567890123456789", "1234567890123456790", "1234567890123456791"].map((id) => `{"id":${sign}${id}}`);
      assert.equal(findToolLoop(roundsOf(calls(...ids)), TIMES), undefined);
      assert.equal(findToolLoop(roundsOf(calls(...ids.map(() => ids[0] as string))), TIMES)?.sign, "same");
    }
    assert.equal(findToolLoop(roundsOf(calls("{cut", "{cut", "{cut")), TIMES)?.sign, "same", "what is no JSON is compared as it is");
  });

  test("is told by the result of each call, in whatever order the results of several stand", () => {
    const both = (order: readonly [string, string], a: string, b: string) => [
      { role: "assistant", tool_calls: ["a", "b"].map((id) => ({ id, type: "function", function: { name: id, arguments: "{}" } })) },
      ...order.map((id) => ({ role: "tool", tool_call_id: id, content: id === "a" ? a : b })),
    ];
    const sign = (...rounds: readonly object[][]) => findToolLoop(roundsOf({ messages: rounds.flat() }), TIMES)?.sign;
    assert.equal(sign(both(["a", "b"], "1", "2"), both(["b", "a"], "1", "2"), both(["a", "b"], "1", "2")), "same");
    assert.equal(sign(both(["a", "b"], "1", "2"), both(["a", "b"], "2", "1"), both(["a", "b"], "1", "2")), undefined);
  });

  test("is none any more where something is said beside the results, as clients do that put both into one message", () => {
    const last = {
      "anthropic-messages": ["messages", "content"],
      "bedrock-converse": ["messages", "content"],
      "gemini-content": ["contents", "parts"],
    };
    for (const [name, [messages = "", parts = ""]] of Object.entries(last)) {
      const dialect = DIALECTS.get(name as Dialect["name"]) as Dialect;
      const body = CONVERSATIONS[dialect.name]?.(["Go", ...many(3, [read("a")])]);
      assert.equal(findToolLoop(roundsOf(body, dialect), TIMES)?.sign, "same", name);
      body[messages].at(-1)[parts].push({ ...(name === "anthropic-messages" && { type: "text" }), text: "It is called b." });
      assert.equal(findToolLoop(roundsOf(body, dialect), TIMES), undefined, name);
    }
  });

  test("is looked for with the number of each guard, however many rounds are read for another", () => {
    const testRuns = Array.from({ length: 30 }, (_, i) => (i % 8 === 0 ? [read("test")] : [read(`edit ${i}`, `${i}`)]));
    const rounds = roundsOf(CONVERSATIONS["openai-chat"]?.(["Go", ...testRuns.slice(0, 25)]), openaiChat, 100);
    assert.equal(findToolLoop(rounds, 2), undefined);
  });

  test("is seen in results that are megabytes long, of which nothing is parsed", () => {
    const image = Buffer.alloc(300_000, "iVBORw0KGgo").toString();
    assert.equal(signOf(many(3, [read("a", image)])), "same");
    assert.equal(signOf([[read("a", `${image}1`)], [read("a", `${image}2`)], [read("a", `${image}3`)]]), undefined);
    const quoted = '\\"a\\" '.repeat(5_000);
    assert.equal(signOf(many(3, [read(quoted, quoted)])), "same");
  });

  test("is looked for in the latest rounds only, and in so many bytes", () => {
    const said = ["Go", ...work(400)];
    assert.equal(roundsOf(CONVERSATIONS["openai-chat"]?.(said)).length, roundsFor(TIMES));
    const large = work(10).map((one) => [{ ...(one[0] as Called), result: "x".repeat(1_000_000) }]);
    assert.equal(roundsOf(CONVERSATIONS["openai-chat"]?.(["Go", ...large])).length, 2);
  });

  test("is looked for in so many calls and results, however many a message has", () => {
    const crowd = Array.from({ length: 10_000 }, (_, i) => read(`${i}`, `${i}`));
    assert.deepEqual(roundsOf(CONVERSATIONS["openai-chat"]?.(["Go", crowd])), []);
    assert.equal(signOf([crowd, ...many(3, [read("a")])]), "same");
    assert.equal(roundsOf(CONVERSATIONS["openai-chat"]?.(["Go", ...work(2)]), openaiChat, 2).length, 2);
  });

  test("is not looked for where a call only names what it goes on with, or has no list of messages", () => {
    const responses = DIALECTS.get("openai-responses") as Dialect;
    const output = { type: "function_call_output", call_id: "c", output: "x" };
    assert.deepEqual(roundsOf({ previous_response_id: "r", input: [output, output, output] }, responses), []);
    assert.deepEqual(roundsOf({ input: "Ahoy" }, responses), []);
    assert.deepEqual(roundsOf({ input: [] }, responses), []);
    assert.deepEqual(roundsOf({ input: [1, null, "x", [[]], { type: 1 }] }, responses), []);
  });

  test("of the tools that a client has beside functions is seen too", () => {
    const responses = DIALECTS.get("openai-responses") as Dialect;
    const shell = (id: string, command: string) => [
      { type: "local_shell_call", call_id: id, action: { type: "exec", command: ["sh", "-c", command] } },
      { type: "local_shell_call_output", call_id: id, output: "done" },
    ];
    const custom = (id: string, input: string) => [
      { type: "custom_tool_call", call_id: id, name: "patch", input },
      { type: "custom_tool_call_output", call_id: id, output: "done" },
    ];
    const find = (input: object[]) => findToolLoop(roundsOf({ input }, responses), TIMES);
    assert.deepEqual(find(["1", "2", "3"].flatMap((id) => shell(id, "ls")))?.tools, ["local_shell_call"]);
    assert.equal(find(["1", "2", "3"].flatMap((id) => shell(id, `ls ${id}`))), undefined);
    assert.deepEqual(find(["1", "2", "3"].flatMap((id) => custom(id, "*** Begin")))?.tools, ["patch"]);
  });
});
