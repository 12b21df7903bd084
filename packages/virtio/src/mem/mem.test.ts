import { isMachinistError } from '@machinist/api'
import { testDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { VirtioDriver } from '../testing.ts'
import { memConfig, memRequest, memResponse, memState } from './layout.ts'
import { memoryControl, virtioMem, virtioMemPci } from './mem.ts'

const MIB = 2 ** 20
const block = 2 * MIB
/** More blocks than may be used at first: the usable region reaches 256 MiB beyond the target. */
const blocks = 160

/** A driver of our own. */
function make(target = 0) {
  const sizes: number[] = []
  const control = memoryControl({ target, onResize: (bytes) => sizes.push(bytes / block) })
  const later: (() => void)[] = []
  const dut = testDevice(virtioMem, { size: blocks * block }, { name: 'mem0', backends: { host: control.connect((callback) => later.push(callback)) } })
  const [memory] = dut.context.ownMemory
  if (memory === undefined) throw new Error('no memory')
  let driver = new VirtioDriver(dut)
  const start = (): void => {
    driver = new VirtioDriver(dut)
    expect(driver.start()).toBe(15)
  }
  start()
  /** The answer's type and state. */
  const ask = (type: number, first = 0, count = 0, skew = 0): readonly number[] => {
    const request = new DataView(new ArrayBuffer(24))
    const address = memory.base + first * block + skew
    request.setUint16(0, type, true)
    request.setUint32(8, address % 2 ** 32, true)
    request.setUint32(12, Math.floor(address / 2 ** 32), true)
    request.setUint16(16, count, true)
    const { answers } = driver.submit(0, [new Uint8Array(request.buffer)], [10])
    driver.notify(0)
    driver.collect(0)
    const answer = new DataView((answers[0] ?? new Uint8Array(10)).slice().buffer)
    return [answer.getUint16(0, true), answer.getUint16(8, true)]
  }
  const told = (offset: number): number => driver.readConfig(offset, 4) + 2 ** 32 * driver.readConfig(offset + 4, 4)
  return { dut, memory, control, sizes, start, ask, told, host: () => { for (const each of later.splice(0)) each() } }
}

/** The specification's rules, as simple as can be: a set of plugged blocks. */
class Model {
  plugged = new Set<number>()
  target = 0
  usable = 0

  aim(bytes: number): void {
    this.target = Math.min(blocks, Math.floor(bytes / block))
    this.usable = Math.max(this.usable, Math.min(blocks, this.target + 128))
  }

  clear(): void {
    this.plugged.clear()
    this.usable = Math.min(blocks, this.target + 128)
  }

  ask(type: number, first: number, count: number, skew: number): readonly number[] {
    const { ack, nack, error } = memResponse
    if (type === memRequest.unplugAll) {
      this.clear()
      return [ack, 0]
    }
    const list = Array.from({ length: count }, (_, index) => first + index)
    if (type > 3 || skew !== 0 || count === 0 || list.some((each) => each < 0 || each >= this.usable)) return [error, 0]
    const there = list.filter((each) => this.plugged.has(each)).length
    if (type === memRequest.state) return [ack, there === 0 ? memState.unplugged : there === count ? memState.plugged : memState.mixed]
    if (there !== (type === memRequest.plug ? 0 : count)) return [error, 0]
    if (type === memRequest.plug && this.plugged.size + count > this.target) return [nack, 0]
    for (const each of list) {
      if (type === memRequest.plug) this.plugged.add(each)
      else this.plugged.delete(each)
    }
    return [ack, 0]
  }
}

it('plugs and unplugs by the rules, keeps what is plugged, and gives back what is not', () => {
  const seldom = <T>(usual: fc.Arbitrary<T>, rare: fc.Arbitrary<T>): fc.Arbitrary<T> => fc.oneof({ weight: 15, arbitrary: usual }, { weight: 1, arbitrary: rare })
  const place = {
    first: seldom(fc.nat(12), fc.integer({ min: -2, max: blocks + 2 })), count: seldom(fc.integer({ min: 1, max: 4 }), fc.constantFrom(0, blocks, 65535)),
    skew: seldom(fc.constant(0), fc.constantFrom(4096, -4096)),
  }
  const step = fc.oneof(
    { weight: 30, arbitrary: fc.record({ kind: fc.constant('ask' as const), type: fc.constantFrom(0, 0, 0, 1, 1, 3, 3, 4), ...place }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('ask' as const), type: fc.constant(2), ...place }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('aim' as const), bytes: fc.oneof(fc.nat(20 * block), fc.nat(400 * MIB)) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('driver' as const, 'save' as const, 'save' as const, 'power' as const) }) },
  )
  const seen = new Set<string>()
  fc.assert(fc.property(fc.array(step, { minLength: 60, maxLength: 120 }), (steps) => {
    const { dut, memory, control, start, ask, told, host } = make(8 * block)
    const model = new Model()
    model.aim(8 * block)
    for (const each of steps) {
      if (each.kind === 'ask') {
        const { type, first, count, skew } = each
        const answer = ask(type, first, count, skew)
        expect(answer, JSON.stringify(each)).toEqual(model.ask(type, first, count, skew))
        seen.add(`${String(type)} ${String(answer)}`)
        // The guest uses what it has.
        for (const index of model.plugged) memory.bytes[index * block + 5] = 1 + index
      } else if (each.kind === 'aim') {
        control.target = each.bytes
        host()
        model.aim(each.bytes)
      } else if (each.kind === 'driver') start()
      else if (each.kind === 'save') {
        const state = dut.device.save()
        // Not by a request: the driver's rings would then tell of one that the restored device has not seen.
        dut.device.reset('warm')
        dut.device.restore(state)
        for (const index of model.plugged) memory.bytes[index * block + 5] = 1 + index
      } else {
        dut.device.reset('warm')
        model.clear()
        start()
      }
      expect([memConfig.requestedSize, memConfig.usableRegionSize, memConfig.pluggedSize].map((offset) => told(offset) / block)).toEqual([model.target, model.usable, model.plugged.size])
      expect(control.size).toBe(model.plugged.size * block)
      for (let index = 0; index < blocks; index++) {
        if (memory.bytes[index * block + 5] !== (model.plugged.has(index) ? 1 + index : 0)) throw new Error(`block ${String(index)} holds something else`)
      }
    }
  }), { numRuns: 15 })
  // Each answer that there is was met.
  expect([...seen].sort()).toEqual(['0 0,0', '0 1,0', '0 3,0', '1 0,0', '1 3,0', '2 0,0', '3 0,0', '3 0,1', '3 0,2', '3 3,0', '4 3,0'])
})

