import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { type BlockPort, type BlockStatus, isMachinistError } from '@machinist/api'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { collector, escapeParser, fileDisk, nodeHost, nodeLoop, readWhole, stream, terminal } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-host-'))
afterAll(() => { rmSync(folder, { recursive: true }) })
const turn = (): Promise<void> => new Promise((resolve) => { setImmediate(() => { setImmediate(resolve) }) })
const now = (callback: () => void): void => { callback() }
const codeOf = (work: () => unknown): string => {
  try {
    work()
  } catch (error) {
    if (isMachinistError(error)) return error.code
    throw error
  }
  return 'nothing'
}

describe('the escape parser', () => {
  test('gives the same however the input is cut, and passes all bytes without Ctrl-A', () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.nat(255), fc.constantFrom(1, 97, 120, 104)), { maxLength: 60 }), fc.array(fc.nat(60)), (bytes, cuts) => {
      const whole: string[] = []
      const pieces: string[] = []
      const one = escapeParser((key) => 'xh'.includes(key) && whole.push(key) > 0)
      const many = escapeParser((key) => 'xh'.includes(key) && pieces.push(key) > 0)
      const expected = [...one.feed(Uint8Array.from(bytes))]
      const at = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length]
      const got = at.slice(1).flatMap((end, index) => [...many.feed(Uint8Array.from(bytes.slice(at[index], end)))])
      expect(got).toEqual(expected)
      expect(pieces).toEqual(whole)
      if (!bytes.includes(1)) expect(got).toEqual(bytes)
    }))
  })
  test.each([
    ['hé\r', 'hé\r', ''], ['a\x01xb', 'ab', 'x'], ['\x01X', '', 'x'], ['\x01a', '\x01', ''], ['\x01\x01', '\x01', ''], ['\x01h\x01q', '\x01q', 'h'], ['\x01é', '\x01é', ''],
  ])('%j gives %j and commands %j', (typed, passed, commands) => {
    let seen = ''
    const parser = escapeParser((key) => 'xh'.includes(key) && (seen += key) !== '')
    expect(Buffer.from(parser.feed(Buffer.from(typed))).toString()).toBe(passed)
    expect(seen).toBe(commands)
  })
})

