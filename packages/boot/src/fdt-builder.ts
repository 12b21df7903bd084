import { machinistError } from '@machinist/api'
import type { FdtNode, FdtValue } from '@machinist/api'
import { alignUp, concatBytes, hex } from './bytes.ts'
import {
  FDT_HEADER,
  FDT_HEADER_SIZE,
  FDT_LAST_COMPATIBLE_VERSION,
  FDT_MAGIC,
  FDT_RESERVATION_SIZE,
  FDT_TOKEN,
  FDT_VERSION,
} from './fdt-format.ts'
import type { ParsedFdt, ParsedFdtNode } from './fdt-reader.ts'
import { encodeValue } from './fdt-value.ts'
import type { EncodedValue } from './fdt-value.ts'
import { encodeUtf8 } from './text.ts'

/** A device tree under construction; {@link createFdt} makes one. */
export interface Fdt {
  /** The root node `/`. Devices add their nodes below it. */
  readonly root: FdtNode
  /**
   * Adds an entry to the memory reservation block (DTSpec 5.3): RAM the operating system must leave alone.
   *
   * @throws typed `fdt-reservation` unless both are integers, 0 … 2^53-1, and `size` is positive
   */
  reserve(address: number, size: number): Fdt
  /**
   * The devicetree blob (DTSpec chapter 5, version 17). Nodes and properties come in the order they were first named,
   * phandles are numbered from 1 in that order, so equal trees give equal bytes. May be called again after changes.
   *
   * @throws typed `fdt-label` for a `ref` that no node has as its label or a label that two nodes have; `fdt-clash` for two
   * enabled nodes at one unit address, a child and a property of one name, or one phandle used twice
   */
  toBytes(): Uint8Array
}

interface Node {
  readonly path: string
  readonly name: string
  readonly parent: Node | null
  /** From a blob, where others were responsible for the names. */
  readonly imported: boolean
  readonly properties: Map<string, EncodedValue>
  readonly children: Map<string, Node>
  readonly labels: string[]
  readonly face: FdtNode
}

