import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { ProgramOrders, Said } from "./program-process.ts";
import { kill } from "./several-gateways.ts";

const PROGRAM = fileURLToPath(new URL("./program-process.js", import.meta.url));

/** A program in a process of its own, with the budgets of a file or of a gateway. */
export interface TestProgram {
  readonly child: ChildProcess;
  /** Makes all its calls at once, and returns their statuses. */
  makeCalls(): Promise<readonly number[]>;
  /** Begins with its calls, and does not wait for them. */
  begin(): void;
}

export async function startProgram(context: TestContext, orders: ProgramOrders): Promise<TestProgram> {
  const child = fork(PROGRAM, [JSON.stringify(orders)], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  context.after(() => kill(child));
  await said(child);
  return {
    child,
    begin: () => void child.send("begin"),
    async makeCalls() {
      child.send("begin");
      const done = await said(child);
      return done.kind === "done" ? done.statuses : [];
    },
  };
}

async function said(child: ChildProcess): Promise<Said> {
  const [message] = await Promise.race([
    once(child, "message"),
    once(child, "exit").then(([code]) => Promise.reject(new Error(`The program ended with ${code} before it said anything.`))),
  ]);
  return message as Said;
}