describe('streams', () => {
  test('input waits for the guest, holds its source back, and loses nothing', async () => {
    const source = new PassThrough({ highWaterMark: 1024 })
    const backend = stream({ input: source })
    let readable = 0
    const port = backend.connect(now)
    port.listen({ readable: () => readable++, writable() {} })
    const sent = Buffer.alloc(300_000, 'abcdefg')
    for (let at = 0; at < sent.length; at += 1000) source.write(sent.subarray(at, at + 1000))
    source.end()
    const got: number[] = []
    const into = new Uint8Array(777)
    await turn()
    expect(readable).toBeGreaterThan(0)
    expect(source.readableLength + source.writableLength, 'most is still at the source').toBeGreaterThan(100_000)
    for (let idle = 0; idle < 5;) {
      const count = port.read(into)
      got.push(...into.subarray(0, count))
      if (count === 0) idle++
      await turn()
    }
    expect(Buffer.from(got).equals(sent)).toBe(true)
  })
  test('output makes the guest wait when the host does, tells it when to go on, and loses nothing', async () => {
    const got: Buffer[] = []
    const waiting: (() => void)[] = []
    const slow = new Writable({ highWaterMark: 100, write(chunk: Buffer, _encoding, done) { got.push(chunk); waiting.push(done) } })
    let writable = 0
    const port = stream({ output: slow }).connect(now)
    port.listen({ readable() {}, writable: () => writable++ })
    const all = Buffer.alloc(200_000, 'xyz12')
    let sent = 0
    let refused = 0
    for (let turns = 0; turns < 200 && (sent < all.length || waiting.length > 0); turns++) {
      const bytes = all.subarray(sent, sent + 30_000)
      const count = port.write(bytes)
      if (count < bytes.length) refused++
      sent += count
      if (turns % 6 === 5) waiting.shift()?.()
      await turn()
    }
    expect(Buffer.concat(got).equals(all)).toBe(true)
    expect(refused).toBeGreaterThan(0)
    expect(writable).toBeGreaterThan(0)
  })
  test('a reader that goes away ends the output and not the machine', async () => {
    const broken = new Writable({ write(_chunk, _encoding, done) { done(Object.assign(new Error('EPIPE'), { code: 'EPIPE' })) } })
    const port = stream({ output: broken }).connect(now)
    for (let i = 0; i < 10; i++) {
      expect(port.write(new Uint8Array(60_000))).toBe(60_000)
      await turn()
    }
  })
  test('output takes what fits, in pieces of any size, and keeps its order', () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.integer({ min: 0, max: 3000 }), fc.constantFrom(65_535, 65_536, 70_000)), { maxLength: 40 }), fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }), (sizes, flushes) => {
      const backend = collector()
      const port = backend.connect(now)
      const sent: Uint8Array[] = []
      let waiting = 0
      let next = 0
      sizes.forEach((size, index) => {
        const bytes = Uint8Array.from({ length: size }, () => next++ & 0xff)
        const taken = port.write(bytes)
        expect(taken).toBe(Math.min(size, 65_536 - waiting))
        sent.push(bytes.subarray(0, taken))
        waiting += taken
        if (flushes[index] !== true) return
        backend.flush()
        waiting = 0
      })
      expect(Buffer.from(backend.bytes()).equals(Buffer.concat(sent))).toBe(true)
    }), { numRuns: 50 })
  })
  test('a collector keeps the last bytes', () => {
    const backend = collector(10)
    const port = backend.connect(now)
    for (const word of ['one', 'two', 'three', 'four', '€']) {
      port.write(Buffer.from(word))
      backend.flush()
    }
    expect(backend.text()).toBe('reefour€'.slice(-8))
  })
})

describe('the terminal', () => {
  const fake = (): { input: PassThrough & { isTTY: true; isRaw: boolean; setRawMode(raw: boolean): never }; output: PassThrough & { isTTY: true; columns: number; rows: number } } => {
    const input = Object.assign(new PassThrough(), { isTTY: true as const, isRaw: false, setRawMode(raw: boolean) { input.isRaw = raw; return input as never } })
    return { input, output: Object.assign(new PassThrough(), { isTTY: true as const, columns: 80, rows: 24 }) }
  }
  test('is raw while connected, finds commands, tells its size, and is given back', async () => {
    const { input, output } = fake()
    let left = 0
    const listeners = process.listenerCount('SIGTERM')
    const backend = terminal({ input, output, onLeave: () => left++ })
    expect(input.isRaw).toBe(false)
    const port = backend.connect(now)
    expect(input.isRaw).toBe(true)
    input.write('héy\x03\x01h\x01x')
    await turn()
    const into = new Uint8Array(100)
    expect(Buffer.from(into.subarray(0, port.read(into))).toString()).toBe('héy\x03')
    expect(left).toBe(1)
    expect(String(output.read())).toContain('Ctrl-A X')
    expect(port.size).toEqual({ columns: 80, rows: 24 })
    let resized = 0
    port.onResize?.(() => resized++)
    output.columns = 100
    output.emit('resize')
    expect(resized).toBe(1)
    expect(port.size).toEqual({ columns: 100, rows: 24 })
    backend.close()
    expect(input.isRaw).toBe(false)
    expect(process.listenerCount('SIGTERM')).toBe(listeners)
  })
  test('on a pipe has no commands', async () => {
    const input = new PassThrough()
    const port = terminal({ input, output: new PassThrough() }).connect(now)
    input.end('\x01x')
    await turn()
    expect(port.read(new Uint8Array(9))).toBe(2)
  })
})

