import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMachinistError } from '@machinist/api'
import { virt } from '@machinist/boards'
import type { MachineDefinition } from '@machinist/machine'
import { imageDisk } from '@machinist/storage'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { ownHypervisor } from '../../daemon/own-hypervisor.ts'
import { loadMachineFile } from '../../machine-file.ts'
import { type Fleet, fleetOf, loadFleet } from './fleet.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-fleet-'))
vi.stubEnv('MACHINIST_CACHE', join(folder, 'cache'))
afterAll(() => { rmSync(folder, { recursive: true }) })

const FILE = join(folder, 'fleet.json')
writeFileSync(join(folder, 'kernel'), 'k')

/** A machine that needs no guest to be fetched. */
const SMALL = { kernel: 'kernel', append: 'quiet' }

const fleet = (data: unknown): Promise<Fleet> => fleetOf(data, FILE)

async function refusal(data: unknown): Promise<string> {
  try {
    await fleet(data)
  } catch (error) {
    if (!isMachinistError(error)) throw error
    expect([error.code, error.remedy !== '']).toEqual(['machine-file', true])
    return error.message.replaceAll(folder, '')
  }
  throw new Error('nothing was refused')
}

const definition = (given: Fleet, index = 0): MachineDefinition => given.machines[index]?.machine as MachineDefinition

