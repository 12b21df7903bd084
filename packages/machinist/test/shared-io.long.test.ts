/** Debian guests whose thin disk becomes full, and that share a disk. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Backend, BlockPort } from '@machinist/api'
import { virt } from '@machinist/boards'
import { concatInitrds } from '@machinist/boot'
import { collector, Datastore, nodeHost, openDisks } from '@machinist/host-node'
import { diskController, type ResourceController, spaceController } from '@machinist/hypervisor'
import { type BackendDescriptor, createMachine, type Machine, part } from '@machinist/machine'
import { memoryDisk } from '@machinist/storage'
import { virtioBlock } from '@machinist/virtio'
import { afterAll, expect, it } from 'vitest'
import { execRequest, guestCommandLine, prepareGuest } from '../src/index.ts'

const MIB = 2 ** 20
const folder = mkdtempSync(join(tmpdir(), 'machinist-shared-io-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

interface Guest {
  readonly machine: Machine
  /** What its command says, once it has ended. */
  readonly answer: Promise<string>
}

/** A guest that runs a command, with what it is connected to behind controllers. */
async function boot(name: string, command: string, { disk, controllers = [], resources = {} }: {
  readonly disk: BackendDescriptor | Backend<BlockPort>
  readonly controllers?: readonly ResourceController[]; readonly resources?: object
}): Promise<Guest> {
  const { kernel, initrd } = await prepareGuest()
  const request = execRequest(command)
  const console = collector()
  const spec = { name, machine: { file: name }, resources }
  const host = controllers.reduce((before, controller) => controller.host?.(spec, before) ?? before, nodeHost())
  const machine = createMachine(await openDisks(virt({
    console, kernel: readFileSync(kernel), initrd: concatInitrds([readFileSync(initrd), request.initrd]), append: guestCommandLine({ console: 'ttyS0', quiet: true }),
    devices: { disk: part(virtioBlock, { backends: { disk } }) },
  })), host)
  for (const controller of controllers) controller.add(name, machine, spec)
  machine.start()
  return {
    machine,
    answer: machine.finished().then(({ error }) => {
      machine.dispose()
      expect(error).toBe(null)
      const stdout: Uint8Array[] = []
      const answer = request.output({ stdout: (piece) => stdout.push(piece), stderr: () => undefined, exit: () => undefined })
      answer.push(Buffer.from(console.text(), 'latin1'))
      expect(answer.status).toBe(0)
      return Buffer.concat(stdout).toString()
    }),
  }
}

async function sound(store: Datastore): Promise<void> {
  // Whoever had it open closes it.
  await (await store.openDisk('data')).close()
  if (spawnSync('qemu-img', ['--version']).status !== 0) return
  for (const file of readdirSync(store.folder)) if (file.endsWith('.qcow2')) expect(spawnSync('qemu-img', ['check', join(store.folder, file)]).status).toBe(0)
}

/** Fills the disk with blocks of numbers, and says how many were written and are there afterwards. */
const FILL = `
i=0; while printf '%065536d' $i | dd of=/dev/vda bs=64k seek=$i oflag=direct conv=notrunc 2>/dev/null; do i=$((i+1)); done
echo written $i
n=0; while [ $n -lt $i ]; do [ "$(dd if=/dev/vda bs=64k skip=$n count=1 iflag=direct 2>/dev/null | tail -c 8)" = "$(printf '%08d' $n)" ] || echo lost $n; n=$((n+1)); done
printf '%065536d' 7 | dd of=/dev/vda bs=64k seek=3 oflag=direct conv=notrunc 2>/dev/null && echo overwritten
sync; blkdiscard -o 0 -l 4194304 /dev/vda && echo discarded
printf '%065536d' 9 | dd of=/dev/vda bs=64k seek=1000 oflag=direct conv=notrunc 2>/dev/null && echo room
`

it('a guest whose thin disk becomes full is told so, loses nothing, and has room again for what it discards', async () => {
  const store = await Datastore.create(join(folder, 'full'), { quota: 12 * MIB })
  await store.createDisk('data', 1024 * MIB)
  const { answer } = await boot('full', FILL, { disk: { type: 'disk', datastore: store.folder, name: 'data' } })
  const text = await answer
  const written = Number(/^written (\d+)$/m.exec(text)?.[1])
  expect(written).toBeGreaterThan(150)
  expect(written).toBeLessThan(192)
  expect(text).not.toContain('lost')
  expect(text).toContain('overwritten\ndiscarded\nroom\n')
  expect(store.list().used).toBeLessThan(10 * MIB)
  await sound(store)
})

it('a guest that is to wait is paused while its datastore is full, and goes on when there is room', async () => {
  const store = await Datastore.create(join(folder, 'waits'), { quota: 6 * MIB })
  await store.createDisk('data', 1024 * MIB)
  const events: string[] = []
  const space = spaceController()
  const { machine, answer } = await boot('waits', 'dd if=/dev/zero of=/dev/vda bs=64k count=200 oflag=direct 2>/dev/null && echo done', {
    disk: { type: 'disk', datastore: store.folder, name: 'data', whenFull: 'wait' }, controllers: [space],
  })
  space.listen?.((kind) => { events.push(kind) })
  await new Promise<void>((resolve) => { machine.on('state', ({ to }) => { if (to === 'paused') resolve() }) })
  expect(store.list().used).toBeLessThanOrEqual(6 * MIB)
  await store.setQuota(32 * MIB)
  expect(await answer).toBe('done\n')
  expect(events).toEqual(['datastore-full', 'resumed'])
  await sound(store)
})

/**
 * For some seconds of the host's time, what each took of a resource; both want more all the while. A host that is busy may not let them take
 * what they are given: then it is asked again.
 */
async function shared(controller: ResourceController, names: readonly string[], asDue: (taken: readonly number[]) => boolean): Promise<number[]> {
  const wait = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })
  const busy = (): boolean => names.every((name) => controller.usage(name).used > 100_000)
  for (let again = 0; again < 600 && !busy(); again++) await wait(200)
  await wait(1000)
  for (let again = 0; ; again++) {
    for (const name of names) controller.usage(name)
    await wait(8000)
    const taken = names.map((name) => controller.usage(name).used)
    if (asDue(taken) || again === 30) return taken
  }
}

/** Reads all the while, by eight programs: however late a guest hears of an answer on a busy host, something of it waits for the disk. */
const READ = 'for reader in 1 2 3 4 5 6 7 8; do while :; do dd if=/dev/vda of=/dev/null bs=64k count=512 iflag=direct 2>/dev/null; done & done; wait'

it('two guests have 1 : 3 of a disk', async () => {
  const controller = diskController({ capacity: 2 * MIB })
  const guests = await Promise.all([1000, 3000].map((shares, index) => boot(`disk${String(index)}`, READ, {
    disk: memoryDisk(32 * MIB), controllers: [controller], resources: { disk: { shares } },
  })))
  const asDue = ([one = 0, three = 0]: readonly number[]): boolean => Math.abs(three / one / 3 - 1) < 0.05 && Math.abs((one + three) / (2 * MIB) - 0.925) < 0.125
  const taken = await shared(controller, ['disk0', 'disk1'], asDue)
  // Their commands have no end, so nobody waits for what they say.
  for (const { machine, answer } of guests) {
    answer.catch(() => undefined)
    machine.powerOff()
  }
  controller.dispose?.()
  expect(asDue(taken), taken.join()).toBe(true)
})
