import { type AcpiResource, type AcpiTables, type AcpiValue, type FdtCell, type FdtNode, PCI_DEVICES, type Resolved } from '@machinist/api'
import { hostRegions, type PciHostConfig, pciIrqs } from './config.ts'

/** Address spaces in the first cell of a PCI address (IEEE 1275 PCI Bus Binding 2.1, 2.2.1.1). */
const SPACE = { io: 0x0100_0000, memory: 0x0200_0000, memory64: 0x0300_0000 } as const
/** Interrupt wires repeat with every four devices: bits 12:11 of the first cell, and pins 1 … 4. */
const DEVICE_MASK = 0x1800
const PIN_MASK = 7
const DEVICE_SHIFT = 11

/** Adds the bridge to ACPI's tables (PCI Firmware 3.3, 4): what it hands on, where its interrupts go, and configuration space, which must also be somebody's. */
function describeAcpi(config: PciHostConfig, at: Resolved, ecam: Resolved['regions'][number], acpi: AcpiTables): void {
  acpi.ecam(ecam.base, config.buses)
  acpi.device('ECM', 'PNP0C02').set('_CRS', { resources: [{ memory: ecam.base, size: ecam.size }] })
  const windows = hostRegions(config).flatMap(({ window, space }, index): AcpiResource[] => {
    const seen = at.regions[index]
    if (typeof window !== 'object' || seen === undefined) return []
    if (window.space === 'memory') return [{ window: seen.base, size: seen.size }]
    return space === 'pio' ? [{ portWindow: seen.base, size: seen.size }] : []
  })
  // One range, as systems know it.
  const address = hostRegions(config).findIndex(({ window }) => window === 'address')
  const ports = address < 0 ? [] : [{ ports: at.regions[address]?.base ?? 0, size: 8 }]
  // A bus with ports of its own has those of ISA behind it as well: functions that are there by custom, as IDE's, are within what systems take for its own.
  const isa: AcpiResource[] = address >= 0 && windows.some((window) => 'portWindow' in window) ? [{ portWindow: 0, size: at.regions[address]?.base ?? 0 }] : []
  const wires = pciIrqs.map((irq) => at.irqs.find((each) => each.irq === irq && each.systemInterrupt !== undefined)?.systemInterrupt)
  const routes = Array.from({ length: PCI_DEVICES }, (_, device) => pciIrqs.flatMap((_irq, pin): AcpiValue[] => {
    const interrupt = wires[(device + pin) % pciIrqs.length]
    if (interrupt === undefined) return []
    acpi.pciPin(device, pin, interrupt)
    return [[device * 0x1_0000 + 0xffff, pin, 0, interrupt]]
  })).flat()
  acpi.device('PCI', 'PNP0A08').set('_CID', { id: 'PNP0A03' }).set('_SEG', 0).set('_BBN', 0)
    .set('_CRS', { resources: [{ buses: [0, config.buses - 1] }, ...ports, ...isa, ...windows] }).set('_PRT', routes)
}

/** Adds the node of a generic ECAM host (binding `pci-host-ecam-generic`), labelled with the part's name. */
export function describeHost(config: PciHostConfig, at: Resolved, out: { readonly fdt?: FdtNode; readonly acpi?: AcpiTables }): void {
  const ecam = at.regions[0]
  if (ecam !== undefined && out.acpi !== undefined) describeAcpi(config, at, ecam, out.acpi)
  if (ecam === undefined || out.fdt === undefined) return
  const ranges: FdtCell[] = hostRegions(config).flatMap(({ window, space: where }, index): FdtCell[] => {
    const seen = at.regions[index]
    if (typeof window === 'string' || where === 'pio' || seen === undefined) return []
    const space = window.space === 'io' ? SPACE.io : window.base + seen.size > 2 ** 32 ? SPACE.memory64 : SPACE.memory
    return [space, { u64: window.base }, { u64: seen.base }, { u64: seen.size }]
  })
  const wires = pciIrqs.map((irq) => at.irqs.find((each) => each.irq === irq))
  const map: FdtCell[] = []
  for (let device = 0; device < Math.min(PCI_DEVICES, pciIrqs.length); device++) {
    for (let pin = 0; pin < pciIrqs.length; pin++) {
      const wire = wires[(device + pin) % pciIrqs.length]
      if (wire !== undefined && wire.cells.length > 0) map.push(device << DEVICE_SHIFT, 0, 0, pin + 1, { ref: wire.ref }, ...wire.cells)
    }
  }
  const node = out.fdt.child('soc').child(`pci@${ecam.base.toString(16)}`)
    .label(at.name)
    .set('compatible', 'pci-host-ecam-generic')
    .set('device_type', 'pci')
    .set('#address-cells', 3)
    .set('#size-cells', 2)
    .set('#interrupt-cells', 1)
    .set('dma-coherent', true)
    .set('bus-range', [0, config.buses - 1])
    .set('reg', [{ u64: ecam.base }, { u64: ecam.size }])
    .set('ranges', ranges)
  if (config.messages !== null) node.set('msi-parent', [{ ref: config.messages }])
  if (map.length > 0) node.set('interrupt-map-mask', [DEVICE_MASK, 0, 0, PIN_MASK]).set('interrupt-map', map)
}