describe('a fleet', () => {
  it('has pools with terms, parents first, and machines in the order of the file', async () => {
    const { pools, machines } = await fleet({
      pools: { 'night/batch': {}, 'night': { cpu: { shares: 500, limit: '50%' }, memory: { limit: '512M', reservation: '64MiB' } } },
      machines: { web: { ...SMALL, count: 2, pool: 'night', group: 'web', autostart: true, restart: 'on-failure', resources: { cpu: { shares: '2000', reservation: 0.25 }, network: { limit: '1M' } } }, one: SMALL },
    })
    expect(pools).toEqual([{ path: 'night', resources: { cpu: { shares: 500, limit: 0.5 }, memory: { limit: 2 ** 29, reservation: 2 ** 26 } } }, { path: 'night/batch', resources: {} }])
    expect(machines.map(({ machine: _, ...rest }) => rest)).toEqual([
      ...[1, 2].map((number) => ({
        name: `web-${number}`, entry: 'web', pool: 'night', group: 'web', autostart: true, restart: 'on-failure',
        resources: { cpu: { shares: 2000, reservation: 0.25 }, network: { limit: 2 ** 20 } },
      })),
      { name: 'one', entry: 'one' },
    ])
    expect(machines[0]?.machine).toBe(machines[1]?.machine)
  })

  it('has machines by the options of machinist run, as data that means the same everywhere', async () => {
    mkdirSync(join(folder, 'shared'), { recursive: true })
    const given = await fleet({ machines: { a: { ...SMALL, memory: '64M', harts: 2, disk: ['a{n}.img,ro,bps=1M', 'https://example.test/b.qcow2,overlay'], share: 'shared:files,ro', vsock: 's', balloon: '16M', net: 'none' } } })
    const { devices, memory, boot, cpu } = definition(given)
    expect(memory).toEqual([{ name: 'ram', base: 0x8000_0000, size: 2 ** 26 }])
    expect(cpu.config).toMatchObject({ harts: 2 })
    expect(boot).toEqual({ protocol: 'riscv', console: 'uart0', kernel: { file: join(folder, 'kernel') }, append: 'quiet' })
    expect(devices['disk0']?.backends).toEqual({ disk: { type: 'disk', path: join(folder, 'a1.img'), mode: 'ro', limits: { bytesPerSecond: 2 ** 20 } } })
    expect(devices['disk1']?.backends).toEqual({ disk: { type: 'disk', path: 'https://example.test/b.qcow2', mode: 'overlay' } })
    expect(devices['share0']?.backends).toEqual({ files: { type: 'folder', path: join(folder, 'shared'), readOnly: true } })
    expect(devices['vsock']?.backends).toEqual({ host: { type: 'unix', path: join(folder, 's') } })
    expect(devices['balloon']?.backends).toEqual({ host: { type: 'balloon', target: 2 ** 24 } })
    expect(devices['uart0']?.backends).toEqual({ console: 'console' })
    expect(Object.keys(devices)).not.toContain('net0')
    expect(definition(await fleet({ machines: { a: SMALL } })).devices['balloon']?.backends).toEqual({ host: { type: 'balloon', target: 0 } })
    const full = definition(await fleet({ machines: { a: { ...SMALL, disk: Array.from({ length: 7 }, (_, index) => `${index}.img`) } } }))
    expect(Object.keys(full.devices).filter((name) => /net|balloon/.test(name))).toEqual([])
    expect(JSON.parse(JSON.stringify(given))).toEqual(given)
  })

  it('has machines of each instruction set side by side', async () => {
    const { machines } = await fleet({ machines: { risc: SMALL, pc: { ...SMALL, arch: 'x86_64', disk: 'a.img', share: 'shared' }, old: { ...SMALL, arch: 'i386', virtio: 'mmio' } } })
    const kinds = machines.map(({ machine }) => 'version' in machine && [machine.name, machine.cpu.config, ...Object.entries(machine.devices).filter(([name]) => /^(?:disk0|net0|rng|share0|balloon)$/.test(name)).map(([name, { kind }]) => `${name} ${kind}`)])
    expect(kinds).toEqual([
      ['virt', expect.objectContaining({ harts: 1 }), 'net0 virtio-net', 'rng virtio-rng', 'balloon virtio-balloon'],
      ['microvm', expect.objectContaining({ harts: 1 }), 'disk0 virtio-blk-pci', 'net0 virtio-net-pci', 'rng virtio-rng-pci', 'share0 virtio-9p-pci', 'balloon virtio-balloon-pci'],
      ['microvm', expect.objectContaining({ harts: 1, model: 'x86-32' }), 'net0 virtio-net', 'rng virtio-rng', 'balloon virtio-balloon'],
    ])
    await expect(fleet({ machines: { pc: { ...SMALL, arch: 'x86_64', firmware: 'f' } } })).rejects.toThrow('pc.firmware')
  })

  it('numbers what the machines of an entry have for themselves', async () => {
    const given = await fleet({ machines: { web: { ...SMALL, count: 3, disk: 'disk-{n}.img', net: 'nat,forward=tcp:127.0.0.1:808{n}-:80' } } })
    expect([0, 1, 2].map((index) => definition(given, index).devices['disk0']?.backends?.['disk'])).toMatchObject([1, 2, 3].map((n) => ({ path: join(folder, `disk-${n}.img`) })))
    expect(definition(given, 1).devices['net0']?.backends?.['net']).toEqual({ type: 'nat', forward: ['tcp:127.0.0.1:8082-:80'] })
  })

  it('is one machine, where the file has one', async () => {
    const { definition: one } = virt({ console: 'console', kernel: { file: 'kernel' } })
    const given = await fleet({ ...one, name: 'solo' })
    expect(given).toMatchObject({ pools: [], machines: [{ name: 'solo', entry: 'solo' }] })
    expect(definition(given).boot).toMatchObject({ kernel: { file: join(folder, 'kernel') } })
  })

  it('has machines of other files and of snapshots', async () => {
    mkdirSync(join(folder, 'inner'), { recursive: true })
    writeFileSync(join(folder, 'inner/machine.json'), JSON.stringify(virt({ console: 'console', kernel: { file: 'k' } }).definition))
    writeFileSync(join(folder, 'inner/machine.mjs'), 'export default () => ({ version: 1, memory: { base: 0x80000000, size: "16M" }, cpu: { kind: "riscv" }, devices: {} })')
    const given = await fleet({ machines: { a: { file: 'inner/machine.json' }, b: { file: 'inner/machine.mjs' }, c: { snapshot: 'c-{n}.snapshot', count: 1 } } })
    expect(definition(given).boot).toMatchObject({ kernel: { file: join(folder, 'inner/k') } })
    expect(definition(given, 1).memory).toMatchObject([{ size: 2 ** 24 }])
    expect(given.machines[2]).toEqual({ name: 'c-1', entry: 'c', machine: { snapshot: join(folder, 'c-1.snapshot') } })
  })

  it('keeps images that a module gives as bytes in files', async () => {
    const { definition: one } = virt({ kernel: new Uint8Array([1, 2, 3]) })
    const [first, second] = [await fleet({ machines: { a: { machine: one } } }), await fleet({ machines: { a: { machine: one } } })]
    const { boot } = definition(first)
    expect(boot).toMatchObject({ kernel: { file: expect.stringContaining(join(folder, 'cache')) } })
    expect(definition(second).boot).toEqual(boot)
  })

  it('comes of a JSON file or a module, which machinist run refuses', async () => {
    writeFileSync(FILE, JSON.stringify({ machines: { a: SMALL } }))
    writeFileSync(join(folder, 'fleet.mjs'), 'export default async () => ({ machines: { a: { kernel: "kernel" } }, pools: { p: { cpu: { limit: Infinity } } } })')
    expect(await loadFleet(FILE)).toMatchObject({ machines: [{ name: 'a' }] })
    expect(await loadFleet(join(folder, 'fleet.mjs'))).toMatchObject({ pools: [{ path: 'p', resources: { cpu: { limit: Infinity } } }], machines: [{ name: 'a' }] })
    await expect(loadMachineFile(FILE)).rejects.toMatchObject({ code: 'machine-file', remedy: `Use machinist up ${FILE}` })
    await expect(loadFleet(join(folder, 'none.json'))).rejects.toMatchObject({ code: 'file-enoent' })
  })
})

