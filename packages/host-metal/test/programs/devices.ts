/** On the metal: opens the board, reads and writes images, asks the network who the gateway is, and has a monitor on the console. */
import { decodeUtf8, encodeUtf8 } from '@machinist/boot'
import type { Hypervisor } from '@machinist/hypervisor'
import { openMetalDatastore } from '../../src/datastore/datastore.ts'
import { openBoard } from '../../src/drivers/board.ts'
import { DmaMemory } from '../../src/drivers/dma-memory.ts'
import { interruptController } from '../../src/drivers/interrupts/choose.ts'
import { startMonitor } from '../../src/monitor/monitor.ts'
import type { Native } from '../../src/native.ts'

declare const native: Native

const DMA = 8 * 2 ** 20
const ARP_REQUEST = [255, 255, 255, 255, 255, 255, 0x52, 0x54, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0, 0, 1, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2]

const ram = [...native.ram()].sort((one, other) => other.length - one.length)[0]
if (ram === undefined) throw new Error('no memory')
const memory = new DmaMemory(native, { address: ram.base + ram.length - DMA, length: DMA })
const board = openBoard(native, new Uint8Array(native.fdt), { memory, interrupts: interruptController(native), warn: (text) => { native.print(`${text}\n`) } })
const callbacks: (() => void)[] = []
const deliver = (callback: () => void): void => { callbacks.push(callback) }
const timers: { readonly at: number; readonly call: () => void }[] = []

/** One turn of everything; `await` has the engine run its jobs. */
async function turn(): Promise<void> {
  board.dispatch()
  board.poll()
  for (const callback of callbacks.splice(0)) callback()
  for (const timer of timers.splice(0)) {
    if (timer.at <= native.now()) timer.call()
    else timers.push(timer)
  }
  await Promise.resolve()
}

async function during<T>(work: Promise<T>): Promise<T> {
  let done = false
  const ended = work.finally(() => { done = true })
  ended.catch(() => undefined)
  while (!done) await turn()
  return ended
}

const status = (begin: (done: (status: string) => void) => void): Promise<string> => during(new Promise((resolve) => { begin(resolve) }))

async function disks(): Promise<void> {
  const datastore = await during(openMetalDatastore(board.disks))
  for (const { name, size, readOnly } of datastore.images) native.print(`image ${name} ${size} ${readOnly ? 'read-only' : 'writable'}\n`)
  for (const { message } of datastore.problems) native.print(`problem ${message}\n`)
  const [web, data] = [datastore.open('web').connect(deliver), datastore.open('data').connect(deliver)]
  const bytes = new Uint8Array(300_000)
  const outcome = [await status((done) => { web.read(1000, [bytes], done) }), await status((done) => { data.write(5000, [bytes], done) }), await status((done) => { data.flush(done) })]
  native.print(`copied ${outcome.join(' ')}\n`)
}

async function network(): Promise<void> {
  const port = board.networks[0]?.connect(deliver)
  if (port === undefined) return
  port.send({ bytes: Uint8Array.from(ARP_REQUEST) })
  for (;;) {
    await turn()
    const frame = port.receive()
    if (frame?.bytes[12] === 8 && frame.bytes[13] === 6 && frame.bytes[21] === 2) {
      native.print(`gateway ${[...frame.bytes.subarray(22, 28)].map((byte) => byte.toString(16)).join(':')}\n`)
      return
    }
  }
}

/** A hypervisor without machines. */
const none = { machines: () => Promise.resolve([]), on: () => () => undefined, table: () => { throw new RangeError('thrown on purpose') } } as unknown as Hypervisor

async function main(): Promise<void> {
  native.print(`board: ${board.consoles.length} lines, ${board.disks.length} disks, ${board.networks.length} networks, ${board.problems.length} problems\n`)
  for (const { message } of board.problems) native.print(`problem ${message}\n`)
  native.print(`clock ${board.clock?.now() ?? 0n}\n`)
  await disks()
  await network()
  const line = board.consoles[0]?.connect(deliver)
  if (line === undefined) return
  line.write(encodeUtf8(decodeUtf8(encodeUtf8('the line says grüß Gott\r\n'))))
  let off = false
  startMonitor({
    hypervisor: none, console: line, now: () => native.now(), powerOff() { off = true },
    after(duration, call) {
      timers.push({ at: native.now() + duration, call })
      return () => { timers.splice(0) }
    },
  })
  while (!off) {
    native.idle(native.now() + 10e6)
    await turn()
  }
  // What was written last goes out.
  for (const end = native.now() + 100e6; native.now() < end;) await turn()
  board.power.off(3)
}

void main()