describe('files', () => {
  test.each([
    ['file-enoent', (): string => join(folder, 'none')],
    ['file-eisdir', (): string => folder],
    ['file-enotdir', (): string => { writeFileSync(join(folder, 'plain'), 'x'); return join(folder, 'plain', 'in') }],
    ['file-kind', (): string => '/dev/null'],
    ['disk-empty', (): string => { writeFileSync(join(folder, 'empty'), ''); return join(folder, 'empty') }],
  ])('%s is a typed error', (code, path) => {
    const at = path()
    for (const mode of ['ro', 'overlay'] as const) expect(codeOf(() => fileDisk(at, { mode, name: 'disk0' }))).toBe(code)
  })
  test('a kernel that is not there, or empty', () => {
    expect(codeOf(() => readWhole(join(folder, 'nope'), '--kernel'))).toBe('file-enoent')
    expect(codeOf(() => readWhole(join(folder, 'empty'), '--kernel'))).toBe('file-empty')
    mkdirSync(join(folder, 'dir'))
    expect(codeOf(() => readWhole(join(folder, 'dir'), '--kernel'))).toBe('file-eisdir')
  })
  const transfer = (port: BlockPort, work: (port: BlockPort, done: (status: BlockStatus) => void) => void): Promise<BlockStatus> =>
    new Promise((resolve) => { work(port, resolve) })
  test.each([['rw', 'ok', true], ['ro', 'read-only', false], ['overlay', 'ok', false]] as const)('a disk in mode %s: writes are %s, and reach the file: %s', async (mode, status, reaches) => {
    const path = join(folder, `disk-${mode}`)
    writeFileSync(path, Buffer.alloc(8192, 1))
    const disk = fileDisk(path, { mode })
    const port = disk.connect((callback) => { callback() })
    expect(port.size).toBe(8192)
    expect(await transfer(port, (p, done) => { p.write(512, [new Uint8Array(512).fill(9)], done) })).toBe(status)
    expect(await transfer(port, (p, done) => { p.flush(done) })).toBe('ok')
    const back = new Uint8Array(1024)
    expect(await transfer(port, (p, done) => { p.read(256, [back.subarray(0, 700), back.subarray(700)], done) })).toBe('ok')
    const written = status === 'ok' ? 9 : 1
    expect([back[0], back[255], back[256], back[767], back[768]]).toEqual([1, 1, written, written, 1])
    await disk.close()
    expect(readFileSync(path)[600]).toBe(reaches ? 9 : 1)
  })
})

test('the host: its loop, memory, entropy, clock and backends', async () => {
  const host = nodeHost({ backends: { mine: collector() } })
  const before = host.loop.now()
  await new Promise<void>((resolve) => { host.loop.after(3_000_000, resolve) })
  expect(host.loop.now() - before).toBeGreaterThan(2_000_000)
  let called = false
  nodeLoop.after(1e6, () => { called = true })()
  nodeLoop.after(1e3, () => { called = true })()
  await new Promise((resolve) => { setTimeout(resolve, 10) })
  expect(called).toBe(false)
  const memory = host.linearMemory(2 ** 32 - 65536)
  expect(memory.buffer.byteLength).toBe(1 << 20)
  memory.grow(1)
  expect(memory.buffer.byteLength).toBe((1 << 20) + 65536)
  const bytes = new Uint8Array(64)
  host.entropy?.fill(bytes)
  expect(new Set(bytes).size).toBeGreaterThan(20)
  expect(Math.abs(Number(host.wallClock?.now() ?? 0n) / 1e6 - Date.now())).toBeLessThan(1000)
  expect(host.backend?.('mine', 'char', 'x')?.kind).toBe('char')
  expect(host.backend?.('toString', 'char', 'x')).toBeNull()
  expect(codeOf(() => host.backend?.({ type: 'disk', path: folder }, 'block', 'x'))).toBe('file-eisdir')
  expect(codeOf(() => host.backend?.({ type: 'disk', path: 'x', mode: 'w' }, 'block', 'x'))).toBe('backend-option')
  // What has the signature of another format is no raw image, unless that is said.
  for (const [signature, code] of [['QFI\u00fb\0\0\0\x03', 'backend-option'], ['QED\0', 'image-format'], ['plain', 'nothing']] as const) {
    const path = join(folder, 'signature')
    writeFileSync(path, Buffer.from(signature.padEnd(4096, '\0'), 'latin1'))
    expect(codeOf(() => { host.backend?.({ type: 'disk', path, lock: 'off' }, 'block', 'x')?.close?.() })).toBe(code)
    expect(codeOf(() => { host.backend?.({ type: 'disk', path, lock: 'off', format: 'raw' }, 'block', 'x')?.close?.() })).toBe('nothing')
  }
  const limited = { type: 'disk', path: join(folder, 'signature') }
  expect(codeOf(() => host.backend?.({ ...limited, limits: { bps: 1 } }, 'block', 'x'))).toBe('backend-option')
  // It was closed, and its lock given back.
  expect(codeOf(() => { host.backend?.(limited, 'block', 'x')?.close?.() })).toBe('nothing')
})

