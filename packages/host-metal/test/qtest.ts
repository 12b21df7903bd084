/** QEMU's own devices as drivers see them: registers by its `qtest` protocol, one call after the other, and RAM by the file behind it. The processor sleeps. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, openSync, readFileSync, readSync, rmSync, truncateSync, writeFileSync, writeSync, closeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Hardware } from '../src/drivers/hardware.ts'

const QEMU = 'qemu-system-riscv64'
const RAM = 0x8000_0000
const RAM_SIZE = 64 * 2 ** 20
/** Bytes that are compared at once. */
const CHUNK = 4096
/** `wfi` and back again, for a processor that nothing interrupts. */
const SLEEP = [0x73, 0x00, 0x50, 0x10, 0x6f, 0xf0, 0xdf, 0xff]

/** A machine of QEMU in which no program runs. */
export interface QtestMachine {
  readonly hardware: Hardware
  readonly fdt: Uint8Array
  readonly folder: string
  /** What came out of its serial line. */
  serial(): string
  /** Types at its serial line. */
  type(text: string): void
  /** Waits until it ends; its exit status. */
  ended(): Promise<number | null>
  close(): void
}

/** @param args - devices, in words of QEMU's command line */
export function qtestMachine(args: (folder: string) => readonly string[]): QtestMachine {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-qtest-'))
  const path = (name: string): string => join(folder, name)
  writeFileSync(path('ram'), Uint8Array.from(SLEEP))
  truncateSync(path('ram'), RAM_SIZE)
  for (const name of ['q.in', 'q.out', 'serial.in', 'serial.out']) spawnSync('mkfifo', [path(name)])
  const machine = (more: string): string[] => [
    '-object', `memory-backend-file,id=ram,size=${RAM_SIZE},mem-path=${path('ram')},share=on`, '-machine', `virt,memory-backend=ram${more}`, '-bios', 'none', '-display', 'none',
    '-qtest', `pipe:${path('q')}`, '-qtest-log', '/dev/null', '-chardev', `pipe,id=serial,path=${path('serial')}`, '-serial', 'chardev:serial', '-monitor', 'none', '-nodefaults', ...args(folder),
  ]
  const dumped = spawnSync(QEMU, machine(`,dumpdtb=${path('dtb')}`), { encoding: 'utf8' })
  if (dumped.status !== 0) throw new Error(dumped.stderr)
  const process: ChildProcess = spawn(QEMU, machine(''), { stdio: ['ignore', 'ignore', 'inherit'] })
  const exit = new Promise<number | null>((resolve) => { process.on('exit', resolve) })
  const [to, from, serialIn, serialOut] = [openSync(path('q.in'), 'w'), openSync(path('q.out'), 'r'), openSync(path('serial.in'), 'w'), openSync(path('serial.out'), 'r')]
  let rest = ''
  const ask = (command: string): string => {
    writeSync(to, `${command}\n`)
    const bytes = Buffer.alloc(4096)
    for (;;) {
      const end = rest.indexOf('\n')
      if (end >= 0) {
        const line = rest.slice(0, end)
        rest = rest.slice(end + 1)
        if (!line.startsWith('OK')) throw new Error(`${command}: ${line}`)
        return line.slice(3)
      }
      const count = readSync(from, bytes)
      if (count === 0) throw new Error(`${command}: QEMU has ended`)
      rest += bytes.toString('latin1', 0, count)
    }
  }
  const ram = openSync(path('ram'), 'r+')
  /** Windows of RAM, each with what both sides knew of it last. */
  const windows: { readonly at: number; readonly mine: Uint8Array; readonly known: Uint8Array; readonly theirs: Uint8Array }[] = []
  /** What was written here goes there, and the other way round. */
  const sync = (): void => {
    for (const { at, mine, known, theirs } of windows) {
      readSync(ram, theirs, 0, theirs.length, at)
      for (let from = 0; from < mine.length; from += CHUNK) {
        const [a, b, c] = [mine, known, theirs].map((bytes) => bytes.subarray(from, from + CHUNK)) as [Uint8Array, Uint8Array, Uint8Array]
        if (Buffer.compare(a, b) === 0 && Buffer.compare(b, c) === 0) continue
        for (let byte = 0; byte < a.length; byte++) {
          if (a[byte] !== b[byte]) writeSync(ram, a, byte, 1, at + from + byte)
          else a[byte] = c[byte] ?? 0
          b[byte] = a[byte] ?? 0
        }
      }
    }
  }
  const letter = { 1: 'b', 2: 'w', 4: 'l' } as const
  return {
    folder,
    fdt: readFileSync(path('dtb')),
    hardware: {
      read(address, width) {
        const value = Number(ask(`read${letter[width]} 0x${address.toString(16)}`))
        sync()
        return value
      },
      write(address, width, value) {
        sync()
        ask(`write${letter[width]} 0x${address.toString(16)} 0x${value.toString(16)}`)
      },
      fence: sync,
      window(address, length) {
        const made = { at: address - RAM, mine: new Uint8Array(length), known: new Uint8Array(length), theirs: new Uint8Array(length) }
        windows.push(made)
        return made.mine.buffer
      },
      now: () => Math.round(performance.now() * 1e6),
    },
    serial() {
      const bytes = Buffer.alloc(65536)
      return bytes.toString('latin1', 0, readSync(serialOut, bytes))
    },
    type(text) { writeSync(serialIn, text, null, 'latin1') },
    ended: () => exit,
    close() {
      process.kill()
      for (const file of [to, from, serialIn, serialOut, ram]) closeSync(file)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
