import { type AcpiImage, createAcpi } from '@machinist/boot'
import { type ResolvedMachine, resolvedFor } from '../resolving/resolve.ts'

/** Where the root pointer is, at the beginning of what software searches for it (ACPI 6.5, 5.2.5.1). */
export const ACPI_TABLES = 0xe_0000
/** Where harts find their local APICs (SDM volume 3, "Local APIC Status and Location"). */
const LOCAL_APIC = 0xfee0_0000

/** The ACPI tables of a machine, in which its devices describe themselves; null when none says what processors there are. */
export function buildAcpi(machine: ResolvedMachine, address: number = ACPI_TABLES): AcpiImage | null {
  const acpi = createAcpi()
  let processors = 0
  const tables = {
    ...acpi.tables,
    processor(number: number, apicId: number) {
      processors++
      acpi.tables.processor(number, apicId)
    },
  }
  for (const device of machine.devices) device.spec.describe?.(device.config, resolvedFor(machine, device), { acpi: tables })
  return processors === 0 ? null : acpi.toBytes(address, LOCAL_APIC)
}