// DTSpec 2.2.1 and 2.2.4.1.
const NODE_NAME = /^[A-Za-z][0-9A-Za-z,._+-]{0,30}(@[0-9A-Za-z,._+-]+)?$/
const PROPERTY_NAME = /^[0-9A-Za-z,._+?#-]{1,31}$/
const LABEL = /^[A-Za-z_][0-9A-Za-z_.+-]*$/

function checkName(name: string, pattern: RegExp, what: string, where: string): void {
  if (pattern.test(name)) return
  throw machinistError(
    { code: 'fdt-name', part: where, value: name, remedy: 'Use letters, digits and , . _ + - only, at most 31 characters' },
    `not a valid ${what} name`,
  )
}

function makeNode(name: string, parent: Node | null, imported: boolean): Node {
  const path = parent === null ? '/' : parent.path === '/' ? `/${name}` : `${parent.path}/${name}`
  const node: Node = {
    path,
    name,
    parent,
    imported,
    properties: new Map(),
    children: new Map(),
    labels: [],
    face: {
      set(property: string, value: FdtValue): FdtNode {
        checkName(property, PROPERTY_NAME, 'property', path)
        node.properties.set(property, encodeValue(`${path}:${property}`, value))
        return node.face
      },
      child(childName: string): FdtNode {
        const existing = node.children.get(childName)
        if (existing !== undefined) return existing.face
        checkName(childName, NODE_NAME, 'node', path)
        const made = makeNode(childName, node, false)
        node.children.set(childName, made)
        return made.face
      },
      label(label: string): FdtNode {
        if (!LABEL.test(label)) {
          throw machinistError({ code: 'fdt-label', part: path, value: label, remedy: 'Use letters, digits, _ . + -' }, 'not a valid label')
        }
        if (!node.labels.includes(label)) node.labels.push(label)
        return node.face
      },
    },
  }
  return node
}

function importNode(from: ParsedFdtNode, into: Node): void {
  for (const [name, bytes] of from.properties) into.properties.set(name, { bytes: bytes.slice(), references: [] })
  for (const child of from.children) {
    const made = makeNode(child.name, into, true)
    into.children.set(child.name, made)
    importNode(child, made)
  }
}

function* walk(node: Node): Generator<Node> {
  yield node
  for (const child of node.children.values()) yield* walk(child)
}

function enabled(node: Node): boolean {
  const status = node.properties.get('status')?.bytes
  return status === undefined || status[0] === 'o'.charCodeAt(0)
}

function checkClashes(node: Node): void {
  const units = new Map<string, Node>()
  for (const child of node.children.values()) {
    if (node.properties.has(child.name)) {
      throw machinistError(
        { code: 'fdt-clash', part: child.path, remedy: 'Give one of them another name' },
        'a node and a property of its parent have the same name',
      )
    }
    const unit = child.name.split('@')[1]
    if (unit === undefined || !enabled(child)) continue
    const other = units.get(unit)
    if (other !== undefined && !(other.imported && child.imported)) {
      throw machinistError(
        { code: 'fdt-clash', part: child.path, value: `@${unit}`, remedy: 'Move one of the two devices to another address' },
        `${other.path} is at the same address`,
      )
    }
    units.set(unit, child)
  }
}

/** The phandle of every label that some property refers to. */
function assignPhandles(root: Node): { readonly byLabel: Map<string, number>; readonly added: Map<Node, number> } {
  const labels = new Map<string, Node>()
  const used = new Map<number, Node>()
  const referenced = new Map<string, Node>()
  for (const node of walk(root)) {
    for (const label of node.labels) {
      const other = labels.get(label)
      if (other !== undefined) {
        throw machinistError(
          { code: 'fdt-label', part: node.path, value: label, remedy: 'Give each part a name of its own' },
          `${other.path} has the same label`,
        )
      }
      labels.set(label, node)
    }
    for (const { references } of node.properties.values()) for (const { label } of references) if (!referenced.has(label)) referenced.set(label, node)
    const own = node.properties.get('phandle')
    if (own === undefined) continue
    const phandle = own.bytes.length === 4 ? new DataView(own.bytes.buffer, own.bytes.byteOffset).getUint32(0) : 0
    const other = used.get(phandle)
    if (phandle === 0 || phandle === 0xffff_ffff || other !== undefined) {
      throw machinistError(
        { code: 'fdt-clash', part: node.path, value: phandle, remedy: 'Use a label instead of a phandle of your own' },
        other === undefined ? 'not a valid phandle' : `${other.path} has the same phandle`,
      )
    }
    used.set(phandle, node)
  }
  for (const [label, by] of referenced) {
    if (labels.has(label)) continue
    throw machinistError(
      { code: 'fdt-label', part: by.path, value: label, remedy: 'Name a part that this machine has' },
      'refers to a label that no node has',
    )
  }
  const byLabel = new Map<string, number>()
  const added = new Map<Node, number>()
  const explicit = new Map<Node, number>()
  for (const [phandle, node] of used) explicit.set(node, phandle)
  let next = 1
  for (const node of walk(root)) {
    const wanted = node.labels.filter((label) => referenced.has(label))
    if (wanted.length === 0) continue
    let phandle = explicit.get(node)
    if (phandle === undefined) {
      while (used.has(next)) next++
      phandle = next++
      added.set(node, phandle)
    }
    for (const label of wanted) byLabel.set(label, phandle)
  }
  return { byLabel, added }
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

const PADDING = [0, 1, 2, 3].map((length) => new Uint8Array(length))

function padded(bytes: Uint8Array): readonly Uint8Array[] {
  return [bytes, PADDING[alignUp(bytes.length, 4) - bytes.length] ?? new Uint8Array(0)]
}

/**
 * Begins a device tree.
 *
 * @param from - a tree to add to, as {@link parseFdt} gave it; its names are kept as they are
 */
export function createFdt(from?: ParsedFdt): Fdt {
  const root = makeNode('', null, from !== undefined)
  const reservations: { readonly address: number; readonly size: number }[] = []
  if (from !== undefined) {
    importNode(from.root, root)
    reservations.push(...from.reservations)
  }

  const fdt: Fdt = {
    root: root.face,
    reserve(address: number, size: number): Fdt {
      if (!Number.isSafeInteger(address) || address < 0 || !Number.isSafeInteger(size) || size <= 0) {
        throw machinistError(
          { code: 'fdt-reservation', part: 'memory reservation', value: `${address}, ${size}`, remedy: 'Give an address and a positive size in bytes' },
          'not a range of memory',
        )
      }
      reservations.push({ address, size })
      return fdt
    },
    toBytes(): Uint8Array {
      const { byLabel, added } = assignPhandles(root)
      const names = new Map<string, number>()
      const nameBytes: Uint8Array[] = []
      let nameLength = 0
      const nameOffset = (name: string): number => {
        let offset = names.get(name)
        if (offset === undefined) {
          offset = nameLength
          names.set(name, offset)
          const bytes = encodeUtf8(`${name}\0`)
          nameBytes.push(bytes)
          nameLength += bytes.length
        }
        return offset
      }
      const structure: Uint8Array[] = []
      const property = (name: string, bytes: Uint8Array): void => {
        structure.push(u32(FDT_TOKEN.prop), u32(bytes.length), u32(nameOffset(name)), ...padded(bytes))
      }
      const emit = (node: Node): void => {
        checkClashes(node)
        structure.push(u32(FDT_TOKEN.beginNode), ...padded(encodeUtf8(`${node.name}\0`)))
        for (const [name, { bytes, references }] of node.properties) {
          if (references.length === 0) {
            property(name, bytes)
            continue
          }
          const resolved = bytes.slice()
          const view = new DataView(resolved.buffer)
          for (const { offset, label } of references) view.setUint32(offset, byLabel.get(label) ?? 0)
          property(name, resolved)
        }
        const phandle = added.get(node)
        if (phandle !== undefined) property('phandle', u32(phandle))
        for (const child of node.children.values()) emit(child)
        structure.push(u32(FDT_TOKEN.endNode))
      }
      emit(root)
      structure.push(u32(FDT_TOKEN.end))

      const reserved = new Uint8Array((reservations.length + 1) * FDT_RESERVATION_SIZE)
      const reservedView = new DataView(reserved.buffer)
      reservations.forEach(({ address, size }, index) => {
        reservedView.setBigUint64(index * FDT_RESERVATION_SIZE, BigInt(address))
        reservedView.setBigUint64(index * FDT_RESERVATION_SIZE + 8, BigInt(size))
      })

      const structBytes = concatBytes(structure)
      const stringBytes = concatBytes(nameBytes)
      const structOffset = FDT_HEADER_SIZE + reserved.length
      const stringOffset = structOffset + structBytes.length
      const header = new Uint8Array(FDT_HEADER_SIZE)
      const view = new DataView(header.buffer)
      // Whole blobs are padded to 8 bytes: what is loaded behind one stays aligned.
      const total = alignUp(stringOffset + stringBytes.length, 8)
      view.setUint32(FDT_HEADER.magic, FDT_MAGIC)
      view.setUint32(FDT_HEADER.totalsize, total)
      view.setUint32(FDT_HEADER.off_dt_struct, structOffset)
      view.setUint32(FDT_HEADER.off_dt_strings, stringOffset)
      view.setUint32(FDT_HEADER.off_mem_rsvmap, FDT_HEADER_SIZE)
      view.setUint32(FDT_HEADER.version, FDT_VERSION)
      view.setUint32(FDT_HEADER.last_comp_version, FDT_LAST_COMPATIBLE_VERSION)
      view.setUint32(FDT_HEADER.boot_cpuid_phys, from?.bootCpu ?? 0)
      view.setUint32(FDT_HEADER.size_dt_strings, stringBytes.length)
      view.setUint32(FDT_HEADER.size_dt_struct, structBytes.length)
      const end = new Uint8Array(total - stringOffset - stringBytes.length)
      return concatBytes([header, reserved, structBytes, stringBytes, end])
    },
  }
  return fdt
}

/** A unit address as node names have it: lower-case hexadecimal without `0x` (DTSpec 2.2.1.1). */
export function unitAddress(address: number): string {
  return hex(address).slice(2)
}
