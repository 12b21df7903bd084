import { machinistError } from '@machinist/api'
import { viewOf } from './bytes.ts'
import { FDT_HEADER, FDT_HEADER_SIZE, FDT_LAST_COMPATIBLE_VERSION, FDT_MAGIC, FDT_RESERVATION_SIZE, FDT_TOKEN, FDT_VERSION } from './fdt-format.ts'
import { decodeUtf8 } from './text.ts'

/** A node of a parsed blob. */
export interface ParsedFdtNode {
  /** Name with unit address; empty for the root. */
  readonly name: string
  /** Values as they are in the blob; {@link fdtStrings} and {@link fdtCells} read them. */
  readonly properties: ReadonlyMap<string, Uint8Array>
  readonly children: readonly ParsedFdtNode[]
}

/** A parsed devicetree blob. */
export interface ParsedFdt {
  readonly version: number
  /** Header field `boot_cpuid_phys`. */
  readonly bootCpu: number
  /** Entries of the memory reservation block. */
  readonly reservations: readonly { readonly address: number; readonly size: number }[]
  readonly root: ParsedFdtNode
  /** The node at a path such as `'/soc/serial@10000000'`, or undefined. */
  find(path: string): ParsedFdtNode | undefined
}

/** Deeper trees than this exist nowhere, except to exhaust the stack of whoever reads them. */
const MAX_DEPTH = 64
/** Far above the 31 characters of DTSpec 2.2.1 and 2.2.4.1; bounds what overlapping strings can cost. */
const MAX_NAME = 255
/** The largest blob read: an operating system maps no more than 2 MiB, firmware tables may be a little larger. */
const MAX_BLOB = 16 * 1024 * 1024

interface OpenNode {
  readonly name: string
  readonly properties: Map<string, Uint8Array>
  readonly children: ParsedFdtNode[]
  readonly names: Set<string>
}

/**
 * Reads a devicetree blob (DTSpec 0.4, chapter 5). Nothing in it is trusted: every offset, length, token and name is
 * checked, and work and memory are bounded by a small multiple of its length.
 *
 * @param bytes - the blob; may be longer than its own `totalsize`
 * @param part - what to call it in errors
 * @throws typed `fdt-truncated`, `fdt-magic`, `fdt-version` or `fdt-malformed`
 */
