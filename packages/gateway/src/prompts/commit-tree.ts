import { spawnSync } from "node:child_process";
import { posix } from "node:path";
import { PurserError } from "@purser/core";
import { type FoundFile, LEADS_OUT, NOT_THERE, type Tree, tooLarge } from "./tree.ts";

/** Where git is asked. */
export interface GitPlace {
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** The files below a folder of a repository as they were at a commit. They are read out of git; nothing is checked out. */
export class CommitTree implements Tree {
  readonly #place: GitPlace;
  readonly #commit: string;
  /** The folder, from the root of the repository. */
  readonly #folder: string;

  private constructor(place: GitPlace, commit: string, folder: string) {
    this.#place = place;
    this.#commit = commit;
    this.#folder = folder;
  }

  /** Finds the commit that a ref names. Throws `baseline_missing` where there is none, or no git. */
  static at(ref: string, place: GitPlace): CommitTree {
    // What begins with a dash is an option to git.
    if (ref === "" || ref.startsWith("-")) throw missing(`"${ref}" is no ref. Name a branch, a tag or a commit: --against origin/main.`);
    const prefix = git(["rev-parse", "--show-prefix"], place);
    if (prefix.status !== 0)
      throw missing(`--against ${ref} needs a git repository, and git says: ${prefix.said} For a folder, write ./${ref}.`);
    const commit = git(["rev-parse", "--verify", "--quiet", "--end-of-options", `${ref}^{commit}`], place);
    if (commit.status !== 0)
      throw missing(
        `There is no commit "${ref}" in this repository. CI often has the newest commit only: fetch the other one first (git fetch origin BRANCH, or ` +
          `fetch-depth: 0 for actions/checkout). For a folder, write ./${ref}.`,
      );
    return new CommitTree(place, commit.output.toString("utf8").trim(), prefix.output.toString("utf8").trim());
  }

  /** The first letters of the commit. */
  get shortName(): string {
    return this.#commit.slice(0, 7);
  }

  /** The same commit, seen from another folder. */
  below(folder: string): CommitTree {
    return new CommitTree(this.#place, this.#commit, posix.join(this.#folder, folder));
  }

  read(path: string, bytesMost: number): FoundFile {
    const file = posix.join(this.#folder, path);
    if (file.startsWith("../") || posix.isAbsolute(file)) return { because: LEADS_OUT };
    const { output, isTooMuch } = git(["cat-file", "--batch", "--follow-symlinks"], this.#place, {
      input: `${this.#commit}:${file}\n`,
      bytesMost: bytesMost + HEADER_MOST,
    });
    if (isTooMuch) return { because: tooLarge(bytesMost) };
    return readBatch(output, bytesMost);
  }
}

const HEADER_MOST = 4_096;

/** What `git cat-file --batch --follow-symlinks` says of one object: a line about it, and the object. */
function readBatch(output: Buffer, bytesMost: number): FoundFile {
  const end = output.indexOf("\n");
  const line = output.toString("utf8", 0, Math.max(0, end));
  const [, type, size] = /^[0-9a-f]{40,64} (\w+) (\d+)$/.exec(line) ?? [];
  if (type === "blob" && Number(size) > bytesMost) return { because: tooLarge(bytesMost) };
  if (type === "blob") return { bytes: Buffer.from(output.subarray(end + 1, end + 1 + Number(size))) };
  if (type !== undefined) return { because: "is a folder" };
  return { because: line.startsWith("symlink ") ? LEADS_OUT : NOT_THERE };
}

interface Asked {
  readonly input?: string;
  readonly bytesMost?: number;
}

const OUTPUT_MOST = 65_536;

function git(args: readonly string[], { cwd, environment }: GitPlace, { input = "", bytesMost = OUTPUT_MOST }: Asked = {}) {
  const { status, stdout, stderr, error } = spawnSync("git", args, {
    cwd,
    env: { ...environment, LC_ALL: "C" } as NodeJS.ProcessEnv,
    input,
    maxBuffer: bytesMost,
  });
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code !== undefined && code !== "ENOBUFS")
    throw missing(`git cannot be run (${code}). Install it, or name a folder that has the other version: --against ./FOLDER.`);
  const said = (stderr?.toString("utf8").trim().split("\n")[0] ?? "").replace(/^fatal: /, "").slice(0, 300);
  return { status, output: stdout, said: said === "" ? "nothing." : `${said.replace(/\.$/, "")}.`, isTooMuch: code === "ENOBUFS" };
}

function missing(message: string): PurserError {
  return new PurserError("baseline_missing", message);
}
