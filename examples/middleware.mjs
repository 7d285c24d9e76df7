// A server whose users have the budgets of a file, without a gateway: a middleware says whose call it is, for every SDK.
// Run: node examples/middleware.mjs
import { AsyncLocalStorage } from "node:async_hooks";
import { createServer } from "node:http";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, generateText } from "ai";
import { openPurser } from "purser/open";

const purser = await openPurser({ file: "examples/middleware.yaml" });
const caller = new AsyncLocalStorage();
const openai = createOpenAI({ fetch: purser.fetch({ provider: "openai", subject: () => caller.getStore() }) });

// With Express: app.use(asCaller)
const asCaller = (request, _response, next) => caller.run({ user: request.headers["x-user"], feature: "chat" }, next);

async function answer(_request, response) {
  try {
    const { text } = await generateText({ model: openai("gpt-4o"), prompt: "What does a purser do?", maxOutputTokens: 50 });
    response.end(text);
  } catch (error) {
    if (!APICallError.isInstance(error)) throw error;
    response.writeHead(error.statusCode ?? 500).end(error.message);
  }
}

const server = createServer((request, response) => asCaller(request, response, () => answer(request, response))).listen(0);
const url = `http://127.0.0.1:${server.address().port}`;
for (const user of ["ann", "ann", "ann", "bob"]) {
  const response = await fetch(url, { headers: { "x-user": user } });
  console.log(user, response.status, (await response.text()).slice(0, 60));
}
server.close();
await purser.close();

/* Prints:
ann 200 You asked: …
ann 200 You asked: …
ann 200 That was all for today.
bob 200 You asked: …
*/
