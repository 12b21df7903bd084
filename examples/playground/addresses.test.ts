import { expect, test } from 'vitest'
import { addressesOfTab, type Locks } from './page/addresses.ts'

/** Locks of one origin: whoever comes first has one. */
function locksOfOrigin(): Locks {
  const held = new Set<string>()
  return {
    request(name, _, callback) {
      const free = !held.has(name)
      held.add(name)
      return Promise.resolve(callback(free ? {} : null))
    },
  }
}

test('no two machines of an origin have one address, in as many tabs as there may be', async () => {
  const locks = locksOfOrigin()
  const all = new Set<string>()
  for (let tab = 0; tab < 250; tab++) {
    const next = await addressesOfTab(locks)
    const used: string[] = []
    for (let machine = 0; machine < 8; machine++) used.push(next(used))
    for (const address of used) all.add(address)
  }
  expect(all.size).toBe(250 * 8)
  expect([...all].every((address) => /^10\.0\.(?:\d|[1-9]\d|1\d\d|2[0-4]\d|250)\.[1-8]$/.test(address))).toBe(true)
  await expect(addressesOfTab(locks)).rejects.toThrow('250 tabs')
})

test('a tab gives no address again that is in use, however many it gave', async () => {
  const next = await addressesOfTab(null)
  const kept = next([])
  for (let count = 0; count < 1000; count++) expect(next([kept])).not.toBe(kept)
})
