import type { CallDetail, Charge, Entry } from "../domain/ledger.ts";

/** An entry that went through JSON, which leaves out what is unknown: here it is said again, so that it equals the one that was written. */
export function restoreEntry(entry: Entry): Entry {
  const { detail, charge } = entry as { readonly detail?: CallDetail; readonly charge?: Charge };
  if (!detail && !charge) return entry;
  return { ...entry, ...(detail && { detail: restoreDetail(detail) }), ...(charge && { charge: restoreCharge(charge) }) } as Entry;
}

function restoreDetail(detail: CallDetail): CallDetail {
  return { ...detail, cost: detail.cost, price: detail.price };
}

function restoreCharge(charge: Charge): Charge {
  return { ...charge, cost: charge.cost };
}
