import { localApicRegisters, X2apic } from './registers.ts'

/** Bits that WRMSR may set, by MSR (SDM volume 3, table "Local APIC Register Address Map Supported by x2APIC", and the register formats); what is not here may not be written. */
const writable: ReadonlyMap<number, number> = new Map([
  [0x808, 0xff], [0x80b, 0], [0x80f, 0x11ff], [0x828, 0], [0x830, 0xc_cfff], [0x832, 0x7_00ff], [0x833, 0x1_07ff], [0x834, 0x1_07ff], [0x835, 0x1_a7ff], [0x836, 0x1_a7ff],
  [0x837, 0x1_00ff], [0x838, 0xffff_ffff], [0x83e, 0x0b], [X2apic.selfIpi, 0xff],
])

/** Registers that there are in x2APIC mode: not DFR, nor the high half of ICR, which is in its low one. */
const readable: ReadonlySet<number> = new Set(Object.entries(localApicRegisters).flatMap(([name, register]) => {
  if (['DFR', 'ICR_HIGH', 'APR', 'RRD', 'EOI'].includes(name)) return []
  const count = 'count' in register ? register.count : 1
  return Array.from({ length: count }, (_, index) => X2apic.first + (register.offset >>> 4) + index)
}))

/** Whether RDMSR gives a register in x2APIC mode. */
export function mayRead(msr: number): boolean {
  return readable.has(msr)
}

/** Whether WRMSR takes a value there. Bits 12 and 14 of what was read may be written back: they are read only (delivery status, remote IRR). */
export function mayWrite(msr: number, low: number, high: number): boolean {
  const bits = writable.get(msr)
  if (bits === undefined) return false
  const status = msr >= 0x832 && msr <= 0x837 ? 0x1000 | (bits & 0x8000) >>> 1 : msr === 0x830 ? 0x1000 : 0
  return (low & ~(bits | status)) === 0 && (high === 0 || msr === 0x830)
}
