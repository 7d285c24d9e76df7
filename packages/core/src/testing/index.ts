export { createFakeClock, type FakeClock } from "./fake-clock.ts";
export { type LeaseCase, leaseContract, type OpenLeasingStore } from "./lease-contract.ts";
export { type LeaseMutant, leaseMutants } from "./lease-mutants.ts";
export { type MutantStore, mutantStores } from "./mutant-stores.ts";
export { openTestPostgres, startTestPostgres, type TestPostgres } from "./postgres-server.ts";
export {
  type RedisProgram,
  startTestRedis,
  startTestRedisCluster,
  startTestSentinels,
  type TestRedis,
  type TestRedisCluster,
  type TestSentinels,
} from "./redis-server.ts";
export { type OpenStore, type StoreCase, storeContract } from "./store-contract.ts";
