import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseFdt } from '@machinist/boot'
import { FuzzRandom } from '@machinist/virtio/testing'
import type { NetPort } from '@machinist/api'
import { type Board, openBoard } from '../src/drivers/board.ts'
import { DmaMemory } from '../src/drivers/dma-memory.ts'
import { plicDriver, supervisorInput } from '../src/drivers/interrupts/plic.ts'
import { hardwareNodes } from '../src/drivers/probe.ts'
import { type QtestMachine, qtestMachine } from './qtest.ts'

const SEED = Number(process.env['MACHINIST_SEED'] ?? 1)
const MiB = 2 ** 20
const MODERN = ['-global', 'virtio-mmio.force-legacy=false']
const LIMIT = 900_000

function boardOf({ hardware, fdt }: QtestMachine): Board {
  const nodes = hardwareNodes(parseFdt(fdt))
  const plic = nodes.find(({ compatible }) => compatible.includes('riscv,plic0'))!
  const interrupts = plicDriver(hardware, plic.ranges[0]!, supervisorInput(nodes, plic, 0), plic.cell('riscv,ndev', 0))
  return openBoard(hardware, fdt, { memory: new DmaMemory(hardware, { address: 0x8100_0000, length: 2 * MiB }), interrupts })
}

/** Serves interrupts, as QEMU raises them, until something is so. */
async function until(board: Board, ready: () => boolean): Promise<void> {
  while (!ready()) {
    board.dispatch()
    await new Promise((resolve) => { setImmediate(resolve) })
  }
}

async function during<T>(board: Board, work: Promise<T>): Promise<T> {
  let done = false
  const ended = work.finally(() => { done = true })
  ended.catch(() => undefined)
  await until(board, () => done)
  return ended
}

describe('QEMU\'s devices', () => {
  let machine: QtestMachine
  let board: Board
  const size = 2 * MiB
  const random = new FuzzRandom(SEED)
  const content = random.bytes(size)

  beforeAll(() => {
    machine = qtestMachine((folder) => {
      writeFileSync(join(folder, 'disk'), content)
      return [
        ...MODERN, '-drive', `file=${join(folder, 'disk')},if=none,id=disk,format=raw,discard=unmap`, '-device', 'virtio-blk-device,drive=disk',
        '-netdev', 'hubport,hubid=0,id=one', '-device', 'virtio-net-device,netdev=one,mac=52:54:00:00:00:01', '-netdev', 'hubport,hubid=0,id=two', '-device', 'virtio-net-device,netdev=two,mac=52:54:00:00:00:02',
      ]
    })
    board = boardOf(machine)
  }, LIMIT)

  afterAll(() => { machine.close() })

  it('are all found', () => {
    expect([board.consoles.length, board.disks.length, board.networks.map(({ address }) => address).sort(), board.clock !== null, board.problems]).toEqual([1, 1, ['52:54:00:00:00:01', '52:54:00:00:00:02'], true, []])
  })

  it('keep what is written to a disk, at any place and of any length, and zeroes', async () => {
    const [disk] = board.disks
    expect([disk!.size, disk!.writable, disk!.discard !== undefined]).toEqual([size, true, true])
    for (let turn = 0; turn < 60; turn++) {
      const start = random.chance(0.5) ? random.below(size - 200_000) : 512 * random.below((size - 200_000) / 512)
      const length = random.chance(0.5) ? 1 + random.below(200_000) : 512 * (1 + random.below(20))
      const what = random.below(3)
      if (what === 0) {
        const bytes = random.bytes(length)
        content.set(bytes, start)
        await during(board, disk!.write(start, bytes))
      } else if (what === 1) {
        content.fill(0, start, start + length)
        await during(board, disk!.discard!(start, length))
      } else {
        const into = new Uint8Array(length)
        expect(await during(board, Promise.resolve(disk!.read(start, into)))).toBe(length)
        expect(Buffer.compare(into, content.subarray(start, start + length))).toBe(0)
      }
    }
    await during(board, disk!.flush())
    expect(Buffer.compare(readFileSync(join(machine.folder, 'disk')), content)).toBe(0)
  }, LIMIT)

  it('carry frames from one network device to another', async () => {
    const queue: (() => void)[] = []
    const ports = board.networks.map((network): NetPort => network.connect((callback) => { queue.push(callback) }))
    const [one, two] = ports
    expect([one!.link, two!.link]).toEqual([true, true])
    const sent = Array.from({ length: 200 }, () => {
      const bytes = random.bytes(60 + random.below(1454))
      bytes.set([255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 0])
      return bytes
    })
    const got: Uint8Array[] = []
    two!.listen({ readable() { for (let frame = two!.receive(); frame !== null; frame = two!.receive()) got.push(frame.bytes) }, writable() {}, linkChanged() {} })
    // The sender waits for the receiver.
    const serve = (): void => { queue.shift()?.() }
    for (const bytes of sent) {
      await until(board, () => {
        serve()
        return one!.send({ bytes })
      })
    }
    await until(board, () => {
      serve()
      return got.length === sent.length
    })
    // A hub of QEMU may let one frame pass another when the receiver made it wait.
    const sorted = (frames: readonly Uint8Array[]): Buffer => Buffer.concat([...frames].sort((a, b) => Buffer.compare(a, b)))
    expect(sorted(got).equals(sorted(sent))).toBe(true)
  }, LIMIT)

  it('have a line, in both directions', async () => {
    const [line] = board.consoles
    const port = line!.connect((callback) => { callback() })
    const text = 'The quick brown fox jumps over the lazy dog. '.repeat(20)
    expect(port.write(Buffer.from(text))).toBe(text.length)
    let out = ''
    while (out.length < text.length) {
      board.dispatch()
      line!.poll()
      if (out.length < text.length) out += machine.serial()
    }
    expect(out).toBe(text)
    machine.type('Hello, hypervisor')
    let came = ''
    await until(board, () => {
      const bytes = new Uint8Array(100)
      came += Buffer.from(bytes.subarray(0, port.read(bytes))).toString('latin1')
      return came.length >= 17
    })
    expect(came).toBe('Hello, hypervisor')
  }, LIMIT)

  it('know the time', () => {
    expect(Math.abs(Number(board.clock!.now() / 1_000_000n) - Date.now())).toBeLessThan(60_000)
  })

  it('end when they are told to', async () => {
    const other = qtestMachine(() => [])
    const { power } = boardOf(other)
    try {
      power.off(3)
    } catch {
      // It may have gone before it answered.
    }
    expect(await other.ended()).toBe(3)
    other.close()
  }, LIMIT)
})

describe('QEMU\'s devices as they are unless told otherwise', () => {
  it('have the legacy interface, and are refused with what to do', () => {
    const machine = qtestMachine((folder) => {
      writeFileSync(join(folder, 'disk'), '')
      truncateSync(join(folder, 'disk'), 4096)
      return ['-drive', `file=${join(folder, 'disk')},if=none,id=disk,format=raw`, '-device', 'virtio-blk-device,drive=disk']
    })
    const { problems, disks } = boardOf(machine)
    machine.close()
    expect([disks, problems.map(({ code }) => code)]).toEqual([[], ['virtio-legacy']])
  }, LIMIT)
})
