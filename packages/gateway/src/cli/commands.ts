import type { Command } from "./command.ts";
import { adjust } from "./commands/adjust.ts";
import { allowances } from "./commands/allowances.ts";
import { audit } from "./commands/audit.ts";
import { budgets } from "./commands/budgets.ts";
import { calibrate } from "./commands/calibrate.ts";
import { check } from "./commands/check.ts";
import { commitments } from "./commands/commitments.ts";
import { count } from "./commands/count.ts";
import { economics } from "./commands/economics.ts";
import { env } from "./commands/env.ts";
import { explain } from "./commands/explain.ts";
import { grant } from "./commands/grant.ts";
import { guards } from "./commands/guards.ts";
import { handovers } from "./commands/handovers.ts";
import { keys } from "./commands/keys.ts";
import { price } from "./commands/price.ts";
import { queue } from "./commands/queue.ts";
import { recommend } from "./commands/recommend.ts";
import { reconcile } from "./commands/reconcile.ts";
import { replay } from "./commands/replay.ts";
import { report } from "./commands/report.ts";
import { run } from "./commands/run.ts";
import { savings } from "./commands/savings.ts";
import { serve } from "./commands/serve.ts";
import { statement } from "./commands/statement.ts";
import { statusline } from "./commands/statusline.ts";
import { store } from "./commands/store.ts";
import { off, on, switches } from "./commands/switches.ts";
import { tell } from "./commands/tell.ts";
import { top } from "./commands/top.ts";
import { trials } from "./commands/trials.ts";
import { users } from "./commands/users.ts";
import { waste } from "./commands/waste.ts";

/** Every command, in the order in which they are met. */
export const COMMANDS: readonly Command[] = [
  serve,
  run,
  budgets,
  allowances,
  commitments,
  grant,
  explain,
  report,
  replay,
  reconcile,
  recommend,
  trials,
  adjust,
  statement,
  top,
  economics,
  waste,
  savings,
  statusline,
  keys,
  users,
  audit,
  calibrate,
  env,
  off,
  on,
  switches,
  guards,
  queue,
  handovers,
  tell,
  store,
  {
    name: "check",
    summary: "read purser.yaml aloud, or say what is wrong with it; and check prompts against its budgets",
    usage: "[FILE] [--prompts FILE [--against REF|FOLDER] [--markdown]] [--schema]",
    help: [
      "  FILE            purser.yaml in this folder where it is left out",
      "  --prompts FILE  instead: whether the prompts that this file lists fit the budgets, and what they cost",
      "  --against REF   with the cost of what changed since a commit of git; or since ./FOLDER, which has the other version",
      "  --markdown      as Markdown, for a comment on the change",
      "  --schema        the JSON Schema of the file, for editors; with --prompts, of that file",
      "",
      "Example: purser check --prompts prompts.yaml --against origin/main",
    ].join("\n"),
    run: ({ args }, { env, cwd }) => check([...args], { environment: env, cwd }),
  },
  {
    name: "price",
    summary: "what a model costs",
    usage: "MODEL [--provider NAME] [--input TOKENS] [--output TOKENS] [--at YYYY-MM-DD] [--config FILE]",
    help: [
      "  --provider NAME   where it is bought; the provider that calls to it would go to where it is left out",
      "  --input TOKENS    with --output: what one call of this size costs",
      "  --at YYYY-MM-DD   the price of another day",
      "  --config FILE     the configuration, whose own prices count; purser.yaml where it is left out",
    ].join("\n"),
    run: ({ args }, { env, cwd }) => price([...args], { environment: env, cwd }),
  },
  {
    name: "count",
    summary: "how many tokens a text has, and what it costs to send",
    usage: "[--model MODEL] [--provider NAME] [--config FILE] [FILE|-]",
    help: "  FILE           the text; what is piped in where it is left out\n  --model MODEL  for which model; gpt-4o where it is left out",
    run: ({ args }, { env, cwd }) => count([...args], { environment: env, cwd }),
  },
];
