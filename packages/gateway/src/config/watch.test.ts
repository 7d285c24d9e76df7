import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { readConfig } from "./read-config.ts";
import { type ConfigChange, watchConfig } from "./watch.ts";

type News = ConfigChange | { readonly error: string };

/** A file that is watched, and what is told of it, one after the other. */
function watched(t: TestContext, text: string) {
  const folder = mkdtempSync(join(tmpdir(), "purser-watch-"));
  const file = join(folder, "purser.yaml");
  writeFileSync(file, text);
  const news: News[] = [];
  const waiting: ((told: News) => void)[] = [];
  const tell = (told: News) => {
    const next = waiting.shift();
    if (next) next(told);
    else news.push(told);
  };
  const close = watchConfig(file, tell, {
    current: readConfig({ file, environment: {} }),
    environment: {},
    onError: ({ message }) => tell({ error: message }),
  });
  // The watcher keeps no process alive, and a test that waits for it has to.
  const alive = setInterval(() => undefined, 1000);
  t.after(() => {
    close();
    clearInterval(alive);
    rmSync(folder, { recursive: true });
  });
  const next = () => new Promise<News>((resolve) => (news.length > 0 ? resolve(news.shift() as News) : waiting.push(resolve)));
  return { folder, file, next };
}

function changed(news: News): ConfigChange {
  assert.ok("config" in news, JSON.stringify(news));
  return news;
}

test("a changed file is in use without a restart, and what needs one is told and kept", async (t) => {
  const { file, next } = watched(t, "server: { port: 1 }\n");
  writeFileSync(
    file,
    "server: { port: 2, drain: 5 s }\ndata: other\nstore: { postgres: 'postgres://db/purser' }\nbudgets: [{ name: a, limits: [$5 / day] }]\n",
  );
  const { config, needsRestart } = changed(await next());
  assert.deepEqual(needsRestart, ["server.port", "data", "store"]);
  assert.deepEqual(config.store, { redis: undefined, namespace: "purser", postgres: undefined });
  assert.deepEqual([config.server.port, config.server.drainMs, config.budgets.length], [1, 5000, 1]);
});

test("a file that is wrong or empty changes nothing and is reported; the next right one counts", async (t) => {
  const { file, next } = watched(t, "default_max_output: 1\n");
  writeFileSync(file, "default_max_outptu: 2\n");
  const wrong = await next();
  assert.ok("error" in wrong);
  assert.match(wrong.error, /purser\.yaml:1:1 {2}default_max_outptu: unknown field\. Did you mean "default_max_output"\?/);
  writeFileSync(file, "");
  const empty = await next();
  assert.ok("error" in empty);
  assert.match(empty.error, /is empty now/);
  writeFileSync(file, "default_max_output: 3\n");
  assert.equal(changed(await next()).config.defaultMaxOutput, 3);
});

test("a file that is replaced, as editors do it, is followed", async (t) => {
  const { folder, file, next } = watched(t, "default_max_output: 1\n");
  for (const value of [2, 3]) {
    writeFileSync(join(folder, "new"), `default_max_output: ${value}\n`);
    renameSync(join(folder, "new"), file);
    assert.equal(changed(await next()).config.defaultMaxOutput, value);
  }
});

test("a file of answers is followed too, and one that was wrong is read again when it is mended", async (t) => {
  const { folder, file, next } = watched(t, "default_max_output: 1\n");
  const answers = join(folder, "faq.csv");
  const answerOf = (news: News) => changed(news).config.answers.get("faq")?.find("why", undefined)?.answer;
  writeFileSync(answers, "question,answer\nWhy?,\n");
  writeFileSync(file, "answers: { faq: faq.csv }\nbudgets: [{ name: a, limits: [$5 / day], ladder: { 0%: lookup faq } }]\n");
  const wrong = await next();
  assert.ok("error" in wrong);
  assert.match(wrong.error, /faq\.csv:2:1 {2}answer: is empty/);
  writeFileSync(answers, "question,answer\nWhy?,So.\n");
  assert.equal(answerOf(await next()), "So.");
  writeFileSync(answers, "question,answer\nWhy?,Because.\n");
  assert.equal(answerOf(await next()), "Because.");
});

test("a vocabulary that changes is taken over, and one that is written anew with the same content is not", async (t) => {
  const { folder, next } = watched(t, "models: [{ model: a, vocabulary: v.json }]\n");
  writeFileSync(join(folder, "v.json"), "{}");
  assert.equal(changed(await next()).config.models[0]?.vocabulary?.path, join(folder, "v.json"));
  writeFileSync(join(folder, "v.json"), "{}");
  writeFileSync(join(folder, "v.json"), "{ }");
  changed(await next());
});
