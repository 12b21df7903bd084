import { type AcpiDevice, type AcpiFixedHardware, type AcpiTables, machinistError } from '@machinist/api'
import { alignUp, concatBytes, viewOf } from '../bytes.ts'
import { encodeUtf8 } from '../text.ts'
import type { AddressRange } from '../x86/memory-map.ts'
import { device, named, scope } from './aml.ts'

/** The tables, in one piece of memory. */
export interface AcpiImage {
  readonly bytes: Uint8Array
  /** Ranges that the tables speak of and that the map of memory must call reserved. */
  readonly reserved: readonly AddressRange[]
  /** Where the tables begin behind the root pointer, in {@link bytes}. */
  readonly tables: number
  /** Pointers to tables: where each is in {@link bytes}, and its size. */
  readonly pointers: readonly (readonly [at: number, size: 4 | 8])[]
  /** Checksums of what has pointers: where each is, from where on it counts and how much. */
  readonly sums: readonly (readonly [at: number, start: number, length: number])[]
}

/** Tables that devices describe themselves in. */
export interface Acpi {
  readonly tables: AcpiTables
  /**
   * All of them, for an address that is a multiple of 64: the root pointer comes first.
   *
   * @param localApic - where harts have their local APICs
   */
  toBytes(address: number, localApic: number): AcpiImage
}

/** Bytes of the header of each table (ACPI 6.5, 5.2.6), and its fields. */
const HEADER = 36
const AT = { length: 4, revision: 8, checksum: 9, oem: 10, oemTable: 16, oemRevision: 24, creator: 28, creatorRevision: 32 } as const
const OEM = 'MCHNST'
const OEM_TABLE = 'MACHINIS'
/** Structures of the MADT (5.2.12), with their lengths. */
const MADT = { localApic: [0, 8], ioApic: [1, 12], override: [2, 10], localNmi: [4, 6] } as const
/** Trigger and polarity of an interrupt that is a level, and high (table 5.26). */
const LEVEL_HIGH = 0xd
/** Fixed ACPI description table (5.2.9): flags, offsets, and how registers are found (5.2.3.2). */
const FADT = {
  size: 276, firmware: 36, dsdt: 40, profile: 45, interrupt: 46, events: 56, control: 64, timer: 76, eventsSize: 88, controlSize: 89, timerSize: 91, latency2: 96, latency3: 98, century: 108, bootFlags: 109, flags: 112, resetRegister: 116,
  resetValue: 128, minor: 131, wideDsdt: 140, wideEvents: 148, wideControl: 172, wideTimer: 208,
} as const
const FLAG = { wbinvd: 1, c1: 4, noSleepButton: 0x20, noRtcWake: 0x40, longTimer: 0x100, reset: 0x400, reduced: 0x10_0000 } as const
/** Devices of ISA are there, no VGA. */
const BOOT_FLAG = { legacy: 1, noVga: 4 } as const
const PORTS = 1
const CENTURY = 0x32
/** C2 and C3 are not there. */
const NEVER = [101, 1001] as const
const SUFFIXES = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'
const FACS = 64
/** The root pointer (5.2.5.3): the address of the XSDT; sums of its first 20 bytes and of all. */
const ROOT = { checksum: 8, first: 20, xsdt: 24, extended: 32 } as const

interface Entry { readonly bytes: Uint8Array }