export function parseFdt(bytes: Uint8Array, part: string = 'dtb'): ParsedFdt {
  const fail = (code: string, problem: string, value?: string | number): Error =>
    machinistError({ code, part, value, remedy: 'Give a devicetree blob as dtc writes it (.dtb)' }, problem)
  const malformed = (problem: string, value?: string | number): Error => fail('fdt-malformed', problem, value)

  if (bytes.length < FDT_HEADER_SIZE) throw fail('fdt-truncated', 'too short for a devicetree blob', bytes.length)
  const header = viewOf(bytes)
  if (header.getUint32(FDT_HEADER.magic) !== FDT_MAGIC) throw fail('fdt-magic', 'not a devicetree blob')
  const total = header.getUint32(FDT_HEADER.totalsize)
  if (total > bytes.length) throw fail('fdt-truncated', 'shorter than its header says', `${bytes.length} of ${total} bytes`)
  if (total < FDT_HEADER_SIZE || total > MAX_BLOB) throw malformed('impossible total size', total)
  const version = header.getUint32(FDT_HEADER.version)
  const lastCompatible = header.getUint32(FDT_HEADER.last_comp_version)
  if (version < FDT_LAST_COMPATIBLE_VERSION || lastCompatible > FDT_VERSION) throw fail('fdt-version', 'version not supported', version)

  // One private copy: what is validated is what is used.
  const blob = bytes.slice(0, total)
  const view = viewOf(blob)
  const structOffset = view.getUint32(FDT_HEADER.off_dt_struct)
  const stringOffset = view.getUint32(FDT_HEADER.off_dt_strings)
  const stringSize = view.getUint32(FDT_HEADER.size_dt_strings)
  const structSize = version >= FDT_VERSION ? view.getUint32(FDT_HEADER.size_dt_struct) : Math.max(0, total - structOffset)
  if (structOffset % 4 !== 0 || structOffset + structSize > total) throw malformed('structure block out of range', structOffset)
  if (stringOffset + stringSize > total) throw malformed('strings block out of range', stringOffset)

  const text = (from: number, limit: number, what: string): { readonly value: string; readonly next: number } => {
    const last = Math.min(limit, from + MAX_NAME + 1)
    let end = from
    while (end < last && blob[end] !== 0) end++
    if (end >= last) throw malformed(`${what} without an end`, from)
    return { value: decodeUtf8(blob.subarray(from, end)), next: end + 1 }
  }
  const nameCache = new Map<number, string>()
  const propertyName = (offset: number): string => {
    const cached = nameCache.get(offset)
    if (cached !== undefined) return cached
    if (offset >= stringSize) throw malformed('property name out of range', offset)
    const name = text(stringOffset + offset, stringOffset + stringSize, 'property name').value
    if (name === '') throw malformed('empty property name', offset)
    nameCache.set(offset, name)
    return name
  }

  let at = structOffset
  const structEnd = structOffset + structSize
  const word = (): number => {
    if (at + 4 > structEnd) throw malformed('structure block ends too early', at)
    at += 4
    return view.getUint32(at - 4)
  }
  const stack: OpenNode[] = []
  let root: ParsedFdtNode | undefined
  for (let ended = false; !ended; ) {
    const token = word()
    const open = stack.at(-1)
    switch (token) {
      case FDT_TOKEN.beginNode: {
        const { value: name, next } = text(at, structEnd, 'node name')
        at = next + ((4 - ((next - structOffset) % 4)) % 4)
        if (root !== undefined) throw malformed('more than one root', name)
        if (stack.length >= MAX_DEPTH) throw malformed('nested too deeply', stack.length)
        if ((open === undefined) !== (name === '') || name.includes('/')) throw malformed('impossible node name', JSON.stringify(name))
        if (open?.names.has(name) === true) throw malformed('two nodes of one name', name)
        open?.names.add(name)
        stack.push({ name, properties: new Map(), children: [], names: new Set() })
        break
      }
      case FDT_TOKEN.endNode: {
        if (open === undefined) throw malformed('end of a node that did not begin', at)
        const done: ParsedFdtNode = { name: open.name, properties: open.properties, children: open.children }
        stack.pop()
        const parent = stack.at(-1)
        if (parent === undefined) root = done
        else parent.children.push(done)
        break
      }
      case FDT_TOKEN.prop: {
        const length = word()
        const name = propertyName(word())
        if (open === undefined) throw malformed('property outside every node', name)
        if (at + length > structEnd) throw malformed('property value out of range', name)
        if (open.properties.has(name)) throw malformed('two properties of one name', name)
        open.properties.set(name, blob.subarray(at, at + length))
        at += length + ((4 - (length % 4)) % 4)
        break
      }
      case FDT_TOKEN.nop:
        break
      case FDT_TOKEN.end:
        ended = true
        break
      default:
        throw malformed('unknown token', token)
    }
  }
  if (root === undefined || stack.length > 0) throw malformed('ends inside a node', at)
  const tree = root

  const reservations: { address: number; size: number }[] = []
  for (let entry = view.getUint32(FDT_HEADER.off_mem_rsvmap); ; entry += FDT_RESERVATION_SIZE) {
    if (entry + FDT_RESERVATION_SIZE > total) throw malformed('memory reservation block without an end', entry)
    const address = view.getBigUint64(entry)
    const size = view.getBigUint64(entry + 8)
    if (address === 0n && size === 0n) break
    if (address + size > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed('memory reservation beyond 2^53', address.toString())
    reservations.push({ address: Number(address), size: Number(size) })
  }

  return {
    version,
    bootCpu: view.getUint32(FDT_HEADER.boot_cpuid_phys),
    reservations,
    root: tree,
    find(path: string): ParsedFdtNode | undefined {
      let node: ParsedFdtNode | undefined = tree
      for (const name of path.split('/')) {
        if (name !== '') node = node?.children.find((child) => child.name === name)
      }
      return node
    },
  }
}

/** The strings of a property value (`<stringlist>`, DTSpec 2.2.4): a value that does not end in NUL keeps its last piece. */
export function fdtStrings(value: Uint8Array | undefined): readonly string[] {
  if (value === undefined || value.length === 0) return []
  const list: string[] = []
  let start = 0
  for (let index = 0; index <= value.length; index++) {
    if (index < value.length && value[index] !== 0) continue
    if (index < value.length || start < index) list.push(decodeUtf8(value.subarray(start, index)))
    start = index + 1
  }
  return list
}

/** The big-endian 32-bit cells of a property value; a rest of fewer than four bytes is left out. */
export function fdtCells(value: Uint8Array | undefined): readonly number[] {
  if (value === undefined) return []
  const view = viewOf(value)
  return Array.from({ length: value.length >> 2 }, (_, index) => view.getUint32(index * 4))
}
