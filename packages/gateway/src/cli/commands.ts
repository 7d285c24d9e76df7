import type { Command } from "./command.ts";
import { budgets } from "./commands/budgets.ts";
import { check } from "./commands/check.ts";
import { explain } from "./commands/explain.ts";
import { keys } from "./commands/keys.ts";
import { run } from "./commands/run.ts";
import { serve } from "./commands/serve.ts";

/** Every command, in the order in which they are met. */
export const COMMANDS: readonly Command[] = [
  serve,
  run,
  budgets,
  explain,
  keys,
  {
    name: "check",
    summary: "read purser.yaml aloud, or say what is wrong with it",
    usage: "[FILE]",
    help: "  FILE    purser.yaml in this folder where it is left out\n  --json  the same for programs",
    run: ({ args }, { env, cwd }) => check([...args], { environment: env, cwd }),
  },
];
