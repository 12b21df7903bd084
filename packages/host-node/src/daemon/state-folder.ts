import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { machinistError } from '@machinist/api'
import { checkPool, checkSpec, type MachineSpec, type PoolSpec } from '@machinist/hypervisor'
import { type ImageSource, withImagesLater } from '@machinist/machine'
import { fileError, systemCode } from '../system/errors.ts'
import { privateFolder } from './paths.ts'
import { removeFile, replaceFile, UNFINISHED } from '../files/replace-file.ts'

/** Who errors of its files are about. */
const PART = 'hypervisor'
const FORMAT = 'machinist hypervisor'
const VERSION = 1
const POOLS_FILE = 'pools.json'
const RUN_FILE = 'run.json'
const MACHINE_END = '.json'
const DAMAGED_END = '.damaged'
const SNAPSHOT_END = '.snapshot'

/** A machine, as it is remembered. */
export interface KeptMachine {
  readonly spec: MachineSpec
  /** Its place among the others. */
  readonly order: number
  /** It runs, or ran when the hypervisor ended without notice. */
  readonly runs: boolean
  /** The snapshot that it goes on from when the next hypervisor begins, and whether it was paused. */
  readonly resume: { readonly file: string; readonly paused: boolean } | null
}

/** What a hypervisor that begins finds of the one before. */
export interface Found {
  readonly machines: readonly KeptMachine[]
  readonly pools: readonly PoolSpec[]
  /** The one before ended without notice; its process. Null when it ended in good order, or there was none. */
  readonly crashed: number | null
  /** Files that could not be read, under the names that they were given. */
  readonly damaged: readonly { readonly file: string; readonly problem: string }[]
  /** Files that were being written when it ended, which were removed. */
  readonly unfinished: readonly string[]
  /** Snapshots that no machine goes on from. */
  readonly snapshots: readonly string[]
}

/** JSON has neither Infinity, which is null there as in resources, nor bytes. */
function toJson(value: object): string {
  return `${JSON.stringify({ format: FORMAT, version: VERSION, ...value }, (_key, each: unknown) => {
    if (each instanceof Uint8Array || typeof each === 'bigint') {
      throw machinistError({ code: 'parameter', part: 'machine', value: typeof each, remedy: 'Configure parts with what JSON has: numbers, texts, lists and objects.' }, 'it cannot be kept')
    }
    return each === Infinity ? null : each
  }, 2)}\n`
}

/** The name of a machine as that of a file, on file systems too that do not tell capitals from small letters. */
function nameOfFile(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `~${letter.toLowerCase()}`)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The folder in which a hypervisor keeps what it has to know when it begins anew: a file for each machine, one for pools, one that says whether it ended in good order, saved machines, images and logs. */
export class StateFolder {
  readonly path: string
  #order = 0

  /** @throws typed errors `'daemon-folder'`, `'file-…'` */
  constructor(path: string) {
    this.path = path
    for (const folder of ['', 'machines', 'saved', 'images', 'logs']) privateFolder(join(path, folder))
  }

  /** Where a machine's output is kept. */
  consoleFile(name: string): string {
    return join(this.path, 'logs', `${nameOfFile(name)}.console`)
  }

  get eventsFile(): string {
    return join(this.path, 'logs', 'events')
  }

  /** Where a machine is saved while there is no hypervisor. */
  snapshotFile(name: string): string {
    return join(this.path, 'saved', `${nameOfFile(name)}${SNAPSHOT_END}`)
  }

