import { spawnSync } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));

/** What the compiler says about lines of a module, in which values are given the types that makers publish with their SDKs. */
export async function typeErrors(context: TestContext, lines: readonly string[], more: readonly string[] = []): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), "purser-types-"));
  context.after(() => rm(folder, { recursive: true, force: true }));
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  await writeFile(join(folder, "calls.mts"), lines.join("\n"));
  const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022", ...more, "calls.mts"];
  const { stdout, error } = spawnSync(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), ...options], {
    cwd: folder,
    encoding: "utf8",
  });
  if (error) throw error;
  return stdout
    .split("\n")
    .filter((line) => line.includes("error TS"))
    .map((line) => line.slice(0, 500));
}
