export { createFakeClock, type FakeClock } from "./fake-clock.ts";
export { type LeaseCase, leaseContract, type OpenLeasingStore } from "./lease-contract.ts";
export { type LeaseMutant, leaseMutants } from "./lease-mutants.ts";
export { type MutantStore, mutantStores } from "./mutant-stores.ts";
export { type OpenStore, type StoreCase, storeContract } from "./store-contract.ts";
