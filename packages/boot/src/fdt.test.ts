import { execFileSync } from 'node:child_process'
import { isMachinistError } from '@machinist/api'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createFdt, fdtCells, fdtStrings, fdtText, parseFdt, unitAddress } from './index.ts'
import type { ParsedFdtNode } from './index.ts'
import { encodeUtf8 } from './text.ts'

function code(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (isMachinistError(error)) return error.code
    throw error
  }
  return 'none'
}

function plain(node: ParsedFdtNode): unknown {
  return { name: node.name, properties: [...node.properties].map(([name, bytes]) => [name, [...bytes]]), children: node.children.map(plain) }
}

type Prop = true | string | number | number[] | string[] | Uint8Array
interface Tree { readonly props: readonly (readonly [string, Prop])[]; readonly children: readonly (readonly [string, Tree])[] }

const word = fc.integer({ min: 0, max: 0xffff_ffff })
const text = fc.string({ unit: fc.constantFrom('a', 'Z', '0', ' ', ',', '"', '\\', '/', 'ß', '漢'), maxLength: 12 })
const value: fc.Arbitrary<Prop> = fc.oneof(
  fc.constant(true as const), text, word, fc.array(word, { minLength: 1, maxLength: 6 }), fc.array(text, { minLength: 1, maxLength: 4 }), fc.uint8Array({ minLength: 1, maxLength: 9 }))
