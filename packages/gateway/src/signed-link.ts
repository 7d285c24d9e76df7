import { createHmac, hash, timingSafeEqual } from "node:crypto";

/** The key for links of one purpose, from the secret of the data folder: whoever can read that is the owner anyway. */
export function linkKey(adminToken: string, purpose: string): Buffer {
  return hash("sha256", `links for ${purpose} ${adminToken}`, "buffer");
}

/** All that a link, or a delegated key, says in a text that nobody can change without the key. */
export function signLink(said: object, key: Buffer): string {
  const content = Buffer.from(JSON.stringify(said)).toString("base64url");
  return `${content}.${signature(content, key).toString("base64url")}`;
}

/** What it says; nothing where it was not made with this key. */
export function readLink(token: string, key: Buffer): unknown {
  const [content = "", signed = "", ...rest] = token.split(".");
  const given = Buffer.from(signed, "base64url");
  const right = signature(content, key);
  if (rest.length > 0 || given.length !== right.length || !timingSafeEqual(given, right)) return undefined;
  return JSON.parse(Buffer.from(content, "base64url").toString("utf8"));
}

function signature(content: string, key: Buffer): Buffer {
  return createHmac("sha256", key).update(content).digest();
}
