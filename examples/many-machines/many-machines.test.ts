import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fleetOf, ownHypervisor, raiseFleet } from '@machinist/machinist'
import { afterAll, expect, it, vi } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'many-machines-'))
/** `j .`: a program that spins, in the place of Linux. */
writeFileSync(join(folder, 'spin'), Uint8Array.of(0x6f, 0, 0, 0))
const hypervisor = ownHypervisor({ processors: 1 })
afterAll(() => {
  hypervisor.close()
  rmSync(folder, { recursive: true })
})

interface Data {
  readonly pools: object
  readonly machines: Readonly<Record<string, object>>
}

it('each machine is entitled to what its shares and those of its pool give it', async () => {
  const { pools, machines } = JSON.parse(readFileSync(new URL('fleet.json', import.meta.url), 'utf8')) as Data
  const spinning = Object.fromEntries(Object.entries(machines).map(([name, machine]) => [name, { ...machine, kernel: 'spin', net: 'none' }]))
  await raiseFleet(hypervisor, await fleetOf({ pools, machines: spinning }, join(folder, 'fleet.json')))
  // All of them want a whole processor, and there is one.
  const rows = await vi.waitUntil(async () => {
    const table = await hypervisor.table()
    return table.rows.every(({ kind, resources }) => kind !== 'machine' || (resources.cpu?.demand ?? 0) > 0.9) && table.rows
  }, { timeout: 4 * 60_000 })
  const entitled = Object.fromEntries(rows.map(({ name, resources }) => [name, Number(resources.cpu?.entitled.toFixed(2))]))
  expect(entitled).toEqual({ '': 1, 'day': 0.67, 'night': 0.33, 'web-1': 0.33, 'web-2': 0.33, 'batch': 0.33 })
})
