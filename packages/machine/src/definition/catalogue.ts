import { type CpuSpec, type DeviceSpec, machinistError } from '@machinist/api'

/** A spec of either sort, whatever its type parameters. */
export type AnySpec = DeviceSpec | CpuSpec

/** The specs that a definition may name. */
export type Catalogue = readonly AnySpec[]

/** Whether a spec makes CPUs. */
export function isCpuSpec(spec: AnySpec): spec is CpuSpec {
  return 'harts' in spec
}

function find(catalogue: Catalogue, kind: string, cpu: boolean, part: string): AnySpec {
  const spec = catalogue.find((each) => each.kind === kind && isCpuSpec(each) === cpu)
  if (spec) return spec
  const known = catalogue.filter((each) => isCpuSpec(each) === cpu).map((each) => each.kind)
  throw machinistError(
    { code: 'unknown-kind', part, value: kind, remedy: known.length === 0 ? 'Add its spec to the catalogue.' : `Use one of ${known.join(', ')}, or add its spec to the catalogue.` },
    cpu ? 'no such kind of CPU' : 'no such kind of device')
}

/** The spec of a device. @throws a typed error `'unknown-kind'` */
export function deviceSpec(catalogue: Catalogue, kind: string, part: string): DeviceSpec {
  return find(catalogue, kind, false, part) as DeviceSpec
}

/** The spec of a CPU. @throws a typed error `'unknown-kind'` */
export function cpuSpec(catalogue: Catalogue, kind: string, part: string): CpuSpec {
  return find(catalogue, kind, true, part) as CpuSpec
}