it('a driver follows what the host wants, up and down', () => {
  const { dut, memory, control, sizes, ask, told, host } = make()
  expect([memConfig.blockSize, memConfig.nodeId, memConfig.addr, memConfig.regionSize].map(told)).toEqual([block, 0, memory.base, blocks * block])
  for (const wanted of [40, 7, 159.5, 0]) {
    const before = dut.read(0x0fc)
    control.target = wanted * block
    expect(dut.read(0x0fc)).toBe(before)
    host()
    expect([dut.read(0x0fc), dut.read(0x060) & 2]).toEqual([before + 1, 2])
    const goal = told(memConfig.requestedSize) / block
    for (let index = 0; told(memConfig.pluggedSize) / block < goal; index++) if (ask(memRequest.state, index, 1)[1] === memState.unplugged) ask(memRequest.plug, index, 1)
    for (let index = blocks; told(memConfig.pluggedSize) / block > goal;) if (ask(memRequest.state, --index, 1)[1] === memState.plugged) ask(memRequest.unplug, index, 1)
    expect(sizes.at(-1)).toBe(Math.floor(wanted))
  }
})

it('tells a restored driver what its new host wants, and takes no state that cannot be', () => {
  const { dut, control, ask, told, host } = make(4 * block)
  ask(memRequest.plug, 1, 2)
  const state = dut.device.save()
  control.target = 9 * block
  host()
  dut.device.restore(state)
  expect(told(memConfig.requestedSize) / block).toBe(4)
  dut.advance(1)
  expect([told(memConfig.requestedSize) / block, ask(memRequest.state, 1, 2)[1], ask(memRequest.state, 0, 3)[1]]).toEqual([9, memState.plugged, memState.mixed])
  const { core } = state
  for (const device of [{ ...core.device, usable: 0 }, { ...core.device, plugged: [1] }, { ...core.device, target: -1 }]) {
    expect(() => { dut.device.restore({ ...state, core: { ...core, device } }) }).toThrow(/mem0/)
  }
  const codes = [{ size: 3 * MIB }, { size: 8 * MIB, block: 3 * MIB }, {}].map((config) => {
    try {
      virtioMemPci.configure(config, 'mem0')
    } catch (error) {
      return isMachinistError(error)
    }
    return false
  })
  expect(codes).toEqual([true, true, true])
  expect(() => { control.target = -1 }).toThrow(/whole number of bytes/)
})
