import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createFdt } from '@machinist/boot'
import { lzCodec, pageHash } from '@machinist/memory'
import { afterAll, describe, expect, it } from 'vitest'
import { recordHeader } from './build/record-header.ts'

/** The kernel's parts that need no hardware, in C on this machine, under the sanitizers of addresses and undefined behaviour. */
const native = fileURLToPath(new URL('../native/', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'machinist-kernel-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']

function runTest(name: string, sources: readonly string[], args: readonly string[] = [], flags: readonly string[] = SANITIZERS): string {
  const program = join(folder, name)
  execFileSync('gcc', ['-g', '-O1', `-I${folder}`, `-I${join(native, 'kernel')}`, '-Wall', '-Wextra', '-Werror', ...flags, '-o', program, join(native, 'test', `${name}.c`), ...sources.map((source) => join(native, 'kernel', `${source}.c`)), '-lm'])
  return execFileSync(program, args, { encoding: 'utf8' })
}

describe('the kernel on the build host', () => {
  it('allocates', () => {
    runTest('heap', ['heap'])
  })
  it('keeps G-stage tables as a list of pages says, after each random operation', () => {
    runTest('gstage', ['gstage', 'pages'])
  })
  it('decodes all encodings of loads and stores', () => {
    runTest('decode', ['decode'])
  })
  it('serves what devices declare, and nothing else', () => {
    writeFileSync(join(folder, 'record.h'), recordHeader())
    runTest('shortcuts', ['shortcuts'])
  })
  it('does to RAM what its page map says, and touches nothing else', () => {
    writeFileSync(join(folder, 'record.h'), recordHeader())
    runTest('ram', ['ram'])
  })
  it('is an interrupt file for guests, whatever they do to its registers', () => {
    writeFileSync(join(folder, 'record.h'), recordHeader())
    runTest('guest_file', ['guest_file'])
  })
  it('tells TypeScript of a stopped hart once, however often others interrupt it', () => {
    writeFileSync(join(folder, 'record.h'), recordHeader())
    runTest('guest_sbi', ['guest_sbi'])
  })
  it('keeps ranges of memory', () => {
    runTest('memory', ['memory'])
  })
  it('hashes and compresses pages as @machinist/memory does', () => {
    const seed = Number(process.env['MACHINIST_SEED'] ?? 1)
    let state = seed
    const random = (below: number): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % below
    const pages = Array.from({ length: 200 }, (_, index) => {
      const page = new Uint8Array(4096)
      // Zeros, noise, and runs and repetitions of all lengths.
      for (let at = 0; index > 0 && at < page.length;) {
        const [kind, length, from] = [random(index % 4), 1 + random(1 << (index % 12)), random(at + 1)]
        for (let i = 0; i < length && at < page.length; i++, at++) page[at] = kind === 0 ? random(256) : kind === 1 ? length : page[from + i] ?? 0
      }
      return page
    })
    const file = join(folder, 'pages')
    writeFileSync(file, Buffer.concat(pages))
    const packed = new Uint8Array(3072)
    const expected = pages.map((page) => {
      const length = lzCodec.compress(page, packed)
      return `${pageHash(new Uint32Array(page.buffer), 0).toString(16)} ${length} ${Buffer.from(packed.subarray(0, length)).toString('hex')}`
    })
    expect(runTest('page', ['page'], [file]).split('\n').slice(0, -1)).toEqual(expected)
  })
  it('copies, fills and divides as the C library does', () => {
    // It reads whole words, a few bytes of which may lie outside what is copied.
    runTest('libc', [], [], ['-fno-builtin'])
  })
  it('reads a device tree, and survives broken ones', () => {
    const tree = createFdt()
    tree.root.set('#address-cells', 2).set('#size-cells', 2)
    tree.reserve(0x1000, 0x2000)
    tree.root.child('memory@80000000').set('device_type', 'memory').set('reg', [{ u64: 0x80000000 }, { u64: 0x1_4000_0000 }, { u64: 2 ** 40 }, { u64: 4096 }])
    tree.root.child('cpus').set('#address-cells', 1).set('#size-cells', 0).child('cpu@5').set('reg', [5]).set('number', 77)
    tree.root.child('soc').set('#address-cells', 2).set('#size-cells', 1).child('uart@10000000').set('reg', [{ u64: 0x10000000 }, 0x100]).set('compatible', ['first', 'second'])
    const file = join(folder, 'tree.dtb')
    writeFileSync(file, tree.toBytes())
    expect(runTest('fdt', ['fdt'], [file])).toBe([
      ' 0',
      ' memory@80000000 80000000+140000000 10000000000+1000 0',
      ' cpus 0',
      '  cpu@5 5+0 77',
      ' soc 0',
      '  uart@10000000 10000000+100 0 second',
      '',
    ].join('\n'))
  })
})
