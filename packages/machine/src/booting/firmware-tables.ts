import type { AcpiTables, FirmwareInfo } from '@machinist/api'
import { type Acpi, acpiFiles, createAcpi, createMp, type MpTables, type X86BootOptions } from '@machinist/boot'
import { CPU_PART } from '../definition/definition.ts'
import { type ResolvedMachine, resolvedFor } from '../resolving/resolve.ts'

/** Where the root pointer of ACPI is, at the beginning of what software searches for it (ACPI 6.5, 5.2.5.1), and the floating pointer of MP tables, likewise (MultiProcessor Specification 1.4, chapter 4). */
const [ACPI_TABLES, MP_TABLES] = [0xe_0000, 0xf_0000] as const
/** Of tables that firmware places: the first, behind the root pointer, is at 0. */
const ACPI_FILES = -64
/** Where harts find their local APICs (SDM volume 3, "Local APIC Status and Location"). */
const LOCAL_APIC = 0xfee0_0000

/** Tables in which a machine's CPU and devices have described themselves; null when nobody says what processors there are. */
function described(machine: ResolvedMachine): { readonly acpi: Acpi; readonly mp: MpTables } | null {
  const [acpi, mp] = [createAcpi(), createMp()]
  let processors = 0
  const tables: AcpiTables = {
    ...acpi.tables,
    processors: mp.tables.processors,
    processor(number, apicId) {
      processors++
      acpi.tables.processor(number, apicId)
      mp.tables.processor(number, apicId)
    },
    ioApic(...told) {
      acpi.tables.ioApic(...told)
      mp.tables.ioApic(...told)
    },
    override(...told) {
      acpi.tables.override(...told)
      mp.tables.override(...told)
    },
    legacyControllers() {
      acpi.tables.legacyControllers()
      mp.tables.legacyControllers()
    },
    pciPin: mp.tables.pciPin,
  }
  machine.cpu.spec.describe(machine.cpu.config, { name: CPU_PART, timeFrequency: machine.timeFrequency }, { acpi: tables })
  for (const device of machine.devices) device.spec.describe?.(device.config, resolvedFor(machine, device), { acpi: tables })
  return processors === 0 ? null : { acpi, mp }
}

/** The tables of a machine: those of ACPI, and MP tables for systems that know none; nothing when nobody says what processors there are. */
export function firmwareTables(machine: ResolvedMachine): Pick<X86BootOptions, 'tables' | 'rsdp' | 'reserved'> {
  const made = described(machine)
  if (made === null) return {}
  const { bytes, reserved } = made.acpi.toBytes(ACPI_TABLES, LOCAL_APIC)
  return {
    tables: [{ part: 'acpi', address: ACPI_TABLES, bytes }, { part: 'mp', address: MP_TABLES, bytes: made.mp.toBytes(MP_TABLES, LOCAL_APIC) }],
    rsdp: ACPI_TABLES, reserved,
  }
}

/** The tables of ACPI for firmware, which places them itself; nothing when nobody says what processors there are. */
export function firmwareFiles(machine: ResolvedMachine): Pick<FirmwareInfo, 'files' | 'reserved'> {
  const image = described(machine)?.acpi.toBytes(ACPI_FILES, LOCAL_APIC)
  return image === undefined ? { files: [], reserved: [] } : { files: acpiFiles(image), reserved: image.reserved }
}
