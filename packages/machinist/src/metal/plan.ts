import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { machinistError } from '@machinist/api'
import { type AppliancePlan, PLAN } from '@machinist/host-metal'
import { fileError } from '@machinist/host-node'
import { type MachineDefinition, withImages } from '@machinist/machine'
import { definedArchitecture } from '../architecture.ts'
import type { Fleet } from '../fleet/file/fleet.ts'

/** Most that a compressed kernel may come to, in bytes. */
const MOST_KERNEL = 2 ** 28

/** The content of a file, decompressed: there is nobody on bare metal who could. */
function contentOf(path: string, part: string): Uint8Array {
  let bytes: Uint8Array
  try {
    bytes = readFileSync(path)
  } catch (error) {
    throw fileError(error, part, path)
  }
  return bytes[0] === 0x1f && bytes[1] === 0x8b && part === 'kernel' ? gunzipSync(bytes, { maxOutputLength: MOST_KERNEL }) : bytes
}

/** Kinds of backends that an image does not have. */
const NOT_THERE: readonly string[] = ['folder', 'unix']

/** Refuses backends that an image does not have. */
function checkBackends(name: string, { devices }: MachineDefinition): void {
  for (const [device, { backends = {} }] of Object.entries(devices)) {
    for (const [port, backend] of Object.entries(backends)) {
      if (typeof backend !== 'object' || !NOT_THERE.includes(backend.type)) continue
      throw machinistError({ code: 'metal-backend', part: `${name}.${device}.${port}`, value: backend.type, remedy: 'Leave it out.' }, 'machines of an image for bare metal do not have this yet')
    }
  }
}

/**
 * What `buildImage` of `@machinist/host-metal/build` is to put into an image, so that it runs the machines of a file: the plan, and their boot images, of which equal ones are there once.
 *
 * @throws typed errors for files that cannot be read, `'metal-backend'` for folders and sockets, and `'metal-cpu'` for x86
 */
export function imageFiles({ pools, machines }: Fleet): Record<string, Uint8Array> {
  const files: Record<string, Uint8Array> = {}
  const names = new Map<string, string>()
  const plan: AppliancePlan = {
    pools,
    machines: machines.map(({ entry: _, machine, ...spec }) => {
      if (!('version' in machine)) throw machinistError({ code: 'metal-backend', part: spec.name, remedy: 'Describe the machine in this file.' }, 'an image has no machine files and snapshots')
      if (spec.snapshots !== undefined) throw machinistError({ code: 'metal-backend', part: `${spec.name}.snapshots`, value: spec.snapshots, remedy: 'Leave it out.' }, 'an image has no folder for snapshots')
      const architecture = definedArchitecture(machine)
      if (architecture !== 'riscv64') throw machinistError({ code: 'metal-cpu', part: spec.name, value: architecture, remedy: 'Run it on Node.js, with machinist up.' }, 'machines of an image for bare metal have the processor of the hardware, which is RISC-V')
      checkBackends(spec.name, machine)
      const definition = withImages(machine, (source, part) => {
        const known = source instanceof Uint8Array ? undefined : names.get(source.file)
        if (known !== undefined) return { file: known }
        const file = `${part}-${Object.keys(files).length}`
        files[file] = source instanceof Uint8Array ? source : contentOf(source.file, part)
        if (!(source instanceof Uint8Array)) names.set(source.file, file)
        return { file }
      })
      return { ...spec, machine: definition }
    }),
  }
  return { [PLAN]: new TextEncoder().encode(JSON.stringify(plan)), ...files }
}