describe('a machine with parts of its own', () => {
  const module = join(folder, 'own.mjs')
  writeFileSync(module, `
    const own = {
      kind: 'own', stateVersion: 1, backends: { console: 'char' }, configure: () => ({}), regions: () => [{ name: 'registers', size: 4, space: 'mmio' }], irqs: () => [],
      create: (_config, { backends: { console } }) => ({ read: () => 0, write() {}, reset() { console.write(Uint8Array.from('own'.split('').map((c) => c.charCodeAt(0)))) }, save: () => ({}), restore() {} }),
    }
    export default {
      definition: {
        version: 1, name: 'mine', memory: [{ name: 'ram', base: 0x8000_0000, size: 2 ** 20 }], cpu: { kind: 'riscv', backends: { console: 'null' } }, time: 'real',
        devices: { own: { kind: 'own', at: 0x1000_0000, backends: { console: 'console' } } },
        boot: { protocol: 'raw', images: [{ name: 'loop', at: 0x8000_0000, bytes: Uint8Array.of(0x6f, 0, 0, 0) }], entry: 0x8000_0000 },
      },
      catalogue: [own], backends: new Map(),
    }`)

  it('is made by the processor, which runs its module itself', async () => {
    writeFileSync(FILE, JSON.stringify({ machines: { a: { file: 'own.mjs' } } }))
    expect((await loadFleet(FILE)).machines).toEqual([{ name: 'a', machine: { file: module }, entry: 'a' }])
    expect((await loadFleet(module)).machines).toEqual([{ name: 'mine', machine: { file: module }, entry: 'mine' }])
    const hypervisor = ownHypervisor()
    try {
      await hypervisor.add({ name: 'a', machine: { file: module } })
      await hypervisor.start('a')
      let said = ''
      await hypervisor.console('a', { output: (bytes) => { said += Buffer.from(bytes).toString() }, closed() {} })
      while (said !== 'own') await new Promise((resolve) => { setTimeout(resolve, 5) })
      // So is a copy, and one that was saved.
      await hypervisor.save('a', join(folder, 'own.snapshot'))
      await hypervisor.fork('a', { name: 'b' })
      await hypervisor.stop('a')
      await hypervisor.start('a', join(folder, 'own.snapshot'))
      expect((await hypervisor.machines()).map(({ state }) => state)).toEqual(['running', 'running'])
    } finally {
      hypervisor.close()
    }
  })

  it('is refused within a file of several, where it cannot be found', async () => {
    writeFileSync(join(folder, 'several.mjs'), `import own from './own.mjs'; export default { machines: { a: { machine: own } } }`)
    await expect(loadFleet(join(folder, 'several.mjs'))).rejects.toMatchObject({ code: 'machine-file', value: 'own' })
  })
})

const machine = (fields: object): object => ({ machines: { web: { ...SMALL, ...fields } } })

