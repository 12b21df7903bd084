/** Debian's gdb-multiarch at recordings: forwards and backwards, in a small program on bare harts, and in Linux with a program of its own. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { virt } from '@machinist/boards'
import { concatInitrds, cpio } from '@machinist/boot'
import { nodeHost, readWhole, recordIntoFile, stream } from '@machinist/host-node'
import { createMachine, type Machine, type MachineBlueprint, Seeker } from '@machinist/machine'
import { afterAll, expect, it, vi } from 'vitest'
import { type GdbListener, listenForGdb } from '../src/gdb/listen.ts'
import { gdbTarget } from '../src/gdb/option.ts'
import { execRequest, guestCommandLine, prepareGuest } from '../src/guest/index.ts'
import { replay } from '../src/recording/replay.ts'
import { askGdb, gdbLines, gdbValues } from './gdb.ts'

const SOURCE = fileURLToPath(new URL('./debugged', import.meta.url))
const TIME = { instructionsPerSecond: 1e9 }
const folder = mkdtempSync(join(tmpdir(), 'machinist-reverse-'))
afterAll(() => { rmSync(folder, { recursive: true, force: true }) })

/** Records a machine until it is paused. */
async function record(blueprint: MachineBlueprint, begin: (machine: Machine) => void): Promise<readonly Uint8Array[]> {
  const parts: Uint8Array[] = []
  const machine = createMachine(blueprint, nodeHost(), { record: { sink: { write: (bytes) => { parts.push(bytes) }, end() {} } } })
  begin(machine)
  const ended = new Promise<void>((resolve) => { machine.on('state', ({ to }) => { if (to === 'paused' || to === 'off') resolve() }) })
  machine.start()
  await ended
  machine.stopRecording()
  machine.dispose()
  return parts
}

interface Door {
  readonly seeker: Seeker
  readonly at: string
  readonly door: GdbListener
}

async function doorTo(blueprint: MachineBlueprint, parts: readonly Uint8Array[]): Promise<Door> {
  const host = nodeHost()
  const seeker = new Seeker({
    make: (onSay) => createMachine({ ...blueprint, backends: new Map() }, host, { replay: { source: { part: (index) => parts[index] ?? null }, onSay } }), loop: host.loop,
  })
  const door = await listenForGdb(seeker, { host: '127.0.0.1', port: 0 })
  return { seeker, door, at: gdbTarget(door.address) }
}

/** A small program for bare harts. */
function program(): string {
  const elf = join(folder, 'program.elf')
  execFileSync('riscv64-linux-gnu-gcc', [
    '-g', '-O1', '-march=rv64gc', '-mabi=lp64d', '-mcmodel=medany', '-ffreestanding', '-nostdlib', '-static', '-no-pie', '-Wno-main',
    '-Wl,--no-warn-rwx-segments', '-Wl,--build-id=none', '-Wl,-Ttext-segment=0x80000000', join(SOURCE, 'start.S'), join(SOURCE, 'main.c'), '-o', elf,
  ])
  return elf
}

