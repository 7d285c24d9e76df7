import type { ReadStream } from "node:tty";
import { PurserError } from "@purser/core";

const PIPED_MOST = 4_096;

/** Where a secret comes from: a terminal, or what is piped in. */
export type SecretInput = AsyncIterable<Uint8Array | string> & Pick<ReadStream, "isTTY"> & Partial<Pick<ReadStream, "setRawMode">>;

/** Asks for a secret on a terminal without showing it, twice; or takes the first line of what is piped in. */
export async function readSecret(input: SecretInput, ask: (text: string) => void): Promise<string> {
  if (!input.isTTY) return firstLine(input);
  const keys = keysOf(input);
  input.setRawMode?.(true);
  try {
    ask("Password: ");
    const first = await typed(keys);
    ask("\nAgain: ");
    const second = await typed(keys);
    ask("\n");
    if (first === second) return first;
  } finally {
    input.setRawMode?.(false);
    await keys.return(undefined);
  }
  throw new PurserError("body_invalid", "These are two different passwords. Try again.");
}

async function firstLine(input: SecretInput): Promise<string> {
  let text = "";
  for await (const chunk of input) {
    text += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("utf8");
    if (text.includes("\n") || text.length > PIPED_MOST) break;
  }
  return text.split(/\r?\n/, 1)[0] ?? "";
}

/** Letter by letter, also what was pasted at once. */
async function* keysOf(input: SecretInput): AsyncGenerator<string, undefined> {
  for await (const chunk of input) yield* typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("utf8");
  return undefined;
}

async function typed(keys: AsyncGenerator<string, undefined>): Promise<string> {
  let text = "";
  for (;;) {
    const { value, done } = await keys.next();
    if (done || value === "\u0003") throw new PurserError("body_invalid", "No password was typed, so nothing was changed.");
    if (value === "\r" || value === "\n" || value === "\u0004") return text;
    text = value === "\u007f" || value === "\b" ? [...text].slice(0, -1).join("") : text + value;
  }
}
