import type { InterruptTables } from '@machinist/api'
import { concatBytes, viewOf } from '../bytes.ts'
import { encodeUtf8 } from '../text.ts'

/** MP tables that devices describe themselves in. */
export interface MpTables {
  readonly tables: InterruptTables
  /**
   * The floating pointer, which is to lie at `address`, a multiple of 16 where systems search for it, and the configuration table behind it.
   *
   * @param localApic - where processors have their local APICs
   */
  toBytes(address: number, localApic: number): Uint8Array
}

/** The floating pointer (MultiProcessor Specification 1.4, 4.1): "virtual wire", as there is no IMCR. */
const POINTER = { size: 16, table: 4, length: 8, revision: 9, checksum: 10 } as const
/** Header of the configuration table (4.2). */
const HEADER = { size: 44, length: 4, revision: 6, checksum: 7, oem: 8, product: 16, entries: 34, localApic: 36 } as const
const REVISION = 4
/** Entries (4.3), with their lengths. */
const ENTRY = { processor: [0, 20], bus: [1, 8], ioApic: [2, 8], interrupt: [3, 8], local: [4, 8] } as const
/** Version of local APICs that are no chips of their own. */
const LOCAL_APIC_VERSION = 0x14
const CPU = { enabled: 1, bootstrap: 2 } as const
/** Kinds of interrupts (4.3.4): with vectors of the APIC, not maskable, with vectors of an 8259A. */
const KIND = { vectored: 0, nmi: 1, external: 3 } as const
/** Trigger and polarity: as the bus has it, or a level that is active when it is high. */
const FLAGS = { bus: 0, levelHigh: 0xd } as const
/** Buses by their numbers: that of PCI must be its own. */
const BUS = { pci: 0, isa: 1 } as const
const ALL_PROCESSORS = 0xff
const ISA_INTERRUPTS = 16
/** Of the second 8259A. */
const CASCADE = 2

const little = (value: number, count: number): number[] => Array.from({ length: count }, (_, byte) => Math.floor(value / 2 ** (8 * byte)) & 0xff)

/** Begins MP tables (Intel MultiProcessor Specification 1.4, chapter 4), which systems without ACPI read. */
export function createMp(): MpTables {
  const processors: number[] = []
  const ioApics: { readonly id: number; readonly address: number; readonly first: number; readonly version: number }[] = []
  const overrides = new Map<number, { readonly interrupt: number; readonly level: boolean }>()
  const pins: { readonly device: number; readonly pin: number; readonly interrupt: number }[] = []
  let kind = { signature: 0, features: 0 }
  let legacy = false

  /** The entry of a bus's interrupt that goes to one among all, if an I/O APIC has it. */
  const interrupt = (flags: number, bus: number, source: number, number: number): readonly Uint8Array[] => {
    const controller = ioApics.filter(({ first }) => first <= number).sort((a, b) => b.first - a.first)[0]
    return controller === undefined ? [] : [entry(ENTRY.interrupt, KIND.vectored, ...little(flags, 2), bus, source, controller.id, number - controller.first)]
  }
  /** Interrupts of ISA: those of PCI, and those that another has come to, are left out. */
  const ofIsa = (): readonly Uint8Array[] => {
    const taken = new Set([...pins.map((each) => each.interrupt), ...[...overrides].flatMap(([isa, each]) => each.interrupt === isa ? [] : [each.interrupt])])
    return Array.from({ length: ISA_INTERRUPTS }, (_, isa) => {
      const told = overrides.get(isa)
      if (told !== undefined) return interrupt(told.level ? FLAGS.levelHigh : FLAGS.bus, BUS.isa, isa, told.interrupt)
      return isa === CASCADE || taken.has(isa) ? [] : interrupt(FLAGS.bus, BUS.isa, isa, isa)
    }).flat()
  }

  return {
    tables: {
      processors: (signature, features) => { kind = { signature, features } },
      // Identifiers have 8 bits, and the last is that of all.
      processor(_number, apicId) { if (apicId < ALL_PROCESSORS) processors.push(apicId) },
      ioApic: (id, address, first, version) => { ioApics.push({ id, address, first, version }) },
      override: (isa, to, level) => { overrides.set(isa, { interrupt: to, level }) },
      legacyControllers: () => { legacy = true },
      pciPin: (device, pin, to) => { pins.push({ device, pin, interrupt: to }) },
    },
    toBytes(address, localApic) {
      const first = processors[0]
      const entries = [
        ...processors.map((id) => entry(
          ENTRY.processor, id, LOCAL_APIC_VERSION, CPU.enabled | (id === first ? CPU.bootstrap : 0), ...little(kind.signature, 4), ...little(kind.features, 4))),
        ...pins.length === 0 ? [] : [entry(ENTRY.bus, BUS.pci, ...encodeUtf8('PCI   '))],
        entry(ENTRY.bus, BUS.isa, ...encodeUtf8('ISA   ')),
        ...ioApics.map((each) => entry(ENTRY.ioApic, each.id, each.version, 1, ...little(each.address, 4))),
        ...ofIsa(),
        ...pins.flatMap(({ device, pin, interrupt: to }) => interrupt(FLAGS.bus, BUS.pci, device << 2 | pin, to)),
        ...legacy && first !== undefined ? [entry(ENTRY.local, KIND.external, ...little(FLAGS.bus, 2), BUS.isa, 0, first, 0)] : [],
        entry(ENTRY.local, KIND.nmi, ...little(FLAGS.bus, 2), BUS.isa, 0, ALL_PROCESSORS, 1),
      ]
      const table = concatBytes([new Uint8Array(HEADER.size), ...entries])
      const view = viewOf(table)
      table.set(encodeUtf8('PCMP'))
      view.setUint16(HEADER.length, table.length, true)
      table[HEADER.revision] = REVISION
      table.set(encodeUtf8('MCHNIST '), HEADER.oem)
      table.set(encodeUtf8('MACHINIST   '), HEADER.product)
      view.setUint16(HEADER.entries, entries.length, true)
      view.setUint32(HEADER.localApic, localApic, true)
      table[HEADER.checksum] = checksum(table)
      const pointer = new Uint8Array(POINTER.size)
      pointer.set(encodeUtf8('_MP_'))
      viewOf(pointer).setUint32(POINTER.table, address + POINTER.size, true)
      pointer[POINTER.length] = POINTER.size / 16
      pointer[POINTER.revision] = REVISION
      pointer[POINTER.checksum] = checksum(pointer)
      return concatBytes([pointer, table])
    },
  }
}

function entry([type, length]: readonly [number, number], ...fields: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(length)
  bytes.set([type, ...fields])
  return bytes
}

function checksum(bytes: Uint8Array): number {
  return -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff
}
