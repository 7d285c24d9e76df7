export { createFakeClock, type FakeClock } from "./fake-clock.ts";
export { type MutantStore, mutantStores } from "./mutant-stores.ts";
export { openTestPostgres, startTestPostgres, type TestPostgres } from "./postgres-server.ts";
export { type OpenStore, type StoreCase, storeContract } from "./store-contract.ts";
