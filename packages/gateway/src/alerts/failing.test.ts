import assert from "node:assert/strict";
import { test } from "node:test";
import { Figures } from "../metrics/figures.ts";
import { Failing } from "./failing.ts";
import type { Notice } from "./notice.ts";

const MINUTE = 60_000;

function startFailing(share = 2_000) {
  const figures = new Figures();
  const told: { readonly notice: Notice; readonly once: string }[] = [];
  const clock = { now: Date.UTC(2026, 10, 20, 12) };
  const tell = (notice: Notice, _channels: unknown, _until: number, once = "") => void told.push({ notice, once });
  const failing = new Failing({ alerts: { tell }, counted: () => figures.counted(), now: () => clock.now });
  failing.configure([{ share, channels: ["hook"] }]);
  const answer = (provider: string, status: number, count: number) => {
    for (let i = 0; i < count; i++) {
      const usage = { usage: undefined, service: undefined, outputTokens: () => 0, isWhole: true };
      const outcome = status === 200 ? ({ kind: "answered", ...usage } as const) : ({ kind: "refused", status } as const);
      figures.answered("req", { id: "req", provider, outcome, seconds: 1 });
    }
  };
  const look = (afterMs = 0) => {
    clock.now += afterMs;
    failing.look();
    return told.splice(0);
  };
  return { answer, look, failing };
}

test("a provider of which many calls fail is told of, with how; what callers asked wrongly is not its fault", () => {
  const { answer, look } = startFailing();
  answer("openai", 500, 1_000);
  assert.deepEqual(look(), [], "what was before is no matter of today");
  answer("openai", 200, 70);
  answer("openai", 503, 12);
  answer("openai", 429, 8);
  answer("anthropic", 200, 30);
  answer("anthropic", 400, 70);
  const [told, ...others] = look(MINUTE);
  assert.deepEqual(others, []);
  assert.equal(told?.notice.title, "22% of calls to openai fail");
  assert.match(told?.notice.text ?? "", /^20 of 90 calls to openai failed within five minutes \(5xx: 12, 429: 8\)\.$/);
  assert.equal(told?.notice.kind, "provider.failing");
});

test("few calls say nothing, and what failed more than five minutes ago is over", () => {
  const { answer, look } = startFailing();
  look();
  answer("openai", 500, 19);
  assert.deepEqual(look(MINUTE), []);
  answer("openai", 500, 1);
  assert.equal(look(MINUTE).length, 1);
  answer("openai", 200, 100);
  for (let i = 0; i < 5; i++) look(MINUTE);
  answer("openai", 200, 30);
  assert.deepEqual(look(MINUTE), []);
});

test("it is named the same while it lasts, so that it is told once an hour over all gateways", () => {
  const { answer, look, failing } = startFailing();
  look();
  answer("openai", 500, 50);
  const names = [...look(MINUTE), ...look(MINUTE)].map(({ once }) => once);
  assert.equal(names.length, 2);
  assert.equal(new Set(names).size, 1);
  failing.configure([]);
  assert.deepEqual(look(MINUTE), []);
});
