import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMachinistError, type MachinistError } from '@machinist/api'
import { virt } from '@machinist/boards'
import { resolve } from '@machinist/machine'
import { balloonControl } from '@machinist/virtio'
import { afterAll, describe, expect, test } from 'vitest'
import type { Profiler } from 'node:inspector'
import { balloonText } from './balloon.ts'
import { spentIn } from './time-shares.ts'
import { loadMachineFile, parseCommand, parseDisk, statsText } from './index.ts'

function errorOf(work: () => unknown): MachinistError {
  try {
    work()
  } catch (error) {
    if (isMachinistError(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('the command line', () => {
  test('has defaults, and run may be left out', () => {
    expect(parseCommand([])).toEqual({ kind: 'run', options: { disks: [], shares: [], quiet: false, stats: false } })
    expect(parseCommand(['run', '--quiet'])).toEqual(parseCommand(['--quiet']))
  })
  test('is understood', () => {
    const args = ['run', '--kernel', 'Image', '--initrd=rd', '--append', 'a b', '--firmware', 'fw', '--disk', 'a.img', '--disk', 'b,c.img,ro', '--disk=d,overlay',
      '--memory', '1G', '--harts', '4', '--virtio', 'pci', '--interrupts', 'aia', '--stats', '--quiet', '--share', 'work', '--vsock=s', '--balloon', '64M,oom=off', '--pmem', 'p,overlay']
    expect(parseCommand(args)).toEqual({ kind: 'run', options: {
      kernel: 'Image', initrd: 'rd', append: 'a b', firmware: 'fw', memory: 2 ** 30, harts: 4, virtio: 'pci', interrupts: 'aia', quiet: true, stats: true, vsock: 's', balloon: { target: 64 * 2 ** 20, config: { deflateOnOom: false } },
      pmems: [{ path: 'p', mode: 'overlay' }],
      shares: [{ path: 'work', tag: 'share', readOnly: false }],
      disks: [{ path: 'a.img', mode: 'rw' }, { path: 'b,c.img', mode: 'ro' }, { path: 'd', mode: 'overlay' }],
    } })
    expect(parseCommand(['machine.json', '--dump-dtb', '-'])).toMatchObject({ options: { machineFile: 'machine.json', dumpDtb: '-' } })
    expect(parseCommand(['machine.json', '--append', 'x'])).toMatchObject({ options: { machineFile: 'machine.json', append: 'x' } })
    expect(parseCommand(['--help', '--nothing'.slice(0, 0) || '--quiet'])).toEqual({ kind: 'help', topic: '' })
    expect(parseCommand(['-h'])).toEqual({ kind: 'help', topic: '' })
    expect(parseCommand(['--version'])).toEqual({ kind: 'version' })
    expect(parseCommand(['--board', 'pc', 'dos', '--console', 'screen', '--screenshot', 'a.png', '--firmware', 'b'])).toEqual({ kind: 'run', options: { board: 'pc', disks: [{ path: 'dos', mode: 'rw' }], shares: [], console: 'screen', screenshot: 'a.png', firmware: 'b', quiet: false, stats: false } })
    expect(parseDisk('x,rw')).toEqual({ path: 'x', mode: 'rw' })
    expect(parseDisk('a,b.img,bps=20M,overlay,iops=500,bps-burst=4096,iops-burst=1')).toEqual({
      path: 'a,b.img', mode: 'overlay', limits: { bytesPerSecond: 20 * 2 ** 20, operationsPerSecond: 500, burstBytes: 4096, burstOperations: 1 },
    })
  })
  test.each([
    [['--frobnicate'], '--frobnicate'], [['-z'], '-z'], [['--harts', '0'], '--harts'], [['--harts', '9'], '--harts'], [['--harts', 'two'], '--harts'], [['--virtio', 'isa'], '--virtio'], [['--interrupts', 'pic'], '--interrupts'], [['a.json', '--interrupts', 'aia'], '--interrupts'], [['a.json', '--virtio', 'pci'], '--virtio'],
    [['--harts', '1.5'], '--harts'], [['--memory', '12Q'], '--memory'], [['--memory', '512'], '--memory'], [['--memory', '-1'], '--memory'], [['--kernel'], '--kernel'],
    [['--kernel', '--quiet'], '--kernel'], [['--kernel='], '--kernel'], [['--quiet=yes'], '--quiet'], [['--disk', ',ro'], '--disk'],
    [['--disk', 'x,bps=0'], '--disk'], [['--disk', 'x,iops='], '--disk'], [['--disk', 'x,iops=-5'], '--disk'], [['--disk', 'x,bps=fast,ro'], '--disk'], [['--disk', 'x,bps=1.5'], '--disk'], [['--disk', 'x,bps-burst=5'], '--disk'], [['--disk', 'x,iops-burst=5,bps=1'], '--disk'],
    [['--exec', ' '], '--exec'], [['--dump-dtb='], '--dump-dtb'], [['profile', '--dump-dtb', 'x'], '--dump-dtb'],
    [['--out', 'x'], '--out'], [['run', '--rate', '5'], '--rate'], [['profile', '--rate', '0'], '--rate'], [['profile', '--rate', '1e3'], '--rate'], [['profile', '--out='], '--out'],
    [['--pmem', ',ro'], '--pmem'], [['--balloon', 'half'], '--balloon'], [['--balloon', '1M,oom'], '--balloon'], [['a.json', '--balloon', '0'], '--balloon'],
    [['profile', '--symbols='], '--symbols'], [['profile', '--symbols', '@0x10'], '--symbols'],
    [['--exec', 'ls', '--kernel', 'x'], '--exec'], [['--board', 'isa'], '--board'], [['a.json', '--board', 'pc'], '--board'], [['--board', 'pc', '--append', 'x'], '--append'], [['--board', 'pc', '--firmware', 'none'], '--firmware'], [['--console', 'screen'], '--console'], [['--board', 'pc', '--cdrom', 'x,rw'], '--cdrom'], [['--board', 'pc', 'x.iso,overlay'], '--cdrom'], [['--board', 'pc', '--cdrom', 'x,bus=ide'], '--cdrom'], [['--screenshot', 'x'], '--screenshot'], [['a.json', 'b.json'], 'arguments'], [['a.json', '--harts', '2'], '--harts'], [['a.json', '--exec', 'ls'], '--exec'],
  ])('%j is refused in one line that names %s', (args, name) => {
    const error = errorOf(() => parseCommand(args))
    expect(error).toMatchObject({ code: 'usage', part: name })
    expect(error.message).not.toContain('\n')
    expect(error.message.length).toBeLessThan(160)
  })
  test('a profile takes the options of a run, and its own', () => {
    expect(parseCommand(['profile'])).toEqual({ kind: 'profile', options: { disks: [], shares: [], quiet: false, stats: false }, profile: { out: 'guest.cpuprofile', symbols: [], rate: 1000 } })
    expect(parseCommand(['profile', 'm.json', '--stats', '--out', 'o', '--symbols', 'a@b', '--symbols=fw.elf@0x8000_0000', '--rate', '250'])).toEqual({
      kind: 'profile', options: { machineFile: 'm.json', disks: [], shares: [], quiet: false, stats: true },
      profile: { out: 'o', symbols: [{ path: 'a@b', offset: 0n }, { path: 'fw.elf', offset: 0x8000_0000n }], rate: 250 },
    })
  })
})

test('shares: a path, a tag, and whether the guest may write', () => {
  const shares = (...values: string[]) => {
    const command = parseCommand(['run', ...values.flatMap((value) => ['--share', value])])
    return command.kind === 'run' ? command.options.shares : null
  }
  expect(shares('a', 'b/c:/d', '/e:work', 'f:docs,ro', 'g,ro')).toEqual([
    { path: 'a', tag: 'share', readOnly: false }, { path: 'b/c:/d', tag: 'share1', readOnly: false }, { path: '/e', tag: 'work', readOnly: false },
    { path: 'f', tag: 'docs', readOnly: true }, { path: 'g', tag: 'share4', readOnly: true },
  ])
  for (const wrong of [[''], [':tag'], ['a:'], ['a:b c'], ['a:x', 'b:x'], ['a', 'b:share']]) expect(() => shares(...wrong)).toThrow(expect.objectContaining({ code: 'usage' }))
})

describe('machine files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-files-'))
  afterAll(() => { rmSync(folder, { recursive: true }) })
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const { definition } = virt({ harts: 2, kernel: { file: 'Image' }, console: 'terminal' })
  writeFileSync(join(folder, 'Image'), 'kernel')

  test.each([
    ['m.json', JSON.stringify(definition)],
    ['m.mjs', `export default ${JSON.stringify(definition)}`],
    ['f.mjs', `export default async () => (${JSON.stringify(definition)})`],
  ])('%s is read, and the files that it names', async (name, text) => {
    const blueprint = await loadMachineFile(file(name, text))
    const { boot } = blueprint.definition
    expect(boot?.protocol === 'riscv' && boot.kernel).toEqual(new Uint8Array(Buffer.from('kernel')))
    expect(resolve(blueprint.definition, blueprint.catalogue).cpu.harts).toBe(2)
  })
  test('balloons and pluggable memory of a file have a control', async () => {
    const balloon = (host: unknown) => ({ kind: 'virtio-balloon', backends: { host } })
    const given = { ...definition.devices, a: balloon({ type: 'balloon', target: '3M' }), b: balloon('balloon'), c: { kind: 'virtio-mem', config: { size: 2 ** 28 }, backends: { host: { type: 'memory', target: 4096 } } } }
    const { definition: { devices }, backends } = await loadMachineFile(file('balloon.json', JSON.stringify({ ...definition, devices: given })))
    expect([devices['a']?.backends, devices['b']?.backends]).toEqual([{ host: 'a.host' }, { host: 'b.host' }])
    expect(['a.host', 'b.host'].map((name) => backends.get(name))).toMatchObject([{ kind: 'balloon', target: 3 * 2 ** 20 }, { kind: 'balloon', target: 0 }])
    expect(backends.get('c.host')).toMatchObject({ kind: 'hotplug', target: 4096 })
  })
  test.each([
    ['none.json', null, 'file-enoent'], ['none.mjs', null, 'file-enoent'], ['bad.json', '{', 'machine-file'], ['empty.mjs', '', 'machine-file'], ['m.txt', '', 'machine-file'],
    ['odd.json', '{"memory": 3}', 'definition'], ['m.ts', 'export default 1 as number', 'machine-file'],
  ])('%s is a typed error', async (name, text, code) => {
    const path = text === null ? join(folder, name) : file(name, text)
    await expect(loadMachineFile(path)).rejects.toMatchObject({ code })
  })
})

test('statistics are readable', () => {
  const text = statsText({ retired: 1_234_567_890, steps: 1_234_567_899, runTime: 10e9, idleTime: 1e9, virtualTime: 11e9, exits: { budget: 1, halt: 2, yield: 3, debug: 0, interrupt: 0 }, events: 7, touchedMemory: 2 ** 20, cpu: { translated: 617_283_945, stepped: 1000, regions: 5 } }, 12_000)
  expect(text).toContain('1,234,567,890')
  expect(text).toContain('123.5 MIPS')
  expect(text).toContain('50.0 % of instructions translated')
  expect(text).toContain('5 made')
  const balloon = { ...balloonControl({ target: 0 }), size: 3 * 2 ** 20, statistics: { free: 2 ** 20, available: 2 ** 21, total: 2 ** 22 } }
  expect(balloonText(balloon)).toBe('3.0 MiB given up by the guest, which has 2.0 of 4.0 MiB left')
})

test('time is what V8 saw of the machine: regions, interpreter, what they call, translating, devices', () => {
  const node = (id: number, functionName: string, url: string, children: number[] = []): Profiler.ProfileNode =>
    ({ id, callFrame: { functionName, scriptId: '0', url, lineNumber: 0, columnNumber: 0 }, children })
  const home = 'file:///x/node_modules/@machinist'
  const spent = spentIn({
    nodes: [
      node(1, '(root)', '', [2, 3, 12]), node(2, '(idle)', ''), node(3, 'runSlice', `${home}/machine/dist/index.js`, [4, 9]),
      node(4, 'run', 'wasm://wasm/1', [5, 6, 7]), node(5, 'r0', 'wasm://wasm/2'), node(6, 'codePage', `${home}/cpu-riscv/dist/index.js`),
      node(7, 'read', `${home}/bus/dist/index.js`, [8]), node(8, 'now', ''),
      node(9, 'flush', `${home}/translator/dist/index.js`, [10, 11]), node(10, 'emit', `${home}/cpu-riscv/dist/index.js`), node(11, 'Module', ''),
      node(12, 'main', `${home}/machinist/dist/cli.js`),
    ],
    samples: [2, 3, 4, 5, 6, 7, 8, 10, 11, 12],
    timeDeltas: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
  })
  expect(spent).toEqual({ 'translated code': 8, interpreter: 4, 'slow path': 16, compiling: 384, devices: 96, other: 514 })
  expect(statsText({ retired: 1, steps: 1, runTime: 1, idleTime: 1, virtualTime: 1, exits: { budget: 1, halt: 2, yield: 3, debug: 0, interrupt: 0 }, events: 7, touchedMemory: 1, cpu: {} }, 1, spent)).toContain('37.6 % compiling')
})

test('machines of another instruction set are refused what only RISC-V has', () => {
  const code = (...args: string[]): string => {
    try {
      const command = parseCommand(args)
      return command.kind === 'run' ? `${command.options.arch ?? 'riscv64'} ${command.options.virtio ?? 'default'}` : command.kind
    } catch (error) {
      if (isMachinistError(error)) return `${error.code} ${error.part}`
      throw error
    }
  }
  expect([code('--arch', 'x86_64'), code('--arch', 'amd64'), code('--arch', 'i386', '--virtio', 'mmio'), code('--arch', 'riscv64')]).toEqual(['amd64 default', 'amd64 default', 'i386 mmio', 'riscv64 default'])
  expect(code('--arch', 'mips')).toBe('usage --arch')
  for (const [flag, value] of [['firmware', 'fw'], ['interrupts', 'aia'], ['dump-dtb', 'x.dtb'], ['kernel', 'none'], ['virtio', 'mmio-legacy']] as const) expect(code('--arch', 'x86_64', `--${flag}`, value), flag).toBe(`usage --${flag}`)
})
