/** The two formats, each with what a plain call in it looks like. */
export const FORMATS = [
  { name: "openai", path: "/v1/chat/completions" },
  { name: "anthropic", path: "/v1/messages" },
] as const;

export type Format = (typeof FORMATS)[number];

/** A small call that is right in both formats. */
export const PLAIN_CALL = { model: "m", max_tokens: 100, messages: [{ role: "user", content: "Ahoy" }] } as const;

export const JSON_HEADERS = { "content-type": "application/json" };

// biome-ignore lint/suspicious/noExplicitAny: JSON from outside has no type.
export type Json = any;

/** What came back of a call. */
export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: Json;
}

/** Sends a call as a client without an SDK would. A text is sent as it stands, and a form as one. */
export async function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Answered> {
  if (body instanceof FormData) return readAnswer(await fetch(url, { method: "POST", headers, body }));
  const response = await fetch(url, {
    method: "POST",
    headers: { ...JSON_HEADERS, ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return readAnswer(response);
}

export async function readAnswer(response: Response): Promise<Answered> {
  const text = await response.text();
  let json: Json;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: response.status, headers: response.headers, text, json };
}

/** What a call fails with that must not be answered. */
export async function failureOf(asked: Promise<unknown>): Promise<unknown> {
  try {
    await asked;
  } catch (error) {
    return error;
  }
  throw new Error("It was answered.");
}
