import { randomBytes } from "node:crypto";
import { open, rename } from "node:fs/promises";
import { join } from "node:path";

/** Writes a file of a folder, readable by its owner only, whole or not at all. Resolves when it is on disk. */
export async function writeDurably(folder: string, name: string, bytes: Buffer): Promise<void> {
  const draft = join(folder, `${name}.${randomBytes(4).toString("hex")}`);
  const handle = await open(draft, "wx", 0o600);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(draft, join(folder, name));
  const parent = await open(folder, "r");
  // A name is on disk when its folder is. Windows has no such thing to ask for.
  await parent.sync().catch(() => undefined);
  await parent.close();
}