test('a terminal is given back when the process is killed or crashes', () => {
  const script = spawnSync('sh', ['-c', 'command -v script'], { encoding: 'utf8' })
  if (script.status !== 0) return
  const root = join(import.meta.dirname, '../../..')
  const bundle = join(folder, 'terminal.mjs')
  writeFileSync(join(folder, 'entry.ts'), `
    import { terminal } from ${JSON.stringify(join(import.meta.dirname, 'console/terminal.ts'))}
    terminal().connect((callback) => { callback() })
    setTimeout(() => {
      if (process.argv[2] === 'crash') throw new Error('crash')
      process.kill(process.pid, process.argv[2])
    }, 50)
  `)
  const built = spawnSync(join(root, 'node_modules/.bin/esbuild'), [join(folder, 'entry.ts'), '--bundle', '--platform=node', '--format=esm', '--conditions=@machinist/source', `--outfile=${bundle}`], { cwd: root, encoding: 'utf8' })
  expect(built.status, built.stderr).toBe(0)
  for (const how of ['crash', 'SIGTERM', 'SIGHUP', 'SIGINT']) {
    const run = spawnSync('script', ['-qec', `stty -g > ${folder}/before; ${process.execPath} ${bundle} ${how}; stty -g > ${folder}/after`, '/dev/null'], { encoding: 'utf8', input: '' })
    expect(readFileSync(join(folder, 'after'), 'utf8'), `${how}: ${run.stdout}`).toBe(readFileSync(join(folder, 'before'), 'utf8'))
  }
})

test('a balloon and pluggable memory are controls by their descriptors, one for each machine', () => {
  const host = nodeHost()
  const targetOf = (descriptor: Parameters<NonNullable<typeof host.backend>>[0], kind: 'balloon' | 'hotplug'): unknown => (host.backend?.(descriptor, kind, 'part.host') as { target?: number } | null)?.target
  expect([targetOf('balloon', 'balloon'), targetOf({ type: 'balloon', target: '64M' }, 'balloon'), targetOf({ type: 'memory', target: 4096 }, 'hotplug'), targetOf('memory', 'hotplug')]).toEqual([0, 2 ** 26, 4096, 0])
  expect([targetOf('memory', 'balloon'), targetOf('balloon', 'hotplug')]).toEqual([undefined, undefined])
  expect(host.backend?.('balloon', 'balloon', 'a')).not.toBe(host.backend?.('balloon', 'balloon', 'b'))
  expect(codeOf(() => host.backend?.({ type: 'balloon', target: 'much' }, 'balloon', 'part.host'))).toBe('definition')
  expect(codeOf(() => host.backend?.({ type: 'balloon', target: 2 ** 50 }, 'balloon', 'part.host'))).toBe('balloon-target')
})