const propName = fc.stringMatching(/^p[0-9a-z,._+?#-]{0,8}$/)
const nodeName = fc.tuple(fc.stringMatching(/^n[0-9A-Za-z,._+-]{0,8}$/), fc.option(fc.nat(0xffff))).map(([base, unit]) => (unit === null ? base : `${base}@${unitAddress(unit)}`))
const level = (children: fc.Arbitrary<Tree> | null): fc.Arbitrary<Tree> =>
  fc.record({
    props: fc.uniqueArray(fc.tuple(propName, value), { selector: ([name]) => name, maxLength: 5 }),
    children: children === null ? fc.constant([]) : fc.uniqueArray(fc.tuple(nodeName, children), { selector: ([name]) => name.split('@')[1] ?? name, maxLength: 3 }),
  })
const tree = level(level(level(level(null))))

function build(from: Tree, into: ReturnType<typeof createFdt>['root']): void {
  for (const [name, v] of from.props) into.set(name, v)
  for (const [name, child] of from.children) build(child, into.child(name))
}

/** The same tree as text for dtc. Strings go as bytes, so that only one of the two sides knows how to encode them. */
function dts(from: Tree): string {
  const bytes = (list: Iterable<number>): string => `[${[...list].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')}]`
  const zero = (s: string): string => bytes([...new TextEncoder().encode(s), 0])
  const one = (v: Prop): string => {
    if (v === true) return ''
    if (typeof v === 'string') return ` = ${zero(v)}`
    if (typeof v === 'number') return ` = <${v}>`
    if (v instanceof Uint8Array) return ` = ${bytes(v)}`
    return ` = ${v.map((item) => (typeof item === 'string' ? zero(item) : `<${item}>`)).join(', ')}`
  }
  return `{ ${from.props.map(([name, v]) => `${name}${one(v)};`).join(' ')} ${from.children.map(([name, child]) => `${name} ${dts(child)};`).join(' ')} }`
}

function hasDtc(): boolean {
  try {
    execFileSync('dtc', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

describe('createFdt', () => {
  // Without the program dtc (Debian's device-tree-compiler) the comparison with it is skipped.
  it.skipIf(!hasDtc())('writes what dtc writes, and dtc reads it', () => {
    fc.assert(
      fc.property(tree, (random) => {
        const fdt = createFdt()
        build(random, fdt.root)
        fdt.reserve(0x8000_0000, 0x1000)
        const ours = fdt.toBytes()
        const theirs = execFileSync('dtc', ['-q', '-q', '-I', 'dts', '-O', 'dtb'], { input: `/dts-v1/; /memreserve/ 0x80000000 0x1000; / ${dts(random)};` })
        const back = execFileSync('dtc', ['-q', '-q', '-I', 'dtb', '-O', 'dtb'], { input: ours })
        const read = parseFdt(ours)
        for (const other of [parseFdt(theirs), parseFdt(back)]) {
          expect(plain(read.root)).toEqual(plain(other.root))
          expect(read.reservations).toEqual(other.reservations)
        }
      }),
      { numRuns: 40 },
    )
  })

  it('reads back what it writes, and the copy of a copy is the same', () => {
    fc.assert(
      fc.property(tree, (random) => {
        const fdt = createFdt()
        build(random, fdt.root)
        const bytes = fdt.toBytes()
        expect(bytes.length % 8).toBe(0)
        expect(createFdt(parseFdt(bytes)).toBytes()).toEqual(bytes)
      }),
    )
  })

  it.skipIf(!hasDtc())('is source, of which dtc makes the same tree', () => {
    fc.assert(
      fc.property(tree, (random) => {
        const fdt = createFdt()
        build(random, fdt.root)
        fdt.reserve(0x8000_0000, 0x1000)
        const read = parseFdt(fdt.toBytes())
        const again = parseFdt(execFileSync('dtc', ['-q', '-q', '-I', 'dts', '-O', 'dtb'], { input: fdtText(read) }))
        expect(plain(again.root)).toEqual(plain(read.root))
        expect(again.reservations).toEqual(read.reservations)
      }),
      { numRuns: 40 },
    )
  })

  it('as source has values in the form that tells most, and never more than it may', () => {
    const fdt = createFdt()
    fdt.root.set('a', true).set('b', ['x', 'say "\\"']).set('c', [1, 0x8000_0000]).set('d', Uint8Array.of(1, 0, 255)).set('e', '').set('f', 'ß')
    fdt.root.child('cpus').child('cpu@0').set('reg', 0)
    fdt.root.child('empty')
    fdt.reserve(0x8000_0000, 0x1000)
    expect(fdtText(fdt.toBytes())).toBe([
      '/dts-v1/;', '', '/memreserve/ 0x80000000 0x1000;', '', '/ {', '\ta;', '\tb = "x", "say \\"\\\\\\"";', '\tc = <0x1 0x80000000>;', '\td = [01 00 ff];', '\te = [00];', '\tf = [c3 9f 00];', '',
      '\tcpus {', '\t\tcpu@0 {', '\t\t\treg = <0x0>;', '\t\t};', '\t};', '', '\tempty {', '\t};', '};', '',
    ].join('\n'))
    const root = { name: '', properties: new Map(), children: [{ name: 'a\u001b[2J', properties: new Map(), children: [] }] }
    expect(code(() => fdtText({ ...parseFdt(fdt.toBytes()), root }))).toBe('fdt-text')
    expect(code(() => fdtText(new Uint8Array(100)))).toBe('fdt-magic')
  })

  it('numbers the labels that are referred to, in the order of the tree', () => {
    const fdt = createFdt()
    fdt.root.child('serial@10').label('uart').set('interrupts-extended', [{ ref: 'plic' }, 10, { ref: 'aplic' }, 3]).set('reg', [{ u64: 0x1_0000_0010 }])
    fdt.root.child('unused@20').label('unused')
    fdt.root.child('aplic@30').label('aplic')
    fdt.root.child('plic@40').label('plic').label('also').set('parent', [{ ref: 'also' }])
    const parsed = parseFdt(fdt.toBytes())
    expect(fdtCells(parsed.find('/serial@10')?.properties.get('interrupts-extended'))).toEqual([2, 10, 1, 3])
    expect(fdtCells(parsed.find('/serial@10')?.properties.get('reg'))).toEqual([1, 16])
    expect(fdtCells(parsed.find('/aplic@30')?.properties.get('phandle'))).toEqual([1])
    expect(fdtCells(parsed.find('/plic@40')?.properties.get('parent'))).toEqual([2])
    expect(parsed.find('/unused@20')?.properties.has('phandle')).toBe(false)
    expect(fdt.toBytes()).toEqual(fdt.toBytes())
  })

  it('keeps away from phandles that are taken', () => {
    const fdt = createFdt()
    fdt.root.child('a').label('a').set('next', [{ ref: 'b' }])
    fdt.root.child('b').label('b').set('phandle', 1).set('next', [{ ref: 'a' }])
    const parsed = parseFdt(fdt.toBytes())
    expect(fdtCells(parsed.find('/a')?.properties.get('phandle'))).toEqual([2])
    expect(fdtCells(parsed.find('/a')?.properties.get('next'))).toEqual([1])
  })

  it('refuses what would be wrong in the blob', () => {
    const root = () => createFdt().root
    const whole = (make: (r: ReturnType<typeof root>) => unknown) => code(() => { const fdt = createFdt(); make(fdt.root); fdt.toBytes() })
    expect(whole((r) => r.set('x', [{ ref: 'nobody' }]))).toBe('fdt-label')
    expect(whole((r) => { r.child('a').label('l'); r.child('b').label('l') })).toBe('fdt-label')
    expect(whole((r) => { r.child('a@10'); r.child('b@10') })).toBe('fdt-clash')
    expect(whole((r) => { r.child('a@10').set('status', 'disabled'); r.child('b@10') })).toBe('none')
    expect(whole((r) => { r.child('a').set('phandle', 7); r.child('b').set('phandle', 7) })).toBe('fdt-clash')
    expect(whole((r) => { r.set('a', 1).child('a') })).toBe('fdt-clash')
    expect(code(() => root().child('1abc'))).toBe('fdt-name')
    expect(code(() => root().child('a/b'))).toBe('fdt-name')
    expect(code(() => root().set('', 1))).toBe('fdt-name')
    for (const bad of [-1, 1.5, 2 ** 32, NaN]) expect(code(() => root().set('x', bad))).toBe('fdt-value')
    for (const bad of [-1, 2 ** 53]) expect(code(() => root().set('x', [{ u64: bad }]))).toBe('fdt-value')
    expect(code(() => root().set('x', 'a\0b'))).toBe('fdt-value')
    expect(code(() => createFdt().reserve(0, 0))).toBe('fdt-reservation')
  })
})

describe('parseFdt', () => {
  const sample = createFdt()
  sample.root.set('compatible', ['machinist,virt', 'riscv-virtio']).child('cpus').set('#size-cells', 0).child('cpu@0').set('reg', 0)
  sample.reserve(4096, 8192)
  const good = sample.toBytes()

  it('survives every damage with a typed error or a tree', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }), fc.nat(good.length), (changes, length) => {
        const bad = good.slice()
        for (const [at, byte] of changes) bad[at] = byte
        for (const bytes of [bad, good.slice(0, length)]) expect(code(() => parseFdt(bytes))).toMatch(/^(none|fdt-.*)$/)
      }),
      { numRuns: 3000 },
    )
  })

  it('bounds what nesting and overlapping names cost', () => {
    const nested = createFdt()
    let node = nested.root
    for (let depth = 0; depth < 100; depth++) node = node.child('n')
    expect(code(() => parseFdt(nested.toBytes()))).toBe('fdt-malformed')
    const long = createFdt()
    long.root.set('x', 1)
    const bytes = long.toBytes()
    // The only name becomes the start of a block of text without an end.
    const huge = new Uint8Array(bytes.length + 100_000).fill(0x61)
    huge.set(bytes.subarray(0, bytes.length - 8))
    new DataView(huge.buffer).setUint32(4, huge.length)
    new DataView(huge.buffer).setUint32(32, 100_000)
    expect(code(() => parseFdt(huge))).toBe('fdt-malformed')
  })

  it('tells truncation, other files and other versions apart', () => {
    expect(code(() => parseFdt(good.subarray(0, 39)))).toBe('fdt-truncated')
    expect(code(() => parseFdt(good.subarray(0, good.length - 1)))).toBe('fdt-truncated')
    expect(code(() => parseFdt(encodeUtf8('x'.repeat(100))))).toBe('fdt-magic')
    const old = good.slice()
    new DataView(old.buffer).setUint32(20, 15)
    expect(code(() => parseFdt(old))).toBe('fdt-version')
    expect(fdtStrings(parseFdt(good).root.properties.get('compatible'))).toEqual(['machinist,virt', 'riscv-virtio'])
    expect(parseFdt(good).find('/cpus/cpu@1')).toBeUndefined()
  })
})
