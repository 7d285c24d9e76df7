import { hash, randomBytes, timingSafeEqual } from "node:crypto";
import { join } from "node:path";
import { readOrWriteOnce, readWritten } from "../written-once.ts";

const ADMIN_TOKEN_FILE = "admin.token";
const PREFIX = "pa-";

/** The owner's token of a data folder: whoever can read the folder is the owner. Made at the first start, readable by its owner only. */
export function readOrCreateAdminToken(directory: string): Promise<string> {
  return readOrWriteOnce(join(directory, ADMIN_TOKEN_FILE), () => `${PREFIX}${randomBytes(32).toString("base64url")}`);
}

/** The owner's token, where a server has made one. */
export function readAdminToken(directory: string): Promise<string | undefined> {
  return readWritten(join(directory, ADMIN_TOKEN_FILE));
}

/** Compares hashes, so that the time it takes says nothing about the token, but for the beginning that all tokens have. */
export function isAdminToken(credential: string, token: string): boolean {
  if (token.startsWith(PREFIX) && !credential.startsWith(PREFIX)) return false;
  return timingSafeEqual(hash("sha256", credential, "buffer"), hash("sha256", token, "buffer"));
}