/** Begins ACPI tables (ACPI 6.5, chapter 5): RSDP, XSDT, FADT, FACS, DSDT, MADT, and MCFG where there is PCI. */
export function createAcpi(): Acpi {
  const names = new Map<string, number>()
  const devices: { readonly name: string; readonly objects: Uint8Array[] }[] = []
  const controllers: Entry[] = []
  const ecams: { readonly base: number; readonly buses: number }[] = []
  let legacy = false
  let hardware: AcpiFixedHardware | null = null

  const structure = ([type, length]: readonly [number, number], ...fields: readonly (readonly [offset: number, size: 1 | 2 | 4, value: number])[]): void => {
    const bytes = new Uint8Array(length)
    bytes.set([type, length])
    for (const [offset, size, value] of fields) put(bytes, offset, size, value)
    controllers.push({ bytes })
  }
  const tables: AcpiTables = {
    device(prefix, id): AcpiDevice {
      const count = names.get(prefix) ?? 0
      names.set(prefix, count + 1)
      const suffix = SUFFIXES[count]
      if (suffix === undefined) throw machinistError({ code: 'acpi-name', part: prefix, value: count, remedy: 'Use fewer devices of one kind.' }, 'too many devices')
      const objects = [named('_HID', { id }), named('_UID', count)]
      devices.push({ name: `${prefix}${suffix}`, objects })
      const face: AcpiDevice = {
        set(name, value) {
          objects.push(named(name, value))
          return face
        },
      }
      return face
    },
    processors: () => undefined,
    processor(number, apicId) {
      structure(MADT.localApic, [2, 1, number], [3, 1, apicId], [4, 4, 1])
      tables.device('CPU', 'ACPI0007')
    },
    ioApic: (id, address, first) => { structure(MADT.ioApic, [2, 1, id], [4, 4, address], [8, 4, first]) },
    override: (isa, interrupt, level) => { structure(MADT.override, [3, 1, isa], [4, 4, interrupt], [8, 2, level ? LEVEL_HIGH : 0]) },
    legacyControllers: () => { legacy = true },
    // The bridge has them in its _PRT.
    pciPin: () => undefined,
    ecam: (base, buses) => { ecams.push({ base, buses }) },
    fixedHardware: (given) => { hardware = given },
  }

  return {
    tables,
    toBytes(address, localApic) {
      const parts: Uint8Array[] = []
      let end = 0
      const place = (bytes: Uint8Array, align: number = 16): number => {
        const at = alignUp(end, align)
        parts.push(new Uint8Array(at - end), bytes)
        end = at + bytes.length
        return address + at
      }
      // The root pointer's place, which is filled in last.
      const root = new Uint8Array(36)
      place(root)
      const facs = new Uint8Array(FACS)
      facs.set(encodeUtf8('FACS'))
      put(facs, 4, 4, FACS)
      facs[32] = 2
      const facsAt = place(facs, FACS)
      const sleep = hardware === null ? [] : [named('_S5_', [hardware.off, hardware.off, 0, 0])]
      const dsdtAt = place(table('DSDT', 2, concatBytes([scope('_SB_', devices.map(({ name, objects }) => device(name, objects))), ...sleep])))
      const fixed = place(fadt(hardware, facsAt, dsdtAt))
      const listed = [
        fixed,
        place(table('APIC', 5, concatBytes([
          Uint8Array.of(...word(localApic), ...word(legacy ? 1 : 0)), ...controllers.map(({ bytes }) => bytes),
          // NMI at LINT1 of all processors.
          Uint8Array.of(...MADT.localNmi, 0xff, 0, 0, 1),
        ]))),
        ...(ecams.length === 0 ? [] : [place(table('MCFG', 1, concatBytes([new Uint8Array(8), ...ecams.map(({ base, buses }) => ecam(base, buses))])))]),
      ]
      const pointers = new Uint8Array(8 * listed.length)
      for (const [index, at] of listed.entries()) put(pointers, 8 * index, 4, at)
      const xsdt = place(table('XSDT', 1, pointers))
      root.set(encodeUtf8('RSD PTR '))
      root.set(encodeUtf8(OEM), 9)
      root[15] = 2
      put(root, 20, 4, root.length)
      put(root, ROOT.xsdt, 4, xsdt)
      root[ROOT.checksum] = checksum(root.subarray(0, ROOT.first))
      root[ROOT.extended] = checksum(root)
      const [fadtAt, xsdtAt] = [fixed - address, xsdt - address]
      return {
        bytes: concatBytes(parts), reserved: ecams.map(({ base, buses }) => ({ base, size: buses * 2 ** 20 })), tables: facsAt - address,
        pointers: [[ROOT.xsdt, 8], [fadtAt + FADT.firmware, 4], [fadtAt + FADT.dsdt, 4], [fadtAt + FADT.wideDsdt, 8], ...listed.map((_, index) => [xsdtAt + HEADER + 8 * index, 8] as const)],
        // The root pointer's second sum counts the first as well.
        sums: [[fadtAt + AT.checksum, fadtAt, FADT.size], [xsdtAt + AT.checksum, xsdtAt, HEADER + pointers.length], [ROOT.checksum, 0, ROOT.first], [ROOT.extended, 0, root.length]],
      }
    },
  }
}