it.each([1, 3])('steps back, and finds breakpoints and writes backwards, on %d bare harts', async (harts) => {
  const elf = program()
  const blueprint = virt({ firmware: readFileSync(elf), harts, console: 'null', time: TIME })
  const { seeker, door, at } = await doorTo(blueprint, await record(blueprint, (machine) => { machine.stopAt({ retired: 2_000_000 }) }))
  const said = await askGdb(at, elf, [
    'reverse-stepi', 'break work', 'continue', 'continue', 'continue', 'print ratio', 'set var $pc0 = $pc', 'delete',
    // There and back again.
    'stepi 20', 'set var $c = counter', 'set var $p = $pc', 'stepi 100', 'reverse-stepi 100', 'print $pc == $p', 'print counter == $c', 'reverse-stepi 20', 'print $pc == $pc0',
    'watch ratio', 'reverse-continue', 'bt 1', 'print ratio', 'delete',
    'break mix if b == 950', 'reverse-continue', 'print b', 'print ratio', 'delete', 'reverse-finish', 'reverse-step', 'reverse-next',
    'break mix', 'reverse-continue', 'set var $c = counter', 'print b', 'reverse-continue', 'print b', 'continue', 'print counter == $c', 'delete',
    'print counter = 5', 'monitor reset',
    ...(harts > 1 ? ['watch spins[2]', 'continue', 'continue', 'continue', 'set var $s = spins[2]', 'reverse-continue', 'print spins[2] == $s - 1', 'print $mhartid', 'reverse-stepi', 'print $mhartid', 'delete', 'thread 1'] : []),
    'break work', 'reverse-continue', 'reverse-continue', 'reverse-continue', 'delete', 'continue', 'print ratio > 10', 'kill',
  ])
  expect(gdbValues(said)).toEqual([
    '2.5', '1', '1', '1', '2', '950', '2', expect.stringMatching(/^\d+$/), expect.stringMatching(/^\d+$/), '1', ...(harts > 1 ? ['1', '2', '2'] : []), '1',
  ])
  const [, , , , , , , first = '', second = ''] = gdbValues(said)
  expect(Number(second)).toBe(Number(first) - 1)
  expect(said).toContain('Old value = 2.5\nNew value = 2')
  expect(said).toMatch(/No more reverse-execution history/)
  expect(gdbLines(said)).toEqual(expect.arrayContaining([expect.stringMatching(/^#0 .*work \(times=/)]))
  expect(said).toMatch(/Cannot access memory|Could not write|rejected|E01/)
  expect(seeker.machine.state).toBe('disposed')
  door.close()
})

it('machinist replay stops at an exact instruction, and lets a debugger in', async () => {
  const path = join(folder, 'run.recording')
  const file = recordIntoFile(path)
  const machine = createMachine(virt({ firmware: readFileSync(program()), harts: 2, console: 'null', time: TIME }), nodeHost(), { record: { sink: file.sink } })
  await file.begin(machine)
  const paused = new Promise<void>((resolve) => { machine.on('state', ({ to }) => { if (to === 'paused') resolve() }) })
  machine.stopAt({ retired: 100_000 })
  machine.start()
  await paused
  machine.stopRecording()
  machine.dispose()
  file.close()
  let text = ''
  const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((piece) => {
    text += String(piece)
    return true
  })
  try {
    expect(await replay({ file: path, quiet: false, until: 12_345 })).toBe(0)
    expect(text).toMatch(/Stopped after 12345 instructions\.\nhart 0: pc 0x80[0-9a-f]{6}, machine mode\nhart 1: pc 0x80[0-9a-f]{6}, machine mode\n$/)
    expect(await replay({ file: path, quiet: false, until: 100_001 })).toBe(1)
    expect(text).toMatch(/Replayed 100000 instructions; .* the recording was ended there/)
    expect([await replay({ file: path, quiet: true, until: 0 }), /hart 1: pc 0x80000[0-9a-f]{3}, machine mode\n$/.test(text)]).toEqual([0, true])
    const socket = join(folder, 'replay')
    const there = async (): Promise<void> => { while (!existsSync(socket)) await new Promise((resolve) => { setTimeout(resolve, 20) }) }
    const over = replay({ file: path, quiet: false, gdb: { path: socket }, until: 50_000 })
    await there()
    const said = await askGdb(socket, program(), ['set var $i = $minstret', 'print $i > 20000', 'break work', 'reverse-continue', 'print $minstret < $i', 'delete', 'detach'])
    expect([gdbValues(said), await over]).toEqual([['1', '1'], 0])
    expect(text).toMatch(/Debuggers connect with: target remote \/.*\n[^]*Replayed 100000 instructions/)
    const killed = replay({ file: path, quiet: true, gdb: { path: socket }, gdbWait: true })
    await there()
    expect([gdbValues(await askGdb(socket, program(), ['print $pc == (long)_start', 'kill'])), await killed]).toEqual([['1'], 0])
  } finally {
    stderr.mockRestore()
  }
})

it('finds in Linux who wrote, from where it was noticed; in its kernel and in a program', async () => {
  const guest = await prepareGuest()
  const culprit = join(folder, 'culprit')
  execFileSync('riscv64-linux-gnu-gcc', ['-g', '-O1', '-static', '-no-pie', '-o', culprit, join(SOURCE, 'culprit.c')])
  const request = execRequest("grep ' T __riscv_sys_getppid$' /proc/kallsyms; culprit")
  let out = ''
  let recorded: Machine | null = null
  const output = request.output({ stdout: (piece) => {
    out += Buffer.from(piece).toString()
    if (out.includes('guarded is -1\n')) recorded?.pause()
  }, stderr() {}, exit() {} })
  const blueprint = virt({
    harts: 2, time: TIME, kernel: readWhole(guest.kernel, 'kernel'),
    initrd: concatInitrds([readWhole(guest.initrd, 'initrd'), cpio().file('bin/culprit', readWhole(culprit, 'culprit'), 0o755).toBytes(), request.initrd]),
    append: guestCommandLine({ console: 'ttyS0', quiet: true }), console: stream({ output: (piece) => { output.push(piece) } }),
  })
  const parts = await record(blueprint, (machine) => { recorded = machine })
  expect(out).toContain('guarded is -1\n')
  const kernel = `0x${/^([0-9a-f]{16}) T /.exec(out)?.[1] ?? '0'}`
  const { seeker, door, at } = await doorTo(blueprint, parts)
  const said = await askGdb(at, culprit, [
    'break notice', 'continue', 'print guarded', 'delete',
    'watch guarded', 'reverse-continue', 'bt', 'print guarded', 'reverse-continue', 'print guarded', 'delete',
    `break *${kernel}`, 'reverse-continue', `print $pc == ${kernel}`, 'print $priv', 'reverse-stepi', 'print $priv', 'delete',
    'break honest', 'reverse-continue', 'print value', 'continue', 'print value', 'delete', 'break notice', 'continue', 'print guarded', 'kill',
  ])
  expect(gdbValues(said)).toEqual(['-1', '1233', '1232', '1', '1', '1', '1232', '1233', '-1'])
  expect(said).toMatch(/#0 .*culprit \(\)[^]*#1 .* in main \(\)/)
  expect(said).toContain('Old value = -1\nNew value = 1233')
  expect(seeker.machine.state).toBe('disposed')
  door.close()
})
