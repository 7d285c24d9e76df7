import { statSync } from "node:fs";
import { dirname, relative, resolve, sep } from "node:path";
import { PurserError } from "@purser/core";
import type { Config } from "../config/config.ts";
import { CONFIG_FILE, examineConfig } from "../config/read-config.ts";
import { type Problem, problemText } from "../config/source.ts";
import { CommitTree } from "./commit-tree.ts";
import { type Prompt, readPrompts, textOf } from "./read-prompts.ts";
import { FolderTree, type Tree } from "./tree.ts";

/** What is checked, and where. */
export interface Checked {
  readonly cwd: string;
  readonly environment: NodeJS.ProcessEnv;
  /** The prompts and the configuration of now, as they were named. */
  readonly promptsFile: string;
  readonly config: Config;
}

/** Prompts and configuration of another version. */
export interface Baseline {
  /** `main (a1b2c3d)`, or the folder. */
  readonly name: string;
  readonly prompts: readonly Prompt[];
  /** The configuration that held; that of now, where there was none. */
  readonly config: Config;
  /** What a reader of the comparison has to know. */
  readonly remarks: readonly string[];
}

/** A version in which nothing can be compared with: its own files are wrong. Mending them is no reason to refuse a change. */
export interface UnreadableBaseline {
  readonly name: string;
  readonly unreadable: readonly string[];
}

/** Both are written by people. */
const FILE_MOST = 1_048_576;

/**
 * Reads another version of the same files: out of git where `against` is a ref; from a folder where it begins with a dot or a slash. Throws
 * `baseline_missing` where there is none.
 */
export function readBaseline(against: string, checked: Checked): Baseline | UnreadableBaseline {
  const { cwd, environment, promptsFile, config: configNow } = checked;
  const { name, root, at } = /^[./]/.test(against) ? folderOf(against, cwd) : commitOf(against, { cwd, environment });
  const config = readFormerConfig(name, root, checked);
  if ("unreadable" in config) return { name, unreadable: config.unreadable };
  const found = root.read(fromHere(promptsFile, cwd), FILE_MOST);
  if ("because" in found) {
    const remark = `${promptsFile} ${found.because} at ${name}: every prompt is new.`;
    return { name, prompts: [], config: config.config, remarks: [...config.remarks, remark] };
  }
  const text = new TextDecoder().decode(found.bytes);
  const tree = at(dirname(fromHere(promptsFile, cwd)));
  const { prompts, problems } = readPrompts({ file: promptsFile, text, tree, bytesMost: configNow.server.maxBodyBytes });
  if (problems.length > 0) return { name, unreadable: problemTexts(problems) };
  return { name, prompts, config: config.config, remarks: config.remarks };
}

interface Version {
  readonly name: string;
  /** What lay in the working folder. */
  readonly root: Tree;
  at(folder: string): Tree;
}

function folderOf(against: string, cwd: string): Version {
  const folder = resolve(cwd, against);
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new PurserError(
      "baseline_missing",
      `There is no folder ${against}. Name one that has the other version, or a ref of git without a dot before it.`,
    );
  return { name: against, root: new FolderTree(folder), at: (below) => new FolderTree(resolve(folder, below)) };
}

function commitOf(ref: string, place: Pick<Checked, "cwd" | "environment">): Version {
  const commit = CommitTree.at(ref, place);
  return { name: `${ref} (${commit.shortName})`, root: commit, at: (below) => commit.below(below) };
}

/** A file from the working folder, in the form that git has for paths. */
function fromHere(file: string, cwd: string): string {
  return relative(cwd, resolve(cwd, file)).split(sep).join("/");
}

/** The configuration that held. Of one that was not there, or lies elsewhere, that of now. */
function readFormerConfig(
  name: string,
  root: Tree,
  { cwd, environment, config }: Checked,
): { readonly config: Config; readonly remarks: readonly string[] } | { readonly unreadable: readonly string[] } {
  const file = config.file ?? CONFIG_FILE;
  const found = root.read(fromHere(file, cwd), FILE_MOST);
  if ("because" in found)
    return {
      config,
      remarks: config.file === undefined ? [] : [`${file} ${found.because} at ${name}: both versions go by the one of now.`],
    };
  const text = textOf(found.bytes);
  if (text === undefined) return { unreadable: [`${file} is no text in UTF-8.`] };
  const reading = examineConfig({ file, text, environment, cwd });
  return reading.config ? { config: reading.config, remarks: [] } : { unreadable: problemTexts(reading.problems) };
}

function problemTexts(problems: readonly Problem[]): readonly string[] {
  return problems.map(problemText);
}
