import { test } from "node:test";
import { leaseContract, storeContract } from "../testing/index.ts";
import { createMemoryStore } from "./memory.ts";

for (const { name, run } of storeContract) {
  test(`memory store: ${name}`, () => run(async (options) => createMemoryStore(options)));
}

for (const { name, run } of leaseContract) {
  test(`memory store, leases: ${name}`, () => run(async (options) => createMemoryStore(options)));
}
