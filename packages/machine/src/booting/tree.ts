import type { FdtNode } from '@machinist/api'
import { createFdt, describeChosen, unitAddress } from '@machinist/boot'
import { CPU_PART } from '../definition/definition.ts'
import { type ResolvedMachine, resolvedFor } from '../resolving/resolve.ts'

/** What goes into `/chosen`, apart from the console. */
export interface TreeOptions {
  readonly bootargs?: string | undefined
  readonly initrd?: { readonly start: number; readonly end: number } | null | undefined
  readonly rngSeed?: Uint8Array | undefined
  /** Name of the device to be the console; the first that describes a `serial` node when absent. */
  readonly console?: string | undefined
}

/** A node that reports the paths of what is made below it. */
function watched(node: FdtNode, path: string, made: (path: string) => void): FdtNode {
  const face: FdtNode = {
    set(name, value) {
      node.set(name, value)
      return face
    },
    child(name) {
      const below = `${path}/${name}`
      made(below)
      return watched(node.child(name), below, made)
    },
    label(label) {
      node.label(label)
      return face
    },
  }
  return face
}

/**
 * The device tree of a machine (Devicetree Specification 0.4): the root, `/memory`, `/soc` and `/chosen` are the
 * machine's; the CPU and each device describe themselves.
 */
export function buildTree(machine: ResolvedMachine, options: TreeOptions): Uint8Array {
  const { definition } = machine
  const fdt = createFdt()
  const { root } = fdt
  root.set('#address-cells', 2).set('#size-cells', 2)
  root.set('compatible', [`machinist,${definition.name}`]).set('model', `machinist,${definition.name}`)
  for (const { base, size } of machine.memory) {
    root.child(`memory@${unitAddress(base)}`).set('device_type', 'memory').set('reg', [{ u64: base }, { u64: size }])
  }
  machine.cpu.spec.describe(machine.cpu.config, { name: CPU_PART, timeFrequency: machine.timeFrequency }, { fdt: root })
  // A bus of its own, so that an operating system makes a platform device of each child (section 4.5).
  root.child('soc').set('#address-cells', 2).set('#size-cells', 2).set('compatible', 'simple-bus').set('ranges', true)
  const paths = new Map<string, string>()
  for (const device of machine.devices) {
    const face = watched(root, '', (path) => {
      if (path !== '/soc' && !paths.has(device.name)) paths.set(device.name, path)
    })
    device.spec.describe?.(device.config, resolvedFor(machine, device), { fdt: face })
  }
  const console = options.console !== undefined
    ? paths.get(options.console)
    : [...paths.values()].find((path) => /\/serial@[^/]*$/.test(path))
  if (console !== undefined) root.child('aliases').set('serial0', console)
  describeChosen(root, { bootargs: options.bootargs, initrd: options.initrd, rngSeed: options.rngSeed, stdoutPath: console })
  return fdt.toBytes()
}
