/** Debian's gdb-multiarch at our machines: a small program on bare harts, and Linux with a program of its own. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { virt } from '@machinist/boards'
import { concatInitrds, cpio } from '@machinist/boot'
import { nodeHost, readWhole, stream } from '@machinist/host-node'
import { createMachine, type Machine } from '@machinist/machine'
import { afterAll, afterEach, expect, it, vi } from 'vitest'
import { type GdbAddress, type GdbListener, listenForGdb } from '../src/gdb/listen.ts'
import { gdbTarget } from '../src/gdb/option.ts'
import { execRequest, guestCommandLine, prepareGuest } from '../src/guest/index.ts'
import { askGdb, gdbLines, gdbValues } from './gdb.ts'

const SOURCE = fileURLToPath(new URL('./debugged', import.meta.url))
const HERE: GdbAddress = { host: '127.0.0.1', port: 0 }
const folder = mkdtempSync(join(tmpdir(), 'machinist-gdb-'))
afterAll(() => { rmSync(folder, { recursive: true, force: true }) })

const elf = join(folder, 'program.elf')
execFileSync('riscv64-linux-gnu-gcc', [
  '-g', '-O1', '-march=rv64gc', '-mabi=lp64d', '-mcmodel=medany', '-ffreestanding', '-nostdlib', '-static', '-no-pie', '-Wall', '-Wextra', '-Wno-main', '-Werror',
  '-Wl,--no-warn-rwx-segments', '-Wl,--build-id=none', '-Wl,-Ttext-segment=0x80000000', join(SOURCE, 'start.S'), join(SOURCE, 'main.c'), '-o', elf,
])

const open: { readonly machine: Machine; readonly door: GdbListener }[] = []
afterEach(() => {
  for (const { machine, door } of open.splice(0)) {
    door.close()
    machine.dispose()
  }
})

async function bare(harts: number, address: GdbAddress = HERE): Promise<{ readonly machine: Machine; readonly at: string }> {
  const machine = createMachine(virt({ firmware: readFileSync(elf), harts, console: 'null' }), nodeHost())
  const door = await listenForGdb(machine, address)
  open.push({ machine, door })
  machine.start()
  return { machine, at: gdbTarget(door.address) }
}

const gdb = (at: string, commands: readonly string[], file: string = elf): Promise<string> => askGdb(at, file, commands)

it('breaks, steps, watches, and reads and writes registers and memory', async () => {
  const { machine, at } = await bare(1)
  const said = await gdb(at, [
    'break mix', 'continue', 'bt', 'print/x $mhartid', 'print/x $misa', 'print $priv', 'delete',
    'hbreak mix if b == 500', 'continue', 'print b', 'finish', 'delete',
    'break mix', 'continue', 'delete', 'print $ra', 'stepi', 'print $_exitcode', 'next', 'next',
    'break work', 'continue', 'delete', 'set var ratio = 8', 'watch ratio', 'continue', 'print ratio', 'print $fa5.double', 'delete',
    'set var counter = 7', 'rwatch counter', 'continue', 'print counter', 'print $a0', 'delete',
    'awatch counter', 'continue', 'continue', 'delete',
    'print/x $mscratch = 0x1234', 'print/x $mscratch', 'print $ft3.double = 2.5', 'print $ft3', 'print/x $fcsr = 0x41', 'print $frm', 'print/x $mideleg = -1',
    'print $mhartid = 5', 'print $mhartid', 'print (long)$minstret > 1000', 'print (long)$minstret < 100000000000',
    'set var done = 1', 'continue',
  ])
  expect(gdbLines(said)).toEqual(expect.arrayContaining([expect.stringMatching(/^#0 {2}mix \(a=/), expect.stringMatching(/^#1 .* in work \(/), expect.stringMatching(/^#2 .* in main \(/)]))
  expect(gdbValues(said)).toEqual([
    '0x0', '0x800000000014112f', '3', '500', expect.stringMatching(/<work\+\d+>$/), 'void', '8.5', '8.5', '7', '7',
    '0x1234', '0x1234', '2.5', '{float = 0, double = 2.5}', '0x41', '2', '0xffffffffffffffff', '5', '0', '1', '1',
  ])
  expect(said).toContain('Old value = 8\nNew value = 8.5')
  expect(said).toMatch(/Hardware read watchpoint \d+: counter\n\nValue = 7/)
  expect(said.match(/Hardware access \(read\/write\) watchpoint \d+: counter\n\n(Value|Old value) = /g)).toHaveLength(2)
  expect(said).toContain('exited normally')
  expect(machine.status).toBe(0)
})

it('shows harts as threads that step and run alone, over a Unix socket, and lets go', async () => {
  const { machine, at } = await bare(3, { path: join(folder, 'socket') })
  const said = await gdb(at, [
    'info threads', 'break spin thread 3', 'continue', 'print $mhartid', 'print hart', 'delete',
    // The others stand still while one steps, or runs alone.
    'set scheduler-locking on', 'set var $first = spins[1]', 'set var $second = spins[2]', 'stepi 200', 'print spins[1] == $first', 'print spins[2] > $second',
    'thread 2', 'print $mhartid', 'set var $second = spins[2]', 'break spin', 'continue', 'continue', 'print spins[1] > $first', 'print spins[2] == $second', 'delete',
    'set scheduler-locking off', 'set var $second = spins[2]', 'set var $c = counter', 'watch spins[1]', 'continue', 'continue', 'delete', 'break work', 'continue', 'print spins[2] > $second', 'delete',
    'thread 1', 'set var done = 0', 'monitor help', 'monitor info harts', 'monitor info memory', 'monitor translate 0x80000000', 'monitor nonsense',
    'maintenance packet Qqemu.PhyMemMode:1', 'maintenance packet qqemu.PhyMemMode', 'print &done == 0', 'print done', 'maintenance packet Qqemu.PhyMemMode:0',
    'detach',
  ])
  expect(said.match(/^[* ] +\d +Thread \d "hart\d" \(hart \d, machine mode\)/gm)).toHaveLength(3)
  expect(gdbValues(said)).toEqual(['2', '2', '1', '1', '1', '1', '1', '1', '0', '0'])
  expect(said).toContain('hart 2: pc 0x8')
  expect(said).toContain('0x80000000 is 0x80000000.')
  expect(said).toContain('There is no command "nonsense"')
  expect(said.match(/received: "(OK|1)"/g)).toEqual(['received: "OK"', 'received: "1"', 'received: "OK"'])
  expect(said).toContain('[Inferior 1 (Remote target) detached]')
  expect(machine.state).toBe('running')
  const before = machine.vcpus.map(({ retired }) => retired)
  await vi.waitUntil(() => machine.vcpus.every(({ retired }, hart) => retired > (before[hart] ?? Infinity)), 60_000)
  // And another comes.
  expect(gdbValues(await gdb(at, ['print $mhartid >= 0', 'monitor reset', 'maintenance flush register-cache', 'print $pc == (long)_start', 'print counter', 'kill']))).toEqual(['1', '1', '0'])
  expect(machine.state).toBe('off')
})

it('is interrupted by Ctrl-C', async () => {
  const { machine, at } = await bare(2)
  const said = await askGdb(at, elf, ['continue', 'print $priv', 'continue', 'print $priv', 'kill'], { machine, times: 2 })
  expect(said.match(/received signal SIGINT/g)).toHaveLength(2)
  expect(gdbValues(said)).toEqual(['3', '3'])
})

it('stops Linux in its kernel and in a program, by addresses of both', async () => {
  const guest = await prepareGuest()
  const asker = join(folder, 'asker')
  execFileSync('riscv64-linux-gnu-gcc', ['-g', '-O1', '-static', '-no-pie', '-o', asker, join(SOURCE, 'asker.c')])
  const request = execRequest("grep ' T __riscv_sys_getppid$' /proc/kallsyms; asker")
  let out = ''
  const output = request.output({ stdout: (piece) => { out += Buffer.from(piece).toString() }, stderr() {}, exit() {} })
  const machine = createMachine(virt({
    harts: 2, kernel: readWhole(guest.kernel, 'kernel'),
    initrd: concatInitrds([readWhole(guest.initrd, 'initrd'), cpio().file('bin/asker', readWhole(asker, 'asker'), 0o755).toBytes(), request.initrd]),
    append: guestCommandLine({ console: 'ttyS0', quiet: true }), console: stream({ output: (piece) => { output.push(piece) } }),
  }), nodeHost())
  const door = await listenForGdb(machine, HERE)
  open.push({ machine, door })
  machine.start()
  while (!out.includes('ready\n') && machine.state === 'running') await new Promise((resolve) => { setTimeout(resolve, 50) })
  const kernel = `0x${/^([0-9a-f]{16}) T /.exec(out)?.[1] ?? '0'}`
  const said = await gdb(gdbTarget(door.address), [
    `break *${kernel}`, 'continue', `print $pc == ${kernel}`, 'print $priv', 'x/i $pc', 'print/x $scause', 'x/wx 0x80200000', 'maintenance packet Qqemu.PhyMemMode:1', 'x/wx 0x80200000', 'maintenance packet Qqemu.PhyMemMode:0', 'stepi', 'stepi', 'print $priv', 'delete',
    'break ask', 'continue', 'print $priv', 'bt', 'set var $before = asked', 'continue', 'print asked - $before', 'delete',
    'watch asked', 'continue', 'print $priv', 'delete', 'print enough = 1', 'detach',
  ], asker)
  // The call, unless an interrupt came on the way.
  expect(gdbValues(said)).toEqual(['1', '1', expect.stringMatching(/^0x8(0{14}5)?$/), '1', '0', '1', '0', '1'])
  expect(said).toMatch(/Cannot access memory at address 0x80200000$[^]*^0x80200000:\t0x/m)
  expect(said).toMatch(/#0 {2}ask \(\)[^]*#1 .* in main \(\)/)
  expect(said).toMatch(/Hardware watchpoint \d+: asked\n\nOld value = (\d+)\nNew value = \d+/)
  const { error } = await machine.finished()
  expect([error, output.status, out.split('\n').slice(1)]).toEqual([null, 0, ['ready', 'asked often', '']])
})