describe('a mistake is refused by its place, its value and a remedy', () => {
  it.each<[object, string]>([
    [{ machines: [] }, '/fleet.json machines: is not an object (a list).'],
    [{ machines: {}, pool: {} }, '/fleet.json pool: is not known here. Use pools, machines.'],
    [{ machines: { 'web server': SMALL } }, '/fleet.json machines.web server: is not a name for a machine (web server).'],
    [{ machines: { web: 3 } }, '/fleet.json machines.web: is not an object (3).'],
    [machine({ cout: 3 }), '/fleet.json machines.web.cout: is not known here. Use machine, file,'],
    [machine({ count: 0 }), '/fleet.json machines.web.count: is not a number of machines (0).'],
    [machine({ count: '3' }), '/fleet.json machines.web.count: is not a number of machines (3).'],
    [machine({ memory: 'much' }), '/fleet.json machines.web.memory: not a size (much). Use a number with a unit'],
    [machine({ memory: true }), '/fleet.json machines.web.memory: is neither text nor a number (true).'],
    [machine({ harts: 99 }), '/fleet.json machines.web.harts: not a number of harts (99). Use 1 to 8.'],
    [machine({ disk: ['a.img', ''] }), '/fleet.json machines.web.disk: no path is given ().'],
    [machine({ net: 'wifi' }), '/fleet.json machines.web.net: no such network (wifi).'],
    [machine({ count: 2, disk: 'a.img' }), '/fleet.json machines.web.disk: would be written by 2 machines (a.img). Add ,overlay or ,ro'],
    [machine({ boot: 'web.json' }), '/fleet.json machines.web'],
    [machine({ file: 'web.json' }), '/fleet.json machines.web.kernel: says what the machine is, as "file" does.'],
    [{ machines: { web: { file: 'a.json', snapshot: 'b' } } }, '/fleet.json machines.web.snapshot: says what the machine is, as "file" does.'],
    [{ machines: { web: { snapshot: 3 } } }, '/fleet.json machines.web.snapshot: is not a path (3).'],
    [{ machines: { web: { file: 'none.json' } } }, '/fleet.json machines.web.file: '],
    [{ machines: { web: { machine: { memory: {} } } } }, '/fleet.json machines.web.machine: '],
    [{ machines: { web: { machine: { memory: { base: 0, size: '16M' }, cpu: { kind: 'vax' }, devices: {} } } } }, '/fleet.json machines.web.machine: is a part that processors do not know (vax).'],
    [machine({ pool: 'nihgt' }), '/fleet.json machines.web.pool: there is no such pool (nihgt). Name it under "pools".'],
    [{ pools: { night: {} }, machines: { web: { ...SMALL, pool: 'nihgt' } } }, '(nihgt). Did you mean night? The pools are night.'],
    [machine({ restart: 'sometimes' }), '/fleet.json machines.web.restart: is not known (sometimes). Use never, on-failure, always.'],
    [machine({ autostart: 'yes' }), '/fleet.json machines.web.autostart: is neither true nor false (yes).'],
    [machine({ group: '' }), '/fleet.json machines.web.group: is not the name of a group ().'],
    [machine({ resources: { cpus: {} } }), '/fleet.json machines.web.resources.cpus: is not known here. Use cpu, memory, disk, space, network.'],
    [machine({ resources: { cpu: { share: 1 } } }), '/fleet.json machines.web.resources.cpu.share: is not known here. Use shares, reservation, limit.'],
    [machine({ resources: { cpu: { shares: 0 } } }), '/fleet.json machines.web.resources.cpu.shares: is not a number of shares (0).'],
    [machine({ resources: { cpu: { limit: '2 GHz' } } }), '/fleet.json machines.web.resources.cpu.limit: is not an amount of cpu (2 GHz). Use processors, such as 0.5'],
    [machine({ resources: { memory: { limit: 'lots' } } }), '/fleet.json machines.web.resources.memory.limit: is not an amount of memory (lots). Use bytes, such as "512M", or "none".'],
    [machine({ resources: { memory: { reservation: '1G', limit: '512M' } } }), '/fleet.json machines.web.resources.memory: more is reserved than the limit allows (1G of 512M).'],
    [machine({ resources: { disk: { limit: 0 } } }), '/fleet.json machines.web.resources.disk.limit: is a limit with which nothing runs (0).'],
    [{ pools: { 'a/b': {} } }, '/fleet.json pools.a/b: stands in a pool that is not there (a). Name that pool, too.'],
    [{ pools: { '/': {} } }, '/fleet.json pools./: is not the path of a pool (/).'],
    [{ machines: { 'web': { ...SMALL, count: 1 }, 'web-1': SMALL } }, '/fleet.json machines.web-1: is the name of two machines (web-1).'],
  ])('%j', async (data, text) => {
    expect(await refusal(data)).toContain(text)
  })

  it('is told of objects of another process', async () => {
    const blueprint = virt({ disks: [imageDisk({ size: 512, readOnly: true } as never)] })
    expect(await refusal({ machines: { web: { machine: blueprint } } })).toContain('machines.web.machine: is connected to an object of this process')
  })
})
