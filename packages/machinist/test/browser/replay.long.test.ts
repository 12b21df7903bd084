/** A boot is recorded in Node.js, and replayed in Chromium, where it is the same to the last bit. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateRawSync, gunzipSync } from 'node:zlib'
import { virt } from '@machinist/boards'
import { collector, nodeHost, snapshotCodec } from '@machinist/host-node'
import { createMachine, type Machine } from '@machinist/machine'
import { RecordingWriter, type SnapshotCodec } from '@machinist/snapshot'
import { memoryDisk } from '@machinist/storage'
import { beforeAll, expect, it } from 'vitest'
import { guestCommandLine, prepareGuest } from '../../src/index.ts'
import { ask } from '../ask.ts'
import { bundle, inChromium } from './browser.ts'
import type { Told } from './page.ts'

/** What a browser reads. */
const codec: SnapshotCodec = { ...snapshotCodec, compression: 'deflate', compress: (bytes) => deflateRawSync(bytes) }
const log: Uint8Array[] = []
let recorded: { readonly machine: Machine; readonly console: string; readonly retired: number }

/** A kernel as a browser takes it, which has nothing that decompresses gzip at once. */
function plain(file: string): Uint8Array {
  const bytes = readFileSync(file)
  return new Uint8Array(bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes)
}

beforeAll(async () => {
  const { kernel, initrd } = await prepareGuest()
  const console = collector()
  const machine = createMachine(virt({
    harts: 2, console, disks: [memoryDisk(1 << 20)], time: { instructionsPerSecond: 100_000_000 },
    kernel: plain(kernel), initrd: new Uint8Array(readFileSync(initrd)), append: guestCommandLine({ console: 'ttyS0', quiet: true }),
  }), nodeHost(), { record: { sink: { write(bytes) { log.push(bytes.slice()) }, end() {} } } })
  machine.start()
  while (!console.text().includes('# ')) await new Promise((resolve) => { setTimeout(resolve, 20) })
  // What comes from outside: what is typed, what a disk reads, random bytes, and when.
  await ask(machine, console, 'echo written here | dd of=/dev/vda conv=sync 2>/dev/null; dd if=/dev/vda bs=16 count=1 2>/dev/null; head -c 32 /dev/urandom | sha256sum; date')
  console.type('poweroff\n')
  expect(await machine.finished()).toEqual({ status: 0, error: null })
  recorded = { machine, console: console.text(), retired: machine.stats.retired }
})

/** A recording's file. */
async function fileOf(parts: readonly Uint8Array[]): Promise<Uint8Array> {
  const pieces: { readonly offset: number; readonly bytes: Uint8Array }[] = []
  const writer = new RecordingWriter({ write(offset, bytes) { pieces.push({ offset, bytes: bytes.slice() }) } }, codec)
  await writer.begin(recorded.machine)
  for (const part of parts) writer.sink.write(part)
  writer.sink.end()
  const file = new Uint8Array(Math.max(...pieces.map(({ offset, bytes }) => offset + bytes.length)))
  for (const { offset, bytes } of pieces) file.set(bytes, offset)
  return file
}

const replayed = async (parts: readonly Uint8Array[]): Promise<Told> => await inChromium(bundle(join(import.meta.dirname, 'page.ts')), new Map([['/recording', await fileOf(parts)]])) as Told

it('agrees with every checksum in its log, says the same, and ends at the same instruction', async () => {
  const { error, milliseconds, agent, checks, ...told } = await replayed(log)
  process.stderr.write(`${agent}: ${told.retired} instructions in ${(milliseconds / 1000).toFixed(1)} s, ${checks} checksums\n`)
  expect(error).toBe(null)
  expect(told).toEqual({ status: 0, ended: true, whole: true, retired: recorded.retired, console: recorded.console })
  expect(checks).toBeGreaterThan(5)
})

it('stops at the first difference', async () => {
  // A letter that was typed is another one.
  const typed = Buffer.from('written here')
  const changed = log.map((part) => {
    const copy = Buffer.from(part)
    const at = copy.indexOf(typed)
    if (at >= 0) copy.write('W', at)
    return copy
  })
  expect(changed.some((part, index) => !part.equals(log[index] ?? part))).toBe(true)
  const { error, retired } = await replayed(changed)
  expect(error).toContain('replay-difference')
  expect(retired).toBeLessThan(recorded.retired)
})
