import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { virt, virtCatalogue } from '@machinist/boards'
import { fileDisk, nodeHost, openSnapshotFile, rewriteSnapshotFile, saveSnapshotFile } from '@machinist/host-node'
import { createMachine, instantiateStored, type Machine, part } from '@machinist/machine'
import { virtioPmem } from '@machinist/virtio'
import { afterAll, expect, it } from 'vitest'
import { codeOfAsync } from '../../../api/test/code-of.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-parents-'))
afterAll(() => { rmSync(folder, { recursive: true }) })
const at = (name: string): string => join(folder, name)

const RAM = 0x8000_0000
/** `j .` */
const loop = new Uint8Array(new Uint32Array([0x0000_006f]).buffer)
const PMEM = 2 << 20

function machineWithPmem(): Machine {
  writeFileSync(at('pmem.img'), '')
  truncateSync(at('pmem.img'), PMEM)
  const blueprint = virt({ console: 'null', memory: 16 << 20, devices: { pmem: part(virtioPmem, { config: { size: PMEM }, backends: { disk: fileDisk(at('pmem.img')) } }) } })
  const definition = { ...blueprint.definition, boot: { protocol: 'raw' as const, images: [{ name: 'code', at: RAM, bytes: loop }], entry: RAM } }
  const machine = createMachine({ ...blueprint, definition }, nodeHost())
  machine.start({ drive: 'caller' })
  machine.runSlice(0)
  return machine
}

function restore(name: string): Machine {
  const stored = openSnapshotFile(at(name))
  try {
    return instantiateStored(stored, virtCatalogue, nodeHost(), { backends: { 'pmem.disk': fileDisk(at('pmem.img')) } })
  } finally {
    stored.close()
  }
}

const read = (machine: Machine, address: number): number => {
  const bytes = new Uint8Array(1)
  machine.memory.read(address, bytes)
  return bytes[0] ?? -1
}

it('a file has what changed since its parent, of the memory of devices too, whoever else counts what is dirty', async () => {
  const machine = machineWithPmem()
  const [pmem] = machine.memory.regions.filter(({ base }) => base !== RAM)
  if (pmem === undefined) throw new Error('no pmem')
  const noise = new Uint8Array(1 << 20)
  let random = 7
  noise.forEach((_, index) => { noise[index] = (random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0) >>> 24 })
  machine.memory.write(RAM + (1 << 20), noise)
  machine.memory.write(pmem.base, Uint8Array.of(1))
  await saveSnapshotFile(machine, at('a.snapshot'))
  machine.memory.write(pmem.base, Uint8Array.of(2))
  machine.memory.write(RAM + 0x8000, Uint8Array.of(3))
  // As a flush of the device does, and somebody who looks for what is to be drawn or sent.
  machine.memory.takeDirty(pmem)
  machine.memory.takeDirty()
  // A page that is given back and read again was never written.
  machine.memory.release(RAM + (1 << 20), 4096)
  machine.memory.resolve(RAM + (1 << 20))
  await saveSnapshotFile(machine, at('b.snapshot'), { parent: at('a.snapshot') })
  machine.dispose()
  expect(statSync(at('a.snapshot')).size).toBeGreaterThan(1e6)
  expect(statSync(at('b.snapshot')).size).toBeLessThan(5e4)
  const values = (name: string): number[] => {
    const copy = restore(name)
    const found = [pmem.base, RAM + 0x8000, RAM + (1 << 20), RAM + (1 << 20) + 4096].map((address) => read(copy, address))
    copy.dispose()
    return found
  }
  expect(values('a.snapshot')).toEqual([1, 0, noise[0], noise[4096]])
  expect(values('b.snapshot')).toEqual([2, 3, 0, noise[4096]])
  // Written anew without its parent, it needs it no more.
  await rewriteSnapshotFile(at('b.snapshot'), at('alone.snapshot'))
  mkdirSync(at('elsewhere'))
  renameSync(at('alone.snapshot'), at('elsewhere/alone.snapshot'))
  expect(values('elsewhere/alone.snapshot')).toEqual([2, 3, 0, noise[4096]])
  expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([])
})

it('a parent is found in the folder of its child or below, and nowhere else', async () => {
  const machine = machineWithPmem()
  mkdirSync(at('tree/below'), { recursive: true })
  await saveSnapshotFile(machine, at('tree/below/a.snapshot'))
  await saveSnapshotFile(machine, at('tree/b.snapshot'), { parent: at('tree/below/a.snapshot') })
  expect(await codeOfAsync(() => saveSnapshotFile(machine, at('tree/below/c.snapshot'), { parent: at('tree/b.snapshot') }))).toBe('snapshot-parent')
  expect(await codeOfAsync(() => saveSnapshotFile(machine, at('tree/b.snapshot'), { parent: at('tree/b.snapshot') }))).toBe('snapshot-parent')
  expect(await codeOfAsync(() => saveSnapshotFile(machine, at('tree/c.snapshot'), { parent: at('tree/none.snapshot') }))).toBe('file-enoent')
  machine.dispose()
  restore('tree/b.snapshot').dispose()
  renameSync(at('tree/below/a.snapshot'), at('outside.snapshot'))
  expect(await codeOfAsync(() => openSnapshotFile(at('tree/b.snapshot')))).toBe('snapshot-parent')
  symlinkSync(at('outside.snapshot'), at('tree/below/a.snapshot'))
  expect(await codeOfAsync(() => openSnapshotFile(at('tree/b.snapshot')))).toBe('snapshot-parent')
  rmSync(at('tree/below/a.snapshot'))
  copyFileSync(at('outside.snapshot'), at('tree/below/a.snapshot'))
  restore('tree/b.snapshot').dispose()
})
