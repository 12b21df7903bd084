/** A guest that writes nonsense to every register of every device of the `virt` machine: nothing may come of it but nonsense. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { CountedVcpu, CpuContext, CpuSpec, Exit, Width } from '@machinist/api'
import { virt, virtCatalogue } from '@machinist/boards'
import { fileDisk, nodeHost, stream } from '@machinist/host-node'
import { createMachine, part } from '@machinist/machine'
import { consoleWith, virtioMmio } from '@machinist/virtio'
import { afterAll, expect, it } from 'vitest'
import { held } from './held.ts'
import { blank, scratch } from './support.ts'

/** What a hart has of the machine. */
interface Bus {
  read(address: number, width: Width): number
  write(address: number, width: Width, value: number): unknown
}
interface Memory {
  write(address: number, from: Uint8Array): boolean
}

const RAM = 0x8000_0000
const RAM_SIZE = 16 * 2 ** 20
const VIRTIO = { base: 0x1000_1000, stride: 0x1000, count: 8 }
const OPERATIONS = 60_000

/** Numerical Recipes' ranqd1 behind a mixing step: enough for nonsense, and the same nonsense each time. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    const mixed = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) >>> 0
    return Math.floor(((mixed ^ (mixed >>> 12)) >>> 0) / 2 ** 32 * below)
  }
}

/** A hart that executes nonsense. */
function nonsense(seed: number, done: () => void): CpuSpec<object, Memory, Bus> {
  const below = random(seed)
  const pick = <T>(...choices: readonly T[]): T => choices[below(choices.length)] as T
  const word = (): number => pick(0, 1, below(16), below(2 ** 16), RAM + below(RAM_SIZE), 2 ** 32 - 1 - below(16), 2 ** below(32), below(2 ** 32))
  const place = (): number => pick(RAM + 0x1000 * below(16), RAM + below(RAM_SIZE), RAM + RAM_SIZE - below(64), word())

  /** A driver that knows what to do, up to a point. */
  const driver = (bus: Bus, memory: Memory): void => {
    const base = VIRTIO.base + VIRTIO.stride * below(VIRTIO.count)
    const set = (offset: number, value: number): void => { bus.write(base + offset, 4, value >>> 0) }
    for (const [offset, value] of [[0x70, 0], [0x70, 3], [0x24, 0], [0x20, word()], [0x24, 1], [0x20, pick(1, 1, word())], [0x70, 11]] as const) set(offset, value)
    for (let queue = 0; queue < 4; queue++) {
      set(0x30, queue)
      set(0x38, pick(4, 8, 16, 16, word()))
      for (const offset of [0x80, 0x90, 0xa0]) {
        set(offset, pick(RAM + 0x1000 * below(16), place()))
        set(offset + 4, pick(0, 0, 0, word()))
      }
      set(0x44, 1)
    }
    set(0x70, 15)
    const page = new Uint8Array(0x1000)
    const view = new DataView(page.buffer)
    for (let rounds = 0; rounds < 6; rounds++) {
      for (let at = 0; at < page.length; at += 16) {
        // A descriptor of sorts: address, length, flags, next. As rings, indices of sorts.
        view.setUint32(at, place(), true)
        view.setUint32(at + 4, pick(0, 0, 0, word()), true)
        view.setUint32(at + 8, pick(1, 16, 512, 4096, word()), true)
        view.setUint16(at + 12, pick(0, 1, 2, 3, 4, 5, below(8)), true)
        view.setUint16(at + 14, pick(below(16), below(16), word() & 0xffff), true)
      }
      // As an available ring: flags, index, heads.
      view.setUint16(2, below(32), true)
      // As the header of a block request.
      if (below(2) === 0) view.setUint32(16 * below(200), below(16), true)
      memory.write(RAM + 0x1000 * below(16), page)
      for (let queue = 0; queue < 4; queue++) set(0x50, queue)
    }
  }

  class Hart implements CountedVcpu {
    readonly index = 0
    readonly runnable = true
    retired = 0
    get steps(): number { return this.retired }
    #kicked = false
    readonly #context: CpuContext<Memory, Bus>
    constructor(context: CpuContext<Memory, Bus>) { this.#context = context }
    kick(): void { this.#kicked = true }
    deadline(): number { return Infinity }
    save(): unknown { return {} }
    restore(): void {}
    run(budget: number): Exit {
      const { bus, memory } = this.#context
      this.#kicked = false
      for (let left = Math.min(budget, 200); left > 0; left--) {
        this.retired++
        if (this.retired === OPERATIONS) done()
        if (this.#kicked) return 'yield'
        if (below(100) === 0) {
          driver(bus, memory)
          continue
        }
        const address = pick(
          VIRTIO.base + VIRTIO.stride * below(VIRTIO.count) + pick(below(0x110), below(0x1000)),
          0x1000_0000 + below(0x108),
          0xc00_0000 + pick(below(0x80), 0x1000 + below(16), 0x2000 + below(0x200), 0x20_0000 + below(0x4000), below(0x60_0000)),
          0x200_0000 + pick(below(0x40), 0x4000 + below(0x40), 0xbff8 + below(8), below(0x1_0000)),
          0x10_0000 + below(0x2000),
          word(),
        )
        const width = pick<Width>(1, 2, 4)
        if (below(3) === 0) bus.read(address, width)
        else bus.write(address, width, word())
      }
      return 'budget'
    }
  }
  return {
    kind: 'nonsense', stateVersion: 1, backends: {}, configure: () => ({}), harts: () => 1, describe() {},
    create: (_config, context) => ({ vcpus: [new Hart(context)], input: () => ({ set() {}, pulse() {}, send() {} }), reset() {}, memoryChanged() {} }),
  }
}

const folder = scratch()
afterAll(() => { rmSync(folder, { recursive: true, force: true }) })

it.each(Array.from({ length: 12 }, (_, seed) => seed + 1))('seed %d', async (seed) => {
  let written = 0
  const char = (): ReturnType<typeof stream> => stream({ output: (bytes) => { written += bytes.length } })
  const console = char()
  const disks = (['rw', 'ro', 'overlay'] as const).map((mode) => fileDisk(blank(join(folder, `${mode}${seed}`), 8 * 2 ** 20 + 512), { mode }))
  const { definition, backends } = virt({
    memory: RAM_SIZE, console, disks, virtioConsole: char(),
    devices: { several: part(virtioMmio(consoleWith('several', ['one', 'two'])), { backends: { one: char(), two: char() } }) },
  })
  let over = false
  const spec = nonsense(seed, () => { over = true })
  const machine = createMachine(
    { definition: { ...definition, cpu: { kind: 'nonsense' }, boot: { protocol: 'raw', images: [], entry: RAM } }, catalogue: [...virtCatalogue, spec as CpuSpec, virtioMmio(consoleWith('several', ['one', 'two']))], backends },
    nodeHost())
  const errors: unknown[] = []
  machine.on('error', (event) => errors.push(event))
  const typing = setInterval(() => { console.type('typed ahead '.repeat(100)) }, 5)
  const began = held()
  // Now and then the nonsense switches the machine off: that is what the register is for.
  for (let lives = 0; !over && lives < 10_000; lives++) {
    machine.start()
    const watch = setInterval(() => { if (over) machine.powerOff() }, 10)
    const { error } = await machine.finished()
    clearInterval(watch)
    expect(error).toBe(null)
  }
  clearInterval(typing)
  expect(errors).toEqual([])
  expect(over).toBe(true)
  expect(machine.stats.retired).toBeGreaterThanOrEqual(OPERATIONS)
  expect(held() - began).toBeLessThan(256 * 2 ** 20)
  machine.dispose()
  // The serial line at least says something.
  expect(written).toBeGreaterThan(0)
})
