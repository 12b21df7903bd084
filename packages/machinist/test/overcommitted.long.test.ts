/** Debian guests that have more memory in all than there is. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import type { Backend, BlockPort } from '@machinist/api'
import { virt } from '@machinist/boards'
import { collector, type Collector, nodeHost, swapFile } from '@machinist/host-node'
import { memoryController, type MemoryController, type MemoryControllerOptions } from '@machinist/hypervisor'
import { createMachine, type Machine } from '@machinist/machine'
import { afterEach, expect, it } from 'vitest'
import { guestCommandLine, prepareGuest } from '../src/index.ts'
import { ask } from './ask.ts'

const MIB = 2 ** 20
const resident = (): number => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]) / 1024
const sleep = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })

/** Room for as many pages that differ as there are places where one may begin. */
const NOISE = randomBytes(MIB + 4096)
/** Pages of a disk. */
const PAGES = 96 * 1024

/**
 * A disk on each page of which is what is nowhere else, and does not compress. Of what is written to it, it only notes whether that is the same: so a guest fills its memory, and shows what it has, as quickly as
 * bytes are moved.
 */
class NoiseDisk implements Backend<BlockPort> {
  readonly kind = 'block'
  /** Bytes that were written since this was set to 0, and how many pages were not what they should be. */
  written = 0
  wrong = 0
  /** Number of its first page, of all that there are. */
  readonly #first: number

  /** @param number - of up to ten disks */
  constructor(number: number) {
    this.#first = number * PAGES
  }

