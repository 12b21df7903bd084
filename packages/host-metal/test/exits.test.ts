import { syscon } from '@machinist/devices'
import { part } from '@machinist/machine'
import { expect, test } from 'vitest'
import { asm } from './assembler.ts'
import { CLINT, metal, OFF, PLIC, RAM, TEST, UART } from './metal-machine.ts'

const { addi, ecall, j, la, li, load, store } = asm
const off = [...li(5, TEST), ...li(6, OFF), store(2, 6, 5)]
/** Another seed by `MACHINIST_SEED`. */
const SEED = Number(process.env['MACHINIST_SEED'] ?? 1)

/** xorshift32 */
function random(seed: number): (below: number) => number {
  let state = (seed * 0x9e37_79b9) >>> 0 || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state = (state ^ (state << 5)) >>> 0
    return state % below
  }
}

/** A handler for whatever the guest is told it did wrong: the next instruction. All here have four bytes. */
const HANDLER = 16
const skip = [0x1410_2373, addi(6, 6, 4), 0x1413_1073, asm.sret]
const begin = [asm.auipc(5, 0), addi(5, 5, 4 * HANDLER), asm.csrw(0x105, 5), j(4 * (HANDLER + skip.length - 3))]
const guarded = (body: readonly number[]): number[] => [...begin, ...Array.from({ length: HANDLER - begin.length }, () => addi(0, 0, 0)), ...skip, ...body]

test('accesses of every width and alignment, in memory and out of it, never end anything but themselves', () => {
  const next = random(SEED)
  const on = metal()
  const places = [UART, PLIC, PLIC + 0x20_0000, CLINT, CLINT + 0x4000, CLINT + 0xbff8, 0, 0x1000, 0x0300_0000, RAM - 8, RAM + 0x80_0000 - 8, RAM + 0x80_0000, RAM + 0x10_0ffc]
  const body = Array.from({ length: 400 }, () => {
    const at = (places[next(places.length)] ?? 0) + next(8)
    const access = next(2) === 0 ? load(next(7), 9, 8) : store(next(4), 9, 8)
    return [...(at >= 2 ** 31 ? la(8, at) : li(8, at)), access]
  }).flat()
  const { machine } = on.machine(guarded([...body, ...off]))
  machine.start()
  on.run(machine)
  expect(machine.state).toBe('off')
})

test('SBI calls of any number with any arguments are answered, and end nothing but the guest that asks', async () => {
  const next = random(SEED + 1)
  const on = metal()
  const extensions = [0x10, 0x5449_4d45, 0x73_5049, 0x5246_4e43, 0x48_534d, 0x4442_434e, 0x50_4d55, 0x5355_5350, 0, 1, 2, 3, 4, 5, 6, 7, 0x7fff_ffff, 0x4e41_434c]
  const values = [0, 1, 2, -1, 0x7fff_ffff, -0x8000_0000, 4096, 63, 64]
  const arbitrary = (): number => values[next(values.length)] ?? 0
  const body = Array.from({ length: 300 }, () => {
    const extension = extensions[next(extensions.length)] ?? 0
    // Not those that end the guest's only hart, or wait for what never comes.
    const number = extension === 0x48_534d ? 2 * next(2) : extension === 0x5355_5350 ? 1 + next(3) : next(9)
    return [...li(17, extension), ...li(16, number), ...li(10, arbitrary()), ...li(11, arbitrary()), ...li(12, arbitrary()), ...li(13, arbitrary()), ecall]
  }).flat()
  const asking = on.machine(guarded([...body, ...off]), { name: 'asks' })
  const other = on.machine([...li(10, UART), addi(11, 0, 0x21), store(0, 11, 10), ...off], { name: 'other' })
  asking.machine.start()
  other.machine.start()
  on.run(asking.machine)
  on.run(other.machine)
  expect([asking.machine.state, other.machine.state, String.fromCharCode(...other.output)]).toEqual(['off', 'off', '!'])
  expect(await asking.machine.finished()).toMatchObject({ error: null })
})

test('what TypeScript throws ends the one guest', async () => {
  const on = metal()
  const broken = on.machine([...li(8, RAM >>> 1), j(0)], { name: 'broken' })
  const well = on.machine([...li(10, UART), addi(11, 0, 0x21), store(0, 11, 10), ...off], { name: 'well' })
  const memory = broken.machine.memory
  memory.fault = () => { throw new Error('no memory') }
  broken.machine.start()
  well.machine.start()
  on.run(well.machine)
  on.run(broken.machine)
  expect((await broken.machine.finished()).error?.message).toContain('no memory')
  expect(String.fromCharCode(...well.output)).toBe('!')
})

test.each(['read', 'write'] as const)('a device whose model throws in its %s ends its guest, and the others go on', async (method) => {
  const on = metal({ harts: 2 })
  const spec: typeof syscon = {
    ...syscon,
    kind: 'broken',
    create(config, context) {
      const device = syscon.create(config, context)
      device[method] = () => { throw new Error('not like this') }
      return device
    },
  }
  const broken = on.machine([...li(8, 0x20_0000), method === 'read' ? load(2, 9, 8) : store(2, 0, 8), j(0)], { name: 'broken', devices: { broken: part(spec, { at: 0x20_0000 }) } })
  const well = on.machine([...li(10, UART), addi(11, 0, 0x21), ...Array.from({ length: 20 }, () => store(0, 11, 10)), ...off], { name: 'well' })
  broken.machine.start()
  well.machine.start()
  on.run(well.machine)
  expect((await broken.machine.finished()).error?.message).toContain('not like this')
  expect([String.fromCharCode(...well.output), well.machine.state]).toEqual(['!'.repeat(20), 'off'])
})

test('what is mapped is what the machine has, whatever happened to its memory', () => {
  const next = random(SEED + 2)
  const on = metal()
  // Goes over 64 pages again and again, writing one byte in each.
  const loop = [...la(8, RAM + 0x10_0000), ...la(9, RAM + 0x14_0000), ...li(12, 4096), store(0, 12, 8), asm.add(8, 8, 12), asm.bne(8, 9, -8)]
  const { machine } = on.machine([...loop, j(-4 * loop.length)])
  machine.start({ drive: 'caller' })
  const { memory } = machine
  for (let round = 0; round < 40; round++) {
    machine.runSlice(20_000)
    const at = RAM + 0x10_0000 + 4096 * next(64)
    if (next(3) === 0) memory.release(at, 4096 * (1 + next(8)))
    else if (next(2) === 0) memory.takeDirty()
    else memory.write(at, Uint8Array.of(1))
    const [vm] = on.native.vms
    for (const { guest, offset, writable } of vm?.mappings() ?? []) {
      const [region] = memory.regions
      if (region === undefined) throw new Error('no RAM')
      const page = (guest - region.base) / 4096
      expect([guest, memory.frameAddress(region, page)]).toEqual([guest, offset])
      if (writable) expect(memory.isDirty(region, page)).toBe(true)
    }
  }
  machine.dispose()
})