  #machineFile(name: string): string {
    return join(this.path, 'machines', `${nameOfFile(name)}${MACHINE_END}`)
  }

  /** A place behind all that there are. */
  nextOrder(): number {
    return ++this.#order
  }

  keepMachine(machine: KeptMachine): Promise<void> {
    const { spec, order, runs, resume } = machine
    return replaceFile(this.#machineFile(spec.name), toJson({ order, runs, resume, spec }), PART)
  }

  async forgetMachine(name: string): Promise<void> {
    await removeFile(this.#machineFile(name), PART)
    await removeFile(this.snapshotFile(name), PART)
    for (const end of ['', '.old']) rmSync(`${this.consoleFile(name)}${end}`, { force: true })
  }

  keepPools(pools: readonly PoolSpec[]): Promise<void> {
    return replaceFile(join(this.path, POOLS_FILE), toJson({ pools }), PART)
  }

  /** Says that a hypervisor runs, or that it has ended in good order. */
  keepRun(ended: boolean): Promise<void> {
    return replaceFile(join(this.path, RUN_FILE), toJson({ pid: process.pid, ended }), PART)
  }

  /**
   * A machine whose images are files: bytes are put into files that have their checksum as their name.
   *
   * @throws typed errors `'file-…'`
   */
  async withImages(spec: MachineSpec): Promise<MachineSpec> {
    if (!('boot' in spec.machine)) return spec
    const keep = async (image: ImageSource): Promise<ImageSource> => {
      if (!(image instanceof Uint8Array)) return image
      const file = join(this.path, 'images', createHash('sha256').update(image).digest('hex'))
      if (!existsSync(file)) await replaceFile(file, image, PART)
      return { file }
    }
    return { ...spec, machine: await withImagesLater(spec.machine, keep) }
  }

  /**
   * Reads all of it, for a hypervisor that begins. What cannot be read is put aside under another name; what is not finished is removed.
   *
   * @throws typed errors `'file-…'`
   */
  read(): Found {
    const damaged: { file: string; problem: string }[] = []
    const readAs = <Value>(path: string, check: (input: Readonly<Record<string, unknown>>) => Value): Value | null => {
      try {
        const input: unknown = JSON.parse(readFileSync(path, 'utf8'))
        if (!isObject(input) || input['format'] !== FORMAT) throw new Error('it is not what a hypervisor keeps')
        if (input['version'] !== VERSION) throw new Error(`it has version ${String(input['version'])}, and ${VERSION} can be read`)
        return check(input)
      } catch (error) {
        if (systemCode(error) === 'ENOENT') return null
        if (systemCode(error)?.startsWith('E') === true) throw fileError(error, 'hypervisor', path)
        const aside = `${path}${DAMAGED_END}`
        renameSync(path, aside)
        damaged.push({ file: aside, problem: error instanceof Error ? error.message : String(error) })
        return null
      }
    }
    try {
      const unfinished = this.#removeUnfinished()
      const machines = readdirSync(join(this.path, 'machines')).filter((name) => name.endsWith(MACHINE_END))
        .flatMap((name) => readAs(join(this.path, 'machines', name), (input) => this.#machine(input, name)) ?? []).sort((a, b) => a.order - b.order)
      this.#order = Math.max(0, ...machines.map(({ order }) => order))
      const pools = readAs(join(this.path, POOLS_FILE), ({ pools: list }) => {
        if (!Array.isArray(list)) throw new Error('it has no pools')
        return list.map((pool) => checkPool(pool))
      }) ?? []
      const run = readAs(join(this.path, RUN_FILE), ({ pid, ended }) => ({ pid: Number(pid), ended: ended === true }))
      this.#removeImages(machines)
      const wanted = new Set(machines.map(({ resume }) => resume?.file))
      const snapshots = readdirSync(join(this.path, 'saved')).map((name) => join(this.path, 'saved', name)).filter((file) => file.endsWith(SNAPSHOT_END) && !wanted.has(file))
      return { machines, pools, crashed: run === null || run.ended ? null : run.pid, damaged, unfinished, snapshots }
    } catch (error) {
      throw fileError(error, 'hypervisor', this.path)
    }
  }

  #machine({ spec: input, order, runs, resume }: Readonly<Record<string, unknown>>, file: string): KeptMachine {
    const spec = checkSpec(input)
    if (`${nameOfFile(spec.name)}${MACHINE_END}` !== file) throw new Error(`it is of another machine, ${spec.name}`)
    if (typeof order !== 'number' || typeof runs !== 'boolean') throw new Error('it lacks parts')
    const own = isObject(resume) && resume['file'] === this.snapshotFile(spec.name) ? { file: this.snapshotFile(spec.name), paused: resume['paused'] === true } : null
    return { spec, order, runs, resume: own }
  }

  #removeUnfinished(): string[] {
    return ['', 'machines', 'saved', 'images'].flatMap((folder) => readdirSync(join(this.path, folder)).filter((name) => name.endsWith(UNFINISHED)).map((name) => {
      const file = join(this.path, folder, name)
      rmSync(file, { force: true })
      return file
    }))
  }

  /** Removes images that no machine has, unless one was put aside: it may be mended. */
  #removeImages(machines: readonly KeptMachine[]): void {
    if (readdirSync(join(this.path, 'machines')).some((name) => name.endsWith(DAMAGED_END))) return
    const used = JSON.stringify(machines.map(({ spec }) => spec))
    for (const name of readdirSync(join(this.path, 'images'))) if (!used.includes(name)) rmSync(join(this.path, 'images', name), { force: true })
  }
}
