import { type Device, machinistError, type PciFunctionContext, type PciFunctionPort } from '@machinist/api'
import { CPU_PART } from '../definition/definition.ts'
import type { ResolvedDevice } from '../resolving/resolve.ts'
import { inputKey, type WiredLine, type Wiring } from './wiring.ts'

/** Plugs a PCI device into its host, which is made already; null for other devices. */
export function plug(
  device: ResolvedDevice, made: ReadonlyMap<string, Device>, port: Omit<PciFunctionPort, 'name' | 'interrupts'>,
): PciFunctionContext | null {
  const { name, spec, config, slot } = device
  const about = spec.pci?.(config)
  if (slot === null || about === undefined) return null
  const host = made.get(slot.host)?.pci
  if (host === undefined) {
    throw machinistError({ code: 'no-pci-host', part: name, value: slot.host, remedy: 'Correct the spec of the host: its device lacks `pci`.' }, 'nothing can be plugged into its PCI host')
  }
  return host.plug(slot, about, spec.regions(config), { name, interrupts: about.pin !== false && spec.irqs(config).length > 0, ...port })
}

/** Takes message-signalled interrupts to the controller that has registers at their address. They reach nothing else. */
export function messenger(
  devices: readonly { readonly resolved: ResolvedDevice; readonly device: Device }[], fault: (part: string, error: unknown) => void, warn: (message: string) => void,
): (address: number, data: number) => void {
  return (address, data) => {
    for (const { resolved: { name, regions }, device } of devices) {
      const region = device.message === undefined ? -1 : regions.findIndex(({ base, size, space }) => space === 'mmio' && address >= base && address + 4 <= base + size)
      if (region < 0) continue
      try {
        device.message?.(region, address - (regions[region]?.base ?? 0), data)
      } catch (error) {
        fault(name, error)
      }
      return
    }
    warn(`a message-signalled interrupt to 0x${address.toString(16)}, where no controller takes it`)
  }
}

/** What a hart reads when no controller gives a vector. */
const NO_VECTOR = 0xff

/** A controller's output at an input that may be asked for a vector. */
interface Asserter {
  readonly name: string
  readonly device: Device
  readonly output: number
  readonly line: WiredLine
}

/** Asks the controller that asserts an input of the CPU for a vector, and that controller's own if it says so. */
export function acknowledger(devices: readonly { readonly resolved: ResolvedDevice; readonly device: Device }[], wiring: Wiring, fault: (part: string, error: unknown) => void): (line: string) => number {
  // Found once, when all devices are made: a guest has as many interrupts as it likes.
  let inputs: ReadonlyMap<string, readonly Asserter[]> | null = null
  const find = (): ReadonlyMap<string, readonly Asserter[]> => {
    const found = new Map<string, Asserter[]>()
    const lines = new Map(wiring.lines.map((line) => [line.name, line]))
    for (const { resolved: { name, wires, spec, config }, device } of devices) {
      if (device.acknowledge === undefined) continue
      const outputs = new Map(spec.irqs(config).map((irq, index) => [irq, index]))
      for (const { irq, to, line } of wires) {
        const key = inputKey(to, line)
        const [output, wired] = [outputs.get(irq), lines.get(`${name}.${irq}`)]
        if (output !== undefined && wired !== undefined) found.set(key, [...found.get(key) ?? [], { name, device, output, line: wired }])
      }
    }
    return found
  }
  const ask = (input: string, chain: number): number => {
    inputs ??= find()
    for (const { name, device, output, line } of inputs.get(input) ?? []) {
      if (!line.level) continue
      try {
        const vector = device.acknowledge?.(output) ?? NO_VECTOR
        if (vector >= 0) return vector
        // Controllers may be wired in a circle.
        return chain < devices.length ? ask(inputKey(name, -1 - vector), chain + 1) : NO_VECTOR
      } catch (error) {
        fault(name, error)
      }
    }
    return NO_VECTOR
  }
  return (line) => ask(inputKey(CPU_PART, line), 0)
}
