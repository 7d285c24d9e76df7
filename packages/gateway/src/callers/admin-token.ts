import { hash, randomBytes, timingSafeEqual } from "node:crypto";
import { link, mkdir, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";

const ADMIN_TOKEN_FILE = "admin.token";
const PREFIX = "pa-";

/** The owner's token of a data folder: whoever can read the folder is the owner. Made at the first start, readable by its owner only. */
export async function readOrCreateAdminToken(directory: string): Promise<string> {
  const known = await readAdminToken(directory);
  if (known !== undefined) return known;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, ADMIN_TOKEN_FILE);
  const draft = `${file}.${randomBytes(6).toString("hex")}.draft`;
  const handle = await open(draft, "w", 0o600);
  try {
    await handle.writeFile(`${PREFIX}${randomBytes(32).toString("base64url")}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  try {
    // A link appears whole or not at all, and never replaces the token that another process was quicker to make.
    await link(draft, file);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
  } finally {
    await rm(draft, { force: true });
  }
  return (await readAdminToken(directory)) ?? readOrCreateAdminToken(directory);
}

/** The owner's token, where a server has made one. */
export async function readAdminToken(directory: string): Promise<string | undefined> {
  try {
    const token = (await readFile(join(directory, ADMIN_TOKEN_FILE), "utf8")).trim();
    return token === "" ? undefined : token;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw cause;
  }
}

/** Compares hashes, so that the time it takes says nothing about the token, but for the beginning that all tokens have. */
export function isAdminToken(credential: string, token: string): boolean {
  if (token.startsWith(PREFIX) && !credential.startsWith(PREFIX)) return false;
  return timingSafeEqual(hash("sha256", credential, "buffer"), hash("sha256", token, "buffer"));
}
