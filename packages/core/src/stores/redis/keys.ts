/** The names of a store's keys. All carry one hash tag, so that a cluster keeps them in one slot and a script can change them together. */
export interface Keys {
  /** What all of them begin with. */
  readonly prefix: string;
  /** A hash: the last entry, its time, the epoch, and the last entry of each instance. */
  readonly meta: string;
  /** A stream: one message for each entry, whose id is the number of the entry. */
  readonly ledger: string;
  /** Hashes: what each counter holds, and what it has spent. */
  readonly held: string;
  readonly spent: string;
  /** A hash: what each counter is. */
  readonly definitions: string;
  /** A hash: the slices of each moving window. */
  readonly series: string;
  /** A hash: what is granted beyond limits. */
  readonly grants: string;
  /** A sorted set: the reservations in flight by the end of their lease. */
  readonly leases: string;
  /** A sorted set: counters, series and grants by the time at which they can be forgotten. */
  readonly closing: string;
  /** A sorted set: some numbers of entries by their time, to find where a time begins. */
  readonly marks: string;
  /** A sorted set: the numbers of entries of kinds that are rare, so that these are found without the others. */
  readonly rare: string;
  /** What the key of each reservation begins with: a hash of its state and the numbers of its entries. */
  readonly reservation: string;
  /** What the key of each hold begins with: its estimate, its detail and its postings, while it can be settled or corrected. */
  readonly hold: string;
  /** What the key of each command that must not be carried out twice begins with. */
  readonly command: string;
  /** A hash: how much of each counter is allotted, and to how many leases. The scripts name it, and other keys of leases, themselves. */
  readonly allotted: string;
  /** A lock for what only one gateway may do at a time. */
  readonly lock: string;
}

export function keysOf(namespace: string): Keys {
  const key = (name: string) => `{${namespace}}:${name}`;
  return {
    prefix: key(""),
    meta: key("meta"),
    ledger: key("ledger"),
    held: key("held"),
    spent: key("spent"),
    definitions: key("definitions"),
    series: key("series"),
    grants: key("grants"),
    leases: key("leases"),
    closing: key("closing"),
    marks: key("marks"),
    rare: key("rare"),
    reservation: key("reservation:"),
    hold: key("hold:"),
    command: key("command:"),
    allotted: key("allotted"),
    lock: key("lock"),
  };
}