  connect(deliver: (callback: () => void) => void): BlockPort {
    const pages = (offset: number, buffers: readonly Uint8Array[], each: (bytes: Uint8Array, noise: Uint8Array) => void): void => {
      let at = offset
      for (const buffer of buffers) {
        for (let from = 0; from < buffer.length;) {
          const length = Math.min(buffer.length - from, 4096 - (at % 4096))
          const begin = (((this.#first + Math.floor(at / 4096)) * 7) % MIB) + (at % 4096)
          each(buffer.subarray(from, from + length), NOISE.subarray(begin, begin + length))
          from += length
          at += length
        }
      }
    }
    return {
      size: PAGES * 4096, readOnly: false, blockSize: 4096,
      read(offset, into, done) {
        pages(offset, into, (bytes, noise) => { bytes.set(noise) })
        deliver(() => { done('ok') })
      },
      write: (offset, from, done) => {
        pages(offset, from, (bytes, noise) => {
          this.written += bytes.length
          if (Buffer.compare(bytes, noise) !== 0) this.wrong++
        })
        deliver(() => { done('ok') })
      },
      flush(done) {
        deliver(() => { done('ok') })
      },
    }
  }
}

interface Guest {
  readonly name: string
  readonly machine: Machine
  readonly console: Collector
  readonly disk: NoiseDisk
}

/** A file of a guest that is a part of its disk, in MiB, of which nothing is in the guest's cache. */
class Filled {
  readonly #guest: Guest
  readonly #file: string
  readonly #from: number
  readonly #length: number

  constructor(guest: Guest, file: string, from: number, length: number) {
    this.#guest = guest
    this.#file = file
    this.#from = from
    this.#length = length
  }

  async fill(): Promise<void> {
    await this.#copy(`if=/dev/vda of=${this.#file} count=${this.#length} skip=${this.#from} iflag=direct`)
  }

  /** It is still what it was. */
  async expectKept(): Promise<void> {
    const { disk, name } = this.#guest
    disk.written = 0
    await this.#copy(`if=${this.#file} of=/dev/vda seek=${this.#from} oflag=direct conv=notrunc`)
    expect({ written: disk.written, wrong: disk.wrong }, name).toEqual({ written: this.#length * MIB, wrong: 0 })
  }

  async #copy(operands: string): Promise<void> {
    expect(await ask(this.#guest, this.#guest.console, `dd bs=1M ${operands} 2>/dev/null && echo copied`)).toBe('copied')
  }
}

/** Machines of one thread, driven in turn, and who shares out memory among them. */
class House {
  readonly control: MemoryController
  readonly guests: Guest[] = []
  readonly #host = nodeHost()
  #ended = false
  #at = 0

  constructor(options: MemoryControllerOptions) {
    this.control = memoryController(options)
    this.#turn()
  }

  add(name: string, images: { readonly kernel: Uint8Array; readonly initrd: Uint8Array }, ram: number, group: string | undefined = 'all'): Guest {
    const spec = { name, machine: { file: '' }, ...(group !== undefined && { group }) }
    const console = collector()
    const disk = new NoiseDisk(this.guests.length)
    const machine = createMachine(virt({ console, disks: [disk], memory: ram, ...images, append: guestCommandLine({ console: 'ttyS0', quiet: true }) }), this.control.host?.(spec, this.#host) ?? this.#host)
    this.control.add(name, machine, spec)
    machine.start({ drive: 'caller' })
    const guest = { name, machine, console, disk }
    this.guests.push(guest)
    return guest
  }

  #turn(): void {
    if (this.#ended) return
    const { now } = this.#host.loop
    const end = now() + 2e6
    if (now() >= this.#at) this.#at = this.control.work?.(now()) ?? Infinity
    let busy = false
    do {
      busy = false
      for (const { machine } of this.guests) if (machine.state === 'running' && machine.runSlice(500_000).kind === 'runnable') busy = true
    } while (busy && now() < end)
    if (busy) setImmediate(() => { this.#turn() })
    else setTimeout(() => { this.#turn() }, 1)
  }

  async ready(guest: Guest): Promise<void> {
    const { console } = guest
    while (!console.text().includes('# ')) await sleep(20)
    console.type("stty -echo; PS1=''; echo re''ady\n")
    while (!console.text().includes('ready')) await sleep(20)
    expect(await ask(guest, guest.console, 'echo up')).toBe('up')
  }

  table(): string {
    const mib = (pages: number): string => (pages / 256).toFixed(0).padStart(5)
    const rows = this.guests.map(({ name }) => {
      const means = this.control.report?.(name).memory
      return means === undefined ? '' : `${name.padEnd(8)}${[means.touched, means.own, means.shared, means.merged, means.compressed, means.swapped].map(mib).join(' ')}\n`
    })
    const { taken, urgent, merged, discarded, beyond } = this.control.counts
    return `MiB     touch   own share merge compr  swap\n${rows.join('')}frames ${mib(this.control.frames)} MiB, RSS ${resident().toFixed(0)}; taken${mib(taken)}, urgent${mib(urgent)}, merged${mib(merged)}, discarded${mib(discarded)}, beyond${mib(beyond)}\n`
  }

  end(): void {
    this.#ended = true
    for (const { machine, name } of this.guests) {
      machine.dispose()
      this.control.remove(name)
    }
    expect(this.control.frames).toBe(0)
    this.control.dispose?.()
  }
}

let house: House | null = null
afterEach(() => {
  house?.end()
  house = null
})

async function images(): Promise<{ readonly kernel: Uint8Array; readonly initrd: Uint8Array }> {
  const { kernel, initrd } = await prepareGuest()
  return { kernel: readFileSync(kernel), initrd: readFileSync(initrd) }
}

it('ten guests of 512 MiB work on with 1 GiB, and one that suddenly needs memory gets it', async () => {
  const files = await images()
  house = new House({ budget: 1024 * MIB, swap: swapFile({ folder: tmpdir() }) })
  const guests = Array.from({ length: 10 }, (_, index) => (house as House).add(`guest${index}`, files, 512 * MIB))
  for (const guest of guests) await house.ready(guest)
  process.stderr.write(house.table())
  // Each has something of its own, 24 MiB that nobody else has and that do not compress.
  const own = guests.map((guest) => new Filled(guest, '/tmp/own', 0, 24))
  await Promise.all(own.map((file) => file.fill()))
  process.stderr.write(house.table())
  const [first] = guests
  if (first === undefined) throw new Error('no guest')
  await ask(first, first.console, 'mount -t tmpfs -o size=400m none /mnt')
  const full = new Filled(first, '/mnt/full', 24, 320)
  await full.fill()
  process.stderr.write(house.table())
  await full.expectKept()
  // It came quicker than pages are merged: those of others went elsewhere meanwhile.
  for (let n = 0; n < 6000 && (house.control.counts.merged <= 50_000 || house.control.frames * 4096 > 1024 * MIB); n++) await sleep(100)
  expect(house.control.frames * 4096).toBeLessThanOrEqual(1024 * MIB)
  expect(house.control.counts.merged).toBeGreaterThan(50_000)
  const before = resident()
  // And then there is less: what cannot be merged is compressed, and goes to the file.
  house.control.budget = 600 * MIB
  for (let n = 0; n < 12_000 && house.control.frames * 4096 > 600 * MIB; n++) await sleep(100)
  for (let n = 0; n < 100; n++) await sleep(20)
  const after = resident()
  process.stderr.write(house.table())
  expect(house.control.frames * 4096).toBeLessThanOrEqual(600 * MIB)
  expect(house.control.counts.taken).toBeGreaterThan(20_000)
  for (const file of own) await file.expectKept()
  await full.expectKept()
  process.stderr.write(house.table())
  // Frames that go back go to the host.
  expect(before - after).toBeGreaterThan(100)
})

it('most of what guests of one group have that were booted apart is merged', async () => {
  const files = await images()
  house = new House({ budget: 120 * MIB })
  const guests = [house.add('one', files, 256 * MIB), house.add('two', files, 256 * MIB)]
  for (const guest of guests) await house.ready(guest)
  const shared = (name: string): number => house?.control.report?.(name).memory?.shared ?? 0
  for (let n = 0; n < 6000 && guests.some(({ name }) => shared(name) <= 10_000); n++) await sleep(100)
  process.stderr.write(house.table())
  for (const { name } of guests) expect(shared(name), name).toBeGreaterThan(10_000)
  for (const guest of guests) expect(await ask(guest, guest.console, 'echo here')).toBe('here')
})