function fadt(hardware: AcpiFixedHardware | null, facs: number, dsdt: number): Uint8Array {
  const bytes = new Uint8Array(FADT.size)
  put(bytes, FADT.firmware, 4, facs)
  put(bytes, FADT.dsdt, 4, dsdt)
  put(bytes, FADT.wideDsdt, 4, dsdt)
  put(bytes, FADT.latency2, 2, NEVER[0])
  put(bytes, FADT.latency3, 2, NEVER[1])
  put(bytes, FADT.bootFlags, 2, BOOT_FLAG.legacy | BOOT_FLAG.noVga)
  bytes[FADT.century] = CENTURY
  bytes[FADT.minor] = 5
  const common = FLAG.wbinvd | FLAG.c1 | FLAG.noSleepButton | FLAG.noRtcWake
  put(bytes, FADT.flags, 4, hardware === null ? common | FLAG.reduced : common | FLAG.longTimer | FLAG.reset)
  if (hardware !== null) {
    const { interrupt, events, control, timer, reset } = hardware
    put(bytes, FADT.interrupt, 2, interrupt)
    for (const [narrow, size, wide, port, count] of [
      [FADT.events, FADT.eventsSize, FADT.wideEvents, events, 4], [FADT.control, FADT.controlSize, FADT.wideControl, control, 2], [FADT.timer, FADT.timerSize, FADT.wideTimer, timer, 4],
    ] as const) {
      put(bytes, narrow, 4, port)
      bytes[size] = count
      register(bytes, wide, port, count)
    }
    register(bytes, FADT.resetRegister, reset.port, 1)
    bytes[FADT.resetValue] = reset.value
  }
  return table('FACP', 6, bytes.subarray(HEADER))
}

/** A generic address: so many bytes at a port. */
function register(bytes: Uint8Array, at: number, port: number, count: 1 | 2 | 4): void {
  bytes.set([PORTS, 8 * count, 0, count === 1 ? 1 : count === 2 ? 2 : 3], at)
  put(bytes, at + 4, 4, port)
}

function ecam(base: number, buses: number): Uint8Array {
  const bytes = new Uint8Array(16)
  viewOf(bytes).setBigUint64(0, BigInt(base), true)
  bytes[11] = buses - 1
  return bytes
}

/** A table: its header, which has a sum that makes that of all bytes 0, and its content. */
function table(signature: string, revision: number, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER + content.length)
  bytes.set(encodeUtf8(signature))
  put(bytes, AT.length, 4, bytes.length)
  bytes[AT.revision] = revision
  bytes.set(encodeUtf8(OEM), AT.oem)
  bytes.set(encodeUtf8(OEM_TABLE), AT.oemTable)
  put(bytes, AT.oemRevision, 4, 1)
  bytes.set(encodeUtf8('MCHN'), AT.creator)
  put(bytes, AT.creatorRevision, 4, 1)
  bytes.set(content, HEADER)
  bytes[AT.checksum] = checksum(bytes)
  return bytes
}

function checksum(bytes: Uint8Array): number {
  return -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff
}

function word(value: number): number[] {
  return [0, 8, 16, 24].map((shift) => value >>> shift & 0xff)
}

function put(bytes: Uint8Array, at: number, size: 1 | 2 | 4, value: number): void {
  for (let byte = 0; byte < size; byte++) bytes[at + byte] = value >>> (8 * byte)
}
