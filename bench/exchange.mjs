/** What is said in every benchmark: one chat call in three sizes, and the answers of the mock provider, whole and streamed. */

export const MODEL = "gpt-4o-mini";
export const USAGE = { prompt_tokens: 212, completion_tokens: 180, total_tokens: 392 };

/** The stamp is the monotonic clock in microseconds, so that another process of the same machine can tell how long a chunk was under way. */
export const STAMP_DIGITS = 16;
const STAMP = "0".repeat(STAMP_DIGITS);
const WORDS =
  "the budget of a team is held before its call and settled after it so that nobody spends money which is not there while we wait for tokens".split(
    " ",
  );

/** A chat call whose body has about this many bytes. The model and `stream` come first, where the mock looks for them. */
export function chatBody({ bytes, stream }) {
  const call = {
    model: MODEL,
    stream,
    ...(stream ? { stream_options: { include_usage: true } } : {}),
    max_tokens: 256,
    temperature: 0.2,
    messages: [
      { role: "system", content: 'You are a careful accountant.\nAnswer in one paragraph, and say "I do not know" where you do not.' },
      { role: "user", content: "" },
    ],
  };
  call.messages[1].content = prose(Math.max(1, bytes - JSON.stringify(call).length));
  return Buffer.from(JSON.stringify(call));
}

/** The whole answer, about 1.2 kB. */
export const ANSWER = Buffer.from(
  JSON.stringify({
    id: "chatcmpl-bench00000000000000000",
    object: "chat.completion",
    created: 1750000000,
    model: MODEL,
    choices: [{ index: 0, message: { role: "assistant", content: prose(850), refusal: null }, logprobs: null, finish_reason: "stop" }],
    usage: USAGE,
    service_tier: "default",
    system_fingerprint: "fp_bench",
  }),
);

/** The chunks of a streamed answer: 49 deltas, the end, and the usage with `[DONE]`. Each has room for a stamp at `STAMP_AT`. */
export const CHUNKS = [
  ...Array.from({ length: 49 }, (_, index) => chunk({ delta: { content: `${prose(20 + (index % 3))} ` }, finish: null })),
  chunk({ delta: {}, finish: "stop" }),
  Buffer.concat([chunk({ usage: USAGE }), Buffer.from("data: [DONE]\n\n")]),
];
export const STAMP_AT = CHUNKS[0].indexOf(STAMP);

function chunk({ delta, finish, usage }) {
  const event = {
    id: "chatcmpl-bench00000000000000000",
    object: "chat.completion.chunk",
    system_fingerprint: STAMP,
    created: 1750000000,
    model: MODEL,
    service_tier: "default",
    choices: usage === undefined ? [{ index: 0, delta, logprobs: null, finish_reason: finish }] : [],
    usage: usage ?? null,
  };
  return Buffer.from(`data: ${JSON.stringify(event)}\n\n`);
}

/** The monotonic clock, the same in every process of the machine, in whole microseconds. */
export function clockMicros() {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000_000 + Math.floor(nanoseconds / 1000);
}

/** The complete HTTP request as one buffer, so that one write sends it. */
export function httpRequest({ port, path, headers, body }) {
  const lines = [`POST ${path} HTTP/1.1`, `Host: 127.0.0.1:${port}`, "Content-Type: application/json", `Content-Length: ${body.length}`];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`), body]);
}

/** Text without meaning but with the lengths of real words, the same in every run. */
function prose(length) {
  let text = "";
  for (let index = 0; text.length < length; index++) {
    text += WORDS[(index * 7 + (index >> 3)) % WORDS.length];
    text += index % 40 === 39 ? ".\n" : " ";
  }
  return text.slice(0, length);
}
