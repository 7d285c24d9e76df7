import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { LLMock } from "@copilotkit/aimock";
import OpenAI, { toFile } from "openai";
import { post } from "./calls.ts";
import { messageEvent, type RawProvider, STREAM_HEADERS, startRawProvider, writeJson } from "./raw-provider.ts";
import { mp3, wav } from "./sounds.ts";
import { type Stand, startStand } from "./stand.ts";

/** $0.0001 a second, and $15 for a million characters, in nano-dollars. */
const SECOND = 100_000;
const CHARACTER = 15_000;
const M4A = Buffer.from("\0\0\0\x18ftypM4A and whatever stands in it", "latin1");

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  readonly openai: OpenAI;
  hear(model: string, sound: Buffer, fields?: object): Promise<unknown>;
}

async function startScene(context: TestContext, limits = "$10", more = ""): Promise<Scene> {
  const provider = await startRawProvider(context, (response) => writeJson(response, 200, { text: "Aye." }));
  const config = `providers: { openai: { base_url: "${provider.url}/v1", api_key: k } }\nbudgets: [{ name: all, limits: [${limits}] }]\n${more}`;
  const stand = await startStand(context, { config });
  const openai = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none", maxRetries: 0 });
  return {
    stand,
    provider,
    openai,
    hear: async (model, sound, fields = {}) =>
      openai.audio.transcriptions.create({ model, file: await toFile(sound, "speech"), ...fields }),
  };
}

async function charged({ stand }: Scene) {
  const [{ charge, detail } = assert.fail()] = await stand.entries(1, "settled");
  await stand.checkBooks();
  return { cost: charge.cost, certainty: charge.certainty, usage: charge.usage, held: detail.cost };
}

describe("speech", () => {
  test("of a model that is charged by characters costs what its text has of them, and passes as it is", async (context) => {
    const scene = await startScene(context);
    const sound = Buffer.from([0xff, 0xfb, 0, 1, 2, 3]);
    scene.provider.answer = (response) => response.writeHead(200, { "content-type": "audio/mpeg" }).end(sound);
    const input = 'Ahoy "crew" 🏴‍☠️\n';
    const answer = await scene.openai.audio.speech.create({ model: "tts-1", voice: "coral", input });
    assert.deepEqual(Buffer.from(await answer.arrayBuffer()), sound);
    const characters = [...input].length;
    const { cost, held, certainty, usage } = await charged(scene);
    assert.deepEqual([cost, held, certainty], [characters * CHARACTER, characters * CHARACTER, "estimated"]);
    assert.deepEqual(usage, { inputTokens: 0, outputTokens: 0, toolCalls: { character: characters } });
  });

  test("of a model that is charged by tokens costs what its events say", async (context) => {
    const scene = await startScene(context);
    const usage = { input_tokens: 14, output_tokens: 101, total_tokens: 115 };
    const events = messageEvent({ type: "speech.audio.delta", audio: "AAAA" }) + messageEvent({ type: "speech.audio.done", usage });
    scene.provider.answer = (response) => response.writeHead(200, STREAM_HEADERS).end(events);
    const speech = { model: "gpt-4o-mini-tts", voice: "coral", input: "Ahoy", stream_format: "sse" } as const;
    const answer = await scene.openai.audio.speech.create(speech);
    assert.equal(await answer.text(), events);
    const { cost, certainty } = await charged(scene);
    assert.deepEqual([cost, certainty], [14 * 600 + 101 * 12_000, "confirmed"]);
  });

  test("that comes as a sound is counted by how long it plays", async (context) => {
    for (const [response_format, sound, seconds] of [
      ["mp3", mp3(100), (100 * 1_152) / 44_100],
      ["wav", wav(3), 3],
      ["pcm", Buffer.alloc(2 * 48_000), 2],
    ] as const) {
      const scene = await startScene(context);
      scene.provider.answer = (response) => response.writeHead(200, { "content-type": "audio/x" }).end(sound);
      await scene.openai.audio.speech.create({ model: "gpt-4o-mini-tts", voice: "coral", input: "Ahoy", response_format });
      const { usage, certainty } = await charged(scene);
      assert.deepEqual([usage.outputTokens, certainty], [Math.ceil((seconds * 1_250) / 60), "estimated"], response_format);
      assert.ok((usage.inputTokens ?? 0) > 0);
    }
  });

  test("whose length nobody can read, or that breaks off, is charged at the most that was held", async (context) => {
    for (const breaksOff of [false, true]) {
      const scene = await startScene(context);
      scene.provider.answer = (response) => {
        response.writeHead(200, { "content-type": "audio/x", ...(breaksOff && { "content-length": "99999" }) });
        if (breaksOff) response.write(mp3(3), () => response.destroy());
        else response.end("OggS");
      };
      const speech = scene.openai.audio.speech.create({ model: "gpt-4o-mini-tts", voice: "coral", input: "Ahoy", response_format: "opus" });
      if (breaksOff) await assert.rejects(speech.then((answer) => answer.arrayBuffer()));
      else await speech;
      const { cost, held, certainty, usage } = await charged(scene);
      assert.deepEqual([cost, certainty, usage.outputTokens], [held, "unconfirmed", 400 + 4 * 10]);
    }
  });

  test("that would be too much is refused, as is what is no text, and nobody is asked", async (context) => {
    const { provider, openai, stand } = await startScene(context, "$0.001 / day");
    await assert.rejects(openai.audio.speech.create({ model: "tts-1", voice: "coral", input: "a".repeat(100) }), { status: 413 });
    for (const more of [{ input: 1 }, { input: undefined }, { speed: 0.1 }, { speed: "1" }])
      assert.equal((await post(`${stand.url}/v1/audio/speech`, { model: "tts-1", input: "Ahoy", ...more })).status, 400);
    assert.equal(provider.received.length, 0);
  });

  test("of a mock that others wrote is charged by its characters", async (context) => {
    const mock = new LLMock({ port: 0, host: "127.0.0.1" });
    mock.onSpeech("Ahoy", { audio: Buffer.from("sound").toString("base64") });
    await mock.start();
    context.after(() => mock.stop());
    const config = `providers: { openai: { base_url: "${mock.url}/v1", api_key: k } }\nbudgets: [{ name: all, limits: [$10] }]`;
    const stand = await startStand(context, { config });
    const openai = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none", maxRetries: 0 });
    await openai.audio.speech.create({ model: "tts-1", voice: "coral", input: "Ahoy" });
    const [{ charge } = assert.fail()] = await stand.entries(1, "settled");
    assert.equal(charge.cost, 4 * CHARACTER);
  });
});

