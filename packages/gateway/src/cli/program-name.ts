import { existsSync } from "node:fs";
import { delimiter, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** How this program is called from a folder, so that what it prints can be pasted there. */
export function programName(cwd: string, path = process.env.PATH ?? ""): string {
  const file = process.platform === "win32" ? "purser.cmd" : "purser";
  // Package managers put their own folder into the path of what they start; the reader's shell does not have it.
  const isInstalled = path.split(delimiter).some((folder) => !folder.includes("node_modules") && existsSync(join(folder, file)));
  if (isInstalled) return "purser";
  for (let folder = cwd; ; folder = dirname(folder)) {
    if (existsSync(join(folder, "node_modules", ".bin", file))) return "npx purser";
    if (dirname(folder) === folder) break;
  }
  return `node ${relative(cwd, fileURLToPath(new URL("./main.js", import.meta.url)))}`;
}
