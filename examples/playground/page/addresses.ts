/** Addresses of IPv4 for the machines of this tab. Other tabs are on the same switches, and all addresses are in 10.0.0.0/16. */

/** Part 3 of an address is a tab's, part 4 a machine's. */
const TABS = 250
const MACHINES = 254

/** What of the browser's locks is used (Web Locks, 3): they are held by one tab of an origin, and until it is closed. */
export interface Locks {
  request(name: string, options: { readonly ifAvailable: true }, held: (lock: object | null) => Promise<void> | undefined): Promise<void>
}

/** Takes a number of the tab's own, for as long as it is open; null when another tab has it. */
function take(locks: Locks, number: number): Promise<number | null> {
  return new Promise((resolve, reject) => {
    locks.request(`machinist:playground:${number}`, { ifAvailable: true }, (lock) => {
      resolve(lock === null ? null : number)
      return lock === null ? undefined : new Promise(() => undefined)
    }).catch(reject)
  })
}

/** The tab's number. Where a page has no locks, as without https, it is drawn, and two tabs may draw the same. */
async function numberOfTab(locks: Locks | null): Promise<number> {
  const first = 1 + (crypto.getRandomValues(new Uint8Array(1))[0] ?? 0) % TABS
  if (locks === null) return first
  for (let step = 0; step < TABS; step++) {
    const taken = await take(locks, 1 + (first - 1 + step) % TABS)
    if (taken !== null) return taken
  }
  throw new Error(`${TABS} tabs have machines: close one of them, and load this one again.`)
}

/**
 * @param locks - the browser's; null where it has none
 * @returns the next address of this tab that none of those in use is, the one that was given last after all others
 */
export async function addressesOfTab(locks: Locks | null): Promise<(used: readonly string[]) => string> {
  const tab = await numberOfTab(locks)
  let last = 0
  return (used) => {
    for (;;) {
      last = last % MACHINES + 1
      const address = `10.0.${tab}.${last}`
      if (!used.includes(address)) return address
    }
  }
}