describe("a transcription", () => {
  test("of a model that is charged by time is held by how long its file plays, and costs what its answer says", async (context) => {
    const scene = await startScene(context);
    scene.provider.answer = (response) => writeJson(response, 200, { text: "Aye.", usage: { type: "duration", seconds: 9 } });
    assert.equal(((await scene.hear("whisper-1", wav(9.4))) as { text: string }).text, "Aye.");
    const { cost, held, certainty, usage } = await charged(scene);
    assert.deepEqual([cost, held, certainty], [9 * SECOND, 10 * SECOND, "confirmed"]);
    assert.deepEqual(usage, { inputTokens: 0, outputTokens: 0, toolCalls: { audio_second: 9 } });
    const [received] = scene.provider.received;
    assert.match(received?.headers["content-type"] ?? "", /^multipart\/form-data; boundary=/);
    assert.match(received?.body ?? "", /name="file"; filename="speech"/);
  });

  test("that comes as a text or as subtitles costs what its file plays", async (context) => {
    for (const response_format of ["text", "srt", "vtt"]) {
      const scene = await startScene(context);
      scene.provider.answer = (response) => response.writeHead(200, { "content-type": "text/plain" }).end("1\n00:00 --> 00:02\nAye.\n");
      await scene.hear("whisper-1", mp3(100), { response_format });
      const { cost, certainty, usage } = await charged(scene);
      assert.deepEqual([cost, certainty, usage.outputTokens], [3 * SECOND, "estimated", 0], response_format);
    }
  });

  test("of a file whose length nobody can read is refused where money is limited, with what to do", async (context) => {
    const { hear, provider } = await startScene(context);
    await assert.rejects(hear("whisper-1", M4A), {
      status: 400,
      code: "model_unpriced",
      message: /"unmeasured_audio" of the model "whisper-1".* has no price.*can be read from WAV \(PCM\) and MP3 alone/,
    });
    assert.equal(provider.received.length, 0);
    const unlimited = await startScene(context, "10 requests");
    await unlimited.hear("whisper-1", M4A);
    const priced = await startScene(context, "$10", "prices: [{ model: whisper-1, tools: { unmeasured_audio: 0.5 } }]");
    priced.provider.answer = (response) => writeJson(response, 200, { text: "Aye.", usage: { type: "duration", seconds: 600 } });
    await priced.hear("whisper-1", M4A);
    const { cost, held } = await charged(priced);
    assert.deepEqual([cost, held], [600 * SECOND, 500_000_000]);
  });

  test("of a model that is charged by tokens costs what its answer says, whatever its file is", async (context) => {
    const usage = { type: "tokens", input_tokens: 114, output_tokens: 8, input_token_details: { text_tokens: 14, audio_tokens: 100 } };
    for (const stream of [false, true]) {
      const scene = await startScene(context);
      scene.provider.answer = (response) => {
        if (!stream) return writeJson(response, 200, { text: "Aye.", usage });
        const delta = messageEvent({ type: "transcript.text.delta", delta: "Aye." });
        response.writeHead(200, STREAM_HEADERS).end(delta + messageEvent({ type: "transcript.text.done", text: "Aye.", usage }));
      };
      const answer = await scene.hear("gpt-4o-transcribe", M4A, { stream });
      if (stream) for await (const _ of answer as AsyncIterable<unknown>);
      const { cost, certainty, held } = await charged(scene);
      assert.deepEqual([cost, certainty], [14 * 2_500 + 100 * 6_000 + 8 * 10_000, "confirmed"]);
      assert.ok((held ?? 0) >= 16_000 * 6_000 + 2_000 * 10_000, "what the model can hear and write at all");
    }
    const short = await startScene(context);
    short.provider.answer = (response) => writeJson(response, 200, { text: "Aye.", usage });
    await short.hear("gpt-4o-transcribe", wav(10));
    const { held } = await charged(short);
    assert.ok((held ?? 0) < 1_000 * 6_000, `what is short holds little: ${held}`);
  });

  test("without usage is counted by its words", async (context) => {
    const scene = await startScene(context);
    await scene.hear("gpt-4o-transcribe", wav(1));
    const { usage, certainty } = await charged(scene);
    assert.deepEqual([usage.outputTokens, certainty], [3, "estimated"]);
  });

  test("goes to the cheaper model of a ladder, with its file as it was", async (context) => {
    const provider = await startRawProvider(context, (response) => writeJson(response, 200, { text: "Aye." }));
    const ladder = "ladder: { 0%: use gpt-4o-mini-transcribe }";
    const config = `providers: { openai: { base_url: "${provider.url}/v1", api_key: k } }\nbudgets: [{ name: all, limits: [$10], ${ladder} }]`;
    const stand = await startStand(context, { config });
    const openai = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none", maxRetries: 0 });
    const file = await toFile(wav(1), "speech.wav");
    await openai.audio.transcriptions.create({ model: "openai/gpt-4o-transcribe", file, prompt: "Ahoy" });
    const [{ headers, body } = assert.fail()] = provider.received;
    const form = await new Response(body, { headers: { "content-type": headers["content-type"] ?? "" } }).formData();
    assert.deepEqual([form.get("model"), form.get("prompt")], ["gpt-4o-mini-transcribe", "Ahoy"]);
    const [{ detail } = assert.fail()] = await stand.entries(1, "settled");
    assert.equal(detail.insteadOf?.model, "gpt-4o-transcribe");
  });

  test("is a form with one file, and nothing that two readers could read otherwise", async (context) => {
    const { stand, provider } = await startScene(context);
    const send = (fields: readonly (readonly [name: string, value: string | File])[]) => {
      const form = new FormData();
      for (const [name, value] of fields) form.append(name, value as string);
      return post(`${stand.url}/v1/audio/transcriptions`, form);
    };
    const file = new File([wav(1)], "speech.wav");
    const cases: readonly (readonly [fields: Parameters<typeof send>[0], message: RegExp])[] = [
      [[["model", "whisper-1"]], /must have one file "file"/],
      [[["file", file]], /"model" must be a text/],
      [
        [
          ["model", "whisper-1"],
          ["model", "gpt-4o-transcribe"],
          ["file", file],
        ],
        /"model" twice/,
      ],
      [
        [
          ["model", "whisper-1"],
          ["file", file],
          ["file", file],
        ],
        /"file" twice/,
      ],
      [
        [
          ["model[]", "whisper-1"],
          ["file", file],
        ],
        /"model\[\]", which is no list/,
      ],
      [
        [
          ["model", "whisper-1"],
          ["file", "no file"],
        ],
        /must have one file "file"/,
      ],
      [
        [
          ["model", "whisper-1"],
          ["file", file],
          ["api_base", "https://elsewhere"],
        ],
        /"api_base" is not allowed/,
      ],
      [
        [
          ["model", "whisper-1"],
          ["file", file],
          ["stream", "yes"],
        ],
        /"stream" must be true or false/,
      ],
      [
        [
          ["model", "voxtral-mini"],
          ["file", file],
          ["file_url", "https://elsewhere"],
        ],
        /has to be in the form itself/,
      ],
    ];
    for (const [fields, message] of cases) {
      const { status, json } = await send(fields);
      assert.equal(status, 400);
      assert.match(json.error.message, message);
    }
    assert.equal((await post(`${stand.url}/v1/audio/transcriptions`, { model: "whisper-1" })).status, 400);
    assert.equal(provider.received.length, 0);
  });

  test("of a model without a price is refused where money is limited; a translation is the same", async (context) => {
    const { hear, openai, provider } = await startScene(context);
    await assert.rejects(hear("whisper-of-nobody", wav(1)), { status: 400, code: "model_unpriced" });
    const file = await toFile(wav(1), "speech.wav");
    assert.equal((await openai.audio.translations.create({ model: "whisper-1", file })).text, "Aye.");
    assert.equal(provider.received[0]?.url, "/v1/audio/translations");
  });
});
