/**
 * A small kernel as people write them for QEMU's `virt` machine, compiled here: from M-mode and below SBI, linked and flat, with both versions of
 * virtio-mmio. It says the same on QEMU.
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, it } from 'vitest'
import { virt, type VirtOptions } from '@machinist/boards'
import { nodeHost, stream } from '@machinist/host-node'
import { createMachine } from '@machinist/machine'
import { memoryDisk } from '@machinist/storage'

const SOURCE = fileURLToPath(new URL('./bare-metal', import.meta.url))
const SECTORS = 128
const folder = mkdtempSync(join(tmpdir(), 'machinist-bare-metal-'))
afterAll(() => { rmSync(folder, { recursive: true, force: true }) })

/** What stands on the disk before. */
const content = Uint8Array.from({ length: 512 * SECTORS }, (_, at) => at * 7 + (at >> 8))

function build(name: string, base: string, flags: readonly string[]): { readonly elf: string; readonly flat: string } {
  const elf = join(folder, `${name}.elf`)
  execFileSync('riscv64-linux-gnu-gcc', [
    '-march=rv64imac_zicsr_zifencei', '-mabi=lp64', '-mcmodel=medany', '-ffreestanding', '-nostdlib', '-static', '-no-pie', '-O1', '-Wall', '-Wextra', '-Werror',
    '-Wl,--no-warn-rwx-segments', '-Wl,--build-id=none', `-Wl,--defsym=BASE=${base}`, '-T', join(SOURCE, 'kernel.ld'), ...flags, join(SOURCE, 'start.S'), join(SOURCE, 'kernel.c'), '-o', elf,
  ])
  const flat = join(folder, `${name}.bin`)
  execFileSync('riscv64-linux-gnu-objcopy', ['-O', 'binary', elf, flat])
  return { elf, flat }
}

interface Said {
  readonly status: number | null
  readonly lines: readonly string[]
}

/** What the kernel said itself: firmware speaks before, and uses other ends of lines. */
const own = (text: string): string[] => text.replaceAll('\r', '').split('-- begin\n')[1]?.split('\n') ?? [`nothing, but ${text}`]

async function inQemu(args: readonly string[]): Promise<Said> {
  const disk = join(folder, 'disk.img')
  writeFileSync(disk, content)
  const child = spawn('qemu-system-riscv64', [
    // In one thread, hart 0 wins OpenSBI's lottery each time.
    '-accel', 'tcg,thread=single', '-M', 'virt', '-smp', '2', '-m', '128M', '-display', 'none', '-serial', 'stdio', '-monitor', 'none', ...args,
    '-drive', `file=${disk},if=none,format=raw,id=d`, '-device', 'virtio-blk-device,drive=d,bus=virtio-mmio-bus.0',
  ], { stdio: ['pipe', 'pipe', 'ignore'] })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    if (text.endsWith('> ')) child.stdin.write('good day\n')
  })
  const status = await new Promise<number | null>((resolve) => { child.on('close', resolve) })
  return { status, lines: own(text) }
}

async function inMachine(options: VirtOptions): Promise<Said> {
  let text = ''
  const input = new PassThrough()
  const console0 = stream({
    input,
    output: (bytes) => {
      text += Buffer.from(bytes).toString('latin1')
      if (text.endsWith('> ')) input.write('good day\n')
    },
  })
  const disk = memoryDisk(content.slice())
  const machine = createMachine(virt({ harts: 2, memory: 128 * 2 ** 20, rng: false, disks: [disk], console: console0, ...options }), nodeHost())
  try {
    machine.start()
    const { status, error } = await machine.finished()
    console0.flush()
    expect(error).toBeNull()
    return { status, lines: own(text) }
  } finally {
    machine.dispose()
  }
}

const modern = ['-global', 'virtio-mmio.force-legacy=false']
it.each([
  ['in M-mode', 'm', '0x80000000', ['-DMACHINE'], ['-bios', 'none', ...modern], 'elf', 'mmio'],
  ['in M-mode, flat', 'm', '0x80000000', ['-DMACHINE'], ['-bios', 'none', ...modern], 'flat', 'mmio'],
  ['below SBI', 's', '0x80200000', [], modern, 'elf', 'mmio'],
  ['below SBI, flat', 's', '0x80200000', [], modern, 'flat', 'mmio'],
  ['below SBI, with legacy devices', 'l', '0x80200000', ['-DLEGACY'], [], 'elf', 'mmio-legacy'],
] as const)('a small kernel %s runs as on QEMU, in both engines', async (_, name, base, flags, args, form, virtio) => {
  const path = build(name, base, flags)[form]
  const kernel = new Uint8Array(readFileSync(path))
  const expected = await inQemu([...args, '-kernel', path])
  expect([expected.status, expected.lines.slice(-3)]).toEqual([0, ['bytes = 9', '-- end', '']])
  // QEMU 7.2 has no B in misa, though it has all that B stands for.
  const lines = expected.lines.map((line) => line.replace('misa = 200141129', 'misa = 20014112b'))
  for (const translate of ['off', 'now'] as const) {
    const said = await inMachine({ ...(base === '0x80000000' ? { firmware: kernel } : { kernel }), virtio, translate, hot: 1 })
    expect(said).toEqual({ status: 0, lines })
  }
})

it('a small kernel that finds something else than it expects says so', async () => {
  const kernel = new Uint8Array(readFileSync(build('l', '0x80200000', ['-DLEGACY']).elf))
  expect(await inMachine({ kernel })).toEqual({ status: 1, lines: ['hart = 0', 'tree = edfe0dd0', 'panic: another version', ''] })
})
