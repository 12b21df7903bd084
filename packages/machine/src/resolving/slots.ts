import { machinistError, PCI_FUNCTIONS, type PciSlot } from '@machinist/api'
import type { SlotChoice } from '../definition/definition.ts'
import type { ConfiguredDevice } from './resolve.ts'

/** A slot of a machine: where a PCI function is, and on which host. */
export interface ResolvedSlot extends PciSlot {
  /** Name of the PCI host. */
  readonly host: string
}

/** Slots are given out from here: function 0 of device 0 is the host's own. */
const FIRST_DEVICE = 1

/** Whether a device is a PCI function: it has a slot instead of addresses. */
export function isFunction({ spec }: ConfiguredDevice): boolean {
  return spec.pci !== undefined
}

const print = ({ device, function: number }: PciSlot): string => `${device}.${number}`

/**
 * Gives every PCI function its slot: first those that ask for one, then, in the order of the definition, the others,
 * each as function 0 of the lowest free device of its host.
 *
 * @throws typed errors `'no-pci-host'`, `'unknown-part'`, `'bad-slot'`, `'slot-taken'` (naming both), `'no-free-slot'`
 */
export function placeFunctions(devices: readonly ConfiguredDevice[]): ReadonlyMap<string, ResolvedSlot> {
  const rooms = new Map<string, number>()
  const users = new Map<string, string>()
  for (const { name, spec, config } of devices) {
    if (spec.slots === undefined) continue
    rooms.set(name, spec.slots(config))
    users.set(`${name} ${print({ device: 0, function: 0 })}`, name)
  }
  const slots = new Map<string, ResolvedSlot>()
  const open: { readonly name: string; readonly host: string }[] = []

  const take = (name: string, slot: ResolvedSlot, bridge: boolean = false): void => {
    const key = `${slot.host} ${print(slot)}`
    const other = users.get(key)
    if (other !== undefined && !(bridge && other === slot.host)) {
      throw machinistError({ code: 'slot-taken', part: name, value: key, remedy: `Choose another slot for ${name} or ${other}.` }, `its slot belongs to ${other}`)
    }
    users.set(key, name)
    slots.set(name, slot)
  }

  for (const each of devices) {
    const { name, definition: { slot: choice, at } } = each
    if (!isFunction(each)) {
      if (choice === undefined) continue
      throw machinistError({ code: 'bad-slot', part: name, remedy: 'Give it an address, or use its PCI variant.' }, 'it is no PCI device, and has no slot')
    }
    if (at !== undefined) {
      throw machinistError({ code: 'bad-address', part: name, remedy: 'Give it a slot, or nothing: the guest decides on its addresses.' }, 'a PCI device has a slot instead of an address')
    }
    const host = hostOf(name, choice, rooms)
    if (each.spec.pci?.(each.config).hostBridge === true) {
      if (typeof choice === 'number' || (choice?.device ?? 0) !== 0 || (choice?.function ?? 0) !== 0) {
        throw machinistError({ code: 'bad-slot', part: name, remedy: 'Leave out slot, or its device and function.' }, 'a host bridge is in slot 0.0')
      }
      take(name, { host, device: 0, function: 0 }, true)
      continue
    }
    const device = typeof choice === 'number' ? choice : choice?.device
    if (device === undefined) {
      open.push({ name, host })
      continue
    }
    const number = typeof choice === 'object' ? choice.function ?? 0 : 0
    const count = rooms.get(host) ?? 0
    if (device >= count || number >= PCI_FUNCTIONS) {
      throw machinistError(
        { code: 'bad-slot', part: name, value: print({ device, function: number }), remedy: `Use a device below ${count}, and a function below ${PCI_FUNCTIONS}.` },
        `${host} has no such slot`)
    }
    take(name, { host, device, function: number })
  }
  for (const { name, host } of open) {
    const count = rooms.get(host) ?? 0
    let device = FIRST_DEVICE
    while (device < count && [...slots.values()].some((slot) => slot.host === host && slot.device === device)) device++
    if (device >= count) throw machinistError({ code: 'no-free-slot', part: name, value: host, remedy: `Give it a function of a device of ${host}, or add a PCI host.` }, 'its PCI host has no free slot')
    take(name, { host, device, function: 0 })
  }
  for (const [name, slot] of slots) {
    if (users.has(`${slot.host} ${print({ ...slot, function: 0 })}`)) continue
    throw machinistError(
      { code: 'bad-slot', part: name, value: print(slot), remedy: 'Use function 0, or put another device there.' },
      `a guest does not find it: device ${slot.device} of ${slot.host} has no function 0`)
  }
  return slots
}

function hostOf(part: string, choice: SlotChoice | undefined, rooms: ReadonlyMap<string, number>): string {
  const [first] = rooms.keys()
  const named = typeof choice === 'object' ? choice.on : undefined
  if (named === undefined) {
    if (first !== undefined) return first
    throw machinistError({ code: 'no-pci-host', part, remedy: "Add one: pciHost of '@machinist/bus'." }, 'there is no PCI host for it')
  }
  if (rooms.has(named)) return named
  throw machinistError({ code: 'unknown-part', part, value: named, remedy: first === undefined ? 'Add a PCI host.' : `Use one of ${[...rooms.keys()].join(', ')}.` }, 'its slot is on no known PCI host')
}
