import { fakeBlock, testDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { VirtioDriver } from '../testing.ts'
import { virtioPmem, virtioPmemPci } from './pmem.ts'

const size = 2 << 20
const page = 4096

function make() {
  const disk = fakeBlock({ size })
  for (let at = 0; at < size; at += 3 * page) disk.data[at + 5] = 1 + (at / page) % 250
  const dut = testDevice(virtioPmem, { size }, { name: 'pmem0', backends: { disk } })
  const [memory] = dut.context.ownMemory
  if (memory === undefined) throw new Error('no memory')
  const start = (): VirtioDriver => {
    const driver = new VirtioDriver(dut)
    expect(driver.start()).toBe(15)
    return driver
  }
  const flush = (driver: VirtioDriver, type = 0) => {
    const request = driver.submit(0, [Uint8Array.of(type, 0, 0, 0)], [4])
    driver.notify(0)
    return request
  }
  return { dut, disk, memory, start, flush }
}

it('has the content of its disk, says where it is, and writes nothing that nobody wrote', () => {
  const { disk, memory, start, flush } = make()
  const before = disk.data.slice()
  disk.complete()
  expect(Buffer.compare(memory.bytes, before)).toBe(0)
  const driver = start()
  expect([0, 4, 8, 12].map((at) => driver.readConfig(at, 4))).toEqual([memory.base % 2 ** 32, Math.floor(memory.base / 2 ** 32), size, 0])
  disk.data.fill(7)
  const request = flush(driver)
  disk.complete()
  driver.collect(0)
  expect(request.answers).toEqual([Uint8Array.of(0, 0, 0, 0)])
  expect(disk.data.every((byte) => byte === 7)).toBe(true)
})

it('after a flush that succeeded the disk has what the memory had when it was asked for, whatever else happens', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('write' as const), at: fc.nat(size - 1), value: fc.integer({ min: 1, max: 255 }) }),
    fc.record({ kind: fc.constantFrom('flush' as const, 'fail' as const, 'driver' as const, 'save' as const), at: fc.nat(5), value: fc.constant(0) }),
    fc.record({ kind: fc.constant('host' as const), at: fc.nat(5), value: fc.constant(0) }),
  )
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const { dut, disk, memory, start, flush } = make()
    disk.complete()
    let driver = start()
    let open: { request: ReturnType<typeof flush>, wanted: Map<number, number> }[] = []
    const written = new Map<number, number>()
    const settle = (): void => {
      driver.collect(0)
      for (const each of open.filter(({ request }) => request.written !== null)) {
        if (each.request.answers[0]?.[0] !== 0) continue
        // What was written again since may be there already.
        for (const [at, value] of each.wanted) if (written.get(at) === value) if (disk.data[at] !== value) throw new Error(`byte ${String(at)} was lost`)
      }
      open = open.filter(({ request }) => request.written === null)
    }
    for (const { kind, at, value } of steps) {
      if (kind === 'write') {
        memory.bytes[at] = value
        written.set(at, value)
      } else if (kind === 'flush') {
        if (open.length < 5) open.push({ request: flush(driver), wanted: new Map(written) })
      } else if (kind === 'fail') disk.failures.push('no-space')
      else if (kind === 'host') disk.complete(at)
      else if (kind === 'save') {
        dut.device.restore(dut.device.save())
        dut.advance(1)
      } else {
        driver = start()
        open = []
      }
      settle()
    }
    disk.failures.length = 0
    disk.complete()
    settle()
    expect(open).toEqual([])
    // A flush without failures makes up for those with.
    open.push({ request: flush(driver), wanted: new Map(written) })
    disk.complete()
    settle()
    expect(Buffer.compare(disk.data, memory.bytes)).toBe(0)
  }), { numRuns: 40 })
})

it('never overwrites a disk that it could not read, and refuses what it does not know', () => {
  const { disk, memory, start, flush } = make()
  const before = disk.data.slice()
  disk.failures.push('io-error')
  disk.complete()
  const driver = start()
  memory.bytes[0] = 9
  const requests = [flush(driver), flush(driver, 1)]
  disk.complete()
  driver.collect(0)
  expect(requests.map(({ answers }) => answers[0]?.[0])).toEqual([255, 255])
  expect(Buffer.compare(disk.data, before)).toBe(0)
})

it('keeps its content over a reset of the machine, and what is to be written', () => {
  const { dut, disk, memory, start, flush } = make()
  disk.complete()
  memory.bytes[1] = 7
  dut.device.reset('warm')
  expect([disk.pending, memory.bytes[1]]).toEqual([0, 7])
  const request = flush(start())
  disk.complete()
  expect([request.written, disk.data[1]]).toEqual([null, 7])
})

it('the device of a copy of a machine knows that its memory has the content, and what is to be written', () => {
  const first = make()
  first.disk.complete()
  first.memory.bytes[1] = 7
  first.disk.failures.push('io-error')
  const request = first.flush(first.start())
  first.disk.complete()
  expect(request.written).toBe(null)
  // Written, and not flushed: what is dirty is known to the memory alone, and to one from a file no more.
  first.memory.write(9 * page, Uint8Array.of(6))
  const copy = make()
  const others = copy.disk.data.fill(99).slice()
  copy.memory.bytes.set(first.memory.bytes)
  copy.dut.device.restore(structuredClone(first.dut.device.save()))
  // What it began to read at power-on comes too late.
  copy.disk.complete()
  expect(Buffer.compare(copy.memory.bytes, first.memory.bytes)).toBe(0)
  copy.memory.takeDirty()
  copy.memory.write(5 * page, Uint8Array.of(8))
  const driver = copy.start()
  const flushed = copy.flush(driver)
  copy.disk.complete()
  driver.collect(0)
  expect(flushed.answers[0]?.[0]).toBe(0)
  expect([...copy.disk.data.keys()].filter((at) => at % page === 1 && copy.disk.data[at] !== others[at]).map((at) => (at - 1) / page)).toEqual([0, 5, 9])
  expect([copy.disk.data[1], copy.disk.data[5 * page], copy.disk.data[9 * page]]).toEqual([7, 8, 6])
  // And it is not read again.
  copy.dut.device.reset('warm')
  expect(copy.disk.pending).toBe(0)
  const saved = copy.dut.device.save()
  const damaged = [{ content: 'there' }, { content: 'gone', unsaved: [] }, { content: 'there', unsaved: [size / page] }, { content: 'there', unsaved: Array.from({ length: size / page + 1 }, () => 0) }]
  for (const state of damaged) expect(() => { copy.dut.device.restore({ ...saved, core: { ...saved.core, device: state } } as never) }).toThrow(expect.objectContaining({ code: 'state' }))
})

it('refuses a disk of another size, and sizes that Linux cannot map', () => {
  const { disk } = make()
  expect(() => testDevice(virtioPmem, { size: 4 << 20 }, { name: 'pmem0', backends: { disk } })).toThrow(/pmem0: its disk has another size/)
  expect(() => virtioPmem.configure({ size: 3 << 20 }, 'pmem0')).toThrow(/2 MiB/)
  expect(virtioPmemPci.memory?.(virtioPmemPci.configure({ size }, 'pmem0'))).toMatchObject([{ size }])
})
